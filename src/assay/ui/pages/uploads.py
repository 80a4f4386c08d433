"""Files that a form brings along."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.datastructures import UploadFile

CHUNK_BYTES = 256 * 1024


async def read_upload(upload: UploadFile) -> AsyncIterator[bytes]:
    """The content in pieces."""
    while chunk := await upload.read(CHUNK_BYTES):
        yield chunk
