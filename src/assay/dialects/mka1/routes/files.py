"""Files (M§3.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Form, Query, UploadFile
from fastapi.responses import StreamingResponse

from assay.core.files import service
from assay.db.paging import Order
from assay.dialects.edge.state import ApiState
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import AfterFile, FilePageLimit
from assay.dialects.mka1.route import FilesReader, FilesWriter, Mka1Route, Session, State, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.files import WireFile, WireFileDeleted

UPLOAD_CHUNK_BYTES = 256 * 1024
MAX_FORM_OVERHEAD_BYTES = 64 * 1024
_CONTENT: dict[str, Any] = {
    "description": "The content, under the file's own media type.",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
}


class UploadRoute(Mka1Route):
    """Files are larger than JSON."""

    def max_body_bytes(self, state: ApiState) -> int:
        """The largest file, with room for what a form adds to it."""
        return state.max_file_bytes + MAX_FORM_OVERHEAD_BYTES


router = mka1_router("/api/v1/llm/files", tag="files", route_class=UploadRoute)


@router.post("")
async def upload_file(
    file: UploadFile, purpose: Annotated[str, Form()], caller: FilesWriter, session: Session, state: State
) -> WireFile:
    """Upload a file."""
    stored = await service.upload_file(
        session,
        caller,
        store=state.files,
        filename=file.filename,
        purpose=purpose,
        chunks=_chunks(file),
        max_bytes=state.max_file_bytes,
        content_type=file.content_type,
    )
    return mapping.to_file(stored)


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(UPLOAD_CHUNK_BYTES):
        yield chunk


@router.get("")
async def list_files(
    caller: FilesReader,
    session: Session,
    after: AfterFile = None,
    limit: FilePageLimit = 10_000,
    order: Order = Order.DESC,
    purpose: str | None = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-fA-F]{64}$")] = None,
) -> WireList[WireFile]:
    """List files."""
    page = await service.list_files(
        session, caller, after=after, limit=limit, order=order, purpose=purpose, sha256=sha256
    )
    return mapping.to_list(page, mapping.to_file)


@router.get("/{file_id}")
async def get_file(file_id: str, caller: FilesReader, session: Session) -> WireFile:
    """Retrieve a file's description."""
    row_id = read_id(Prefix.FILE, file_id, param="file_id")
    return mapping.to_file(await service.get_file(session, caller, file_id=row_id))


@router.delete("/{file_id}")
async def delete_file(file_id: str, caller: FilesWriter, session: Session, state: State) -> WireFileDeleted:
    """Delete a file."""
    row_id = read_id(Prefix.FILE, file_id, param="file_id")
    await service.delete_file(session, caller, store=state.files, file_id=row_id)
    return WireFileDeleted(id=file_id, object="file", deleted=True)


@router.get("/{file_id}/content", response_class=StreamingResponse, responses={200: _CONTENT})
async def get_file_content(file_id: str, caller: FilesReader, session: Session, state: State) -> StreamingResponse:
    """Download a file's content."""
    row_id = read_id(Prefix.FILE, file_id, param="file_id")
    content = await service.open_content(session, caller, store=state.files, file_id=row_id)
    # Uploaded HTML must not run in the reader's browser as if it were ours.
    headers = {
        "Content-Length": str(content.end - content.start),
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(content.chunks, media_type=content.file.content_type, headers=headers)
