"""Use cases of files.

A file is a row and its content. The content is stored before its row is committed and removed after the row's deletion
is, so that a committed row always has its content. What a failure leaves in between is content without a row, which is
invisible and costs only space.

Scopes are not checked here: a run may read its dataset with a key that could not download it. Routes ask for theirs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files import repository
from assay.core.files.content_types import choose_content_type
from assay.core.files.errors import (
    ContentUnavailableError,
    FileNotFoundInProjectError,
    InvalidDigestError,
    InvalidFilenameError,
    InvalidFilePageSizeError,
    InvalidPurposeError,
    InvalidRangeError,
)
from assay.core.files.models import FileRow
from assay.core.files.store import FileStore
from assay.core.files.types import File, FilePurpose
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.db.paging import Order, Page
from assay.db.session import after_commit, after_rollback
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

MAX_FILENAME_LENGTH = 255
MAX_PAGE_SIZE = 10_000
SWEEP_BATCH = 200

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content that is about to be read."""

    file: File
    start: int
    end: int
    """Byte after the last; ``end - start`` bytes follow."""
    chunks: AsyncGenerator[bytes]


async def upload_file(
    session: AsyncSession,
    principal: Principal,
    *,
    store: FileStore,
    filename: str | None,
    purpose: str,
    chunks: AsyncIterator[bytes],
    max_bytes: int,
    content_type: str | None = None,
    expires_at: datetime | None = None,
) -> File:
    """Store content and make its file.

    The session is not used before all content has arrived, so a slow upload holds no database connection, provided
    that the session has none yet.

    Args:
        session: A session inside a ``transaction``; if that is given up, the content is removed again.
        principal: The owner.
        store: Where the content goes.
        filename: Name given by the client. Folders in it are dropped (RFC 7578 §4.2); ``blob``, which clients send
            for nameless data, counts as none.
        purpose: One of ``FilePurpose``.
        chunks: The content.
        max_bytes: Longest content that is accepted.
        content_type: Media type given by the client.
        expires_at: When the file goes by itself; None for never.

    Raises:
        InvalidFilenameError: There is no name, or it is too long or not printable.
        InvalidPurposeError: There is no such purpose.
        FileTooLargeError: The content is longer than ``max_bytes``.
        ContentUnavailableError: The file store failed.
    """
    name = _check_filename(filename)
    known_purpose = parse_purpose(purpose)
    file_id = new_id()
    key = f"{principal.project_id.hex}/{file_id.hex}"
    content = await store.put(key, chunks, max_bytes=max_bytes)
    after_rollback(session, partial(store.delete, key))
    row = FileRow(
        id=file_id,
        **owner_columns(principal),
        filename=name,
        purpose=known_purpose,
        bytes=content.bytes,
        sha256=content.sha256,
        content_type=choose_content_type(name, content_type),
        storage_key=key,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return _file(row)


async def list_files(
    session: AsyncSession,
    principal: Principal,
    *,
    after: UUID | None = None,
    limit: int = MAX_PAGE_SIZE,
    order: Order = Order.DESC,
    purpose: str | None = None,
    sha256: str | None = None,
) -> Page[File]:
    """One page of the files that the caller may see, by time of creation.

    Args:
        session: Where to read.
        principal: The caller.
        after: Id of the last file of the page before.
        limit: 1 to 10,000.
        order: Oldest or newest first.
        purpose: Only files of this purpose.
        sha256: Only files with this content, as 64 hexadecimal digits.

    Raises:
        UnknownCursorError: ``after`` is no file of the caller.
        InvalidFilePageSizeError: ``limit`` is out of range.
        InvalidPurposeError: There is no such purpose.
        InvalidDigestError: ``sha256`` is malformed.
    """
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise InvalidFilePageSizeError(MAX_PAGE_SIZE)
    if sha256 is not None and re.fullmatch("[0-9a-fA-F]{64}", sha256) is None:
        raise InvalidDigestError
    page = await repository.list_files(
        session,
        principal,
        after=after,
        limit=limit,
        order=order,
        purpose=None if purpose is None else parse_purpose(purpose),
        sha256=None if sha256 is None else sha256.lower(),
        now=utc_now(),
    )
    return page.map(_file)


async def get_file(session: AsyncSession, principal: Principal, *, file_id: UUID) -> File:
    """A file.

    Raises:
        FileNotFoundInProjectError: There is none that the caller may see.
    """
    row = await repository.find_file(session, principal, file_id, now=utc_now())
    if row is None:
        raise FileNotFoundInProjectError
    return _file(row)


async def delete_file(session: AsyncSession, principal: Principal, *, store: FileStore, file_id: UUID) -> File:
    """Delete a file; its content goes after the commit.

    Raises:
        FileNotFoundInProjectError: There is none that the caller may see.
    """
    row = await repository.lock_file(session, principal, file_id, now=utc_now())
    if row is None:
        raise FileNotFoundInProjectError
    row.deleted_at = utc_now()
    await session.flush()
    after_commit(session, partial(store.delete, row.storage_key))
    return _file(row)


async def open_content(
    session: AsyncSession,
    principal: Principal,
    *,
    store: FileStore,
    file_id: UUID,
    start: int = 0,
    end: int | None = None,
) -> FileContent:
    """Open a file for reading. The chunks do not use the session: give it back before sending them.

    Args:
        session: Where to read the row.
        principal: The caller.
        store: Where the content is.
        file_id: The file.
        start: First byte.
        end: Byte after the last, cut to the file's end; None for all.

    Raises:
        FileNotFoundInProjectError: There is none that the caller may see.
        InvalidRangeError: The range is empty or starts behind the end. The whole of an empty file is no such range.
        ContentUnavailableError: The store failed or has lost the content; also while reading.
    """
    file = await get_file(session, principal, file_id=file_id)
    stop = file.bytes if end is None else min(end, file.bytes)
    whole = start == 0 and stop == file.bytes
    if not whole and not 0 <= start < stop:
        raise InvalidRangeError(file.bytes)
    chunks = await store.open(file.storage_key, start=start, end=None if whole else stop)
    return FileContent(file=file, start=start, end=stop, chunks=chunks)


async def sweep_files(session: AsyncSession, *, store: FileStore, limit: int = SWEEP_BATCH) -> int:
    """Delete expired files, and remove the content of deleted ones that a crash or the store kept from going.

    For a background task that calls it every minute or so, each time in a ``transaction`` of its own.

    Returns:
        How many deleted files now have no content any more.
    """
    now = utc_now()
    await repository.delete_expired(session, now=now)
    removed = 0
    # What expires in this call is swept by the next one: its deletion has to be committed first.
    for row in await repository.list_unswept(session, deleted_before=now, limit=limit):
        try:
            await store.delete(row.storage_key)
        except ContentUnavailableError:
            _log.warning("file_content_not_removed", file_id=str(row.id), exc_info=True)
            continue
        row.content_removed_at = now
        removed += 1
    await session.flush()
    return removed


def parse_purpose(text: str) -> FilePurpose:
    """The purpose of this name.

    Raises:
        InvalidPurposeError: There is none.
    """
    try:
        return FilePurpose(text)
    except ValueError:
        raise InvalidPurposeError([purpose.value for purpose in FilePurpose]) from None


def _check_filename(filename: str | None) -> str:
    name = re.split(r"[/\\]", filename or "")[-1].strip()
    if name in {"", "blob", ".", ".."}:
        raise InvalidFilenameError("it is missing")
    if len(name) > MAX_FILENAME_LENGTH:
        raise InvalidFilenameError(f"it is longer than {MAX_FILENAME_LENGTH} characters")
    if not name.isprintable():
        raise InvalidFilenameError("it has characters that cannot be printed")
    return name


def _file(row: FileRow) -> File:
    return File(
        id=row.id,
        filename=row.filename,
        purpose=FilePurpose(row.purpose),
        bytes=row.bytes,
        sha256=row.sha256,
        content_type=row.content_type,
        storage_key=row.storage_key,
        created_by=row.created_by,
        on_behalf_of=row.on_behalf_of,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
