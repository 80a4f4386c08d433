"""Where the content of files is: a folder or an S3-compatible bucket, behind one small interface.

Content is written once under a key of its own and never changed, so there is nothing to lock. It appears whole or not
at all: a folder gets a temporary file that is renamed, a bucket an upload that is completed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from assay.core.files.errors import ContentUnavailableError, FileTooLargeError

PART_BYTES = 5 * 1024 * 1024
"""Size of an upload's parts: the least that S3 accepts. Shorter content goes in one request."""
PARTS_IN_FLIGHT = 3
READ_BYTES = 256 * 1024
_HASH_IN_THREAD_BYTES = 1024 * 1024  # about a millisecond of the event loop


@dataclass(frozen=True, slots=True)
class StoredContent:
    """What was stored."""

    bytes: int
    sha256: str
    """64 lowercase hexadecimal digits."""


class UnsupportedFileStoreError(ValueError):
    """ASSAY_FILES_URL names no store that Assay can use."""

    def __init__(self, scheme: str) -> None:
        super().__init__(f"ASSAY_FILES_URL has the scheme '{scheme}'. Use s3://bucket/prefix or file:///folder.")


def open_file_store(url: str | None, *, folder: Path) -> FileStore:
    """The store at ``url``.

    Args:
        url: ``s3://bucket/prefix`` (endpoint, region and credentials from the usual ``AWS_…`` variables),
            ``file:///folder``, ``memory://``, or None for ``folder``.
        folder: Used when there is no URL; made if missing.

    Raises:
        UnsupportedFileStoreError: The URL has another scheme.
    """
    if url is None:
        return FileStore(LocalStore(folder, mkdir=True))
    scheme = urlsplit(url).scheme
    match scheme:
        case "s3":
            return FileStore(_open_s3(url))
        case "file":
            return FileStore(LocalStore.from_url(url, mkdir=True))
        case "memory":
            return FileStore(MemoryStore())
        case _:
            raise UnsupportedFileStoreError(scheme)


def _open_s3(url: str) -> S3Store:
    # The library would go on trying for three minutes; callers of the API give up after five seconds. Plain HTTP is
    # the operator's choice of endpoint (a bucket server beside Assay), and these options hide AWS_ALLOW_HTTP.
    return S3Store.from_url(
        url,
        client_options={
            "connect_timeout": timedelta(seconds=2),
            "timeout": timedelta(seconds=30),
            "allow_http": True,
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=4)},
    )


class FileStore:
    """Content by key. Nothing here blocks the event loop: the library works on threads of its own."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        """Store content as it arrives, holding at most a few parts of it in memory.

        Args:
            key: Place of the content; relative, with ``/`` between its parts.
            chunks: The content. What it raises is raised here, and nothing is stored.
            max_bytes: Longest content that is accepted.

        Raises:
            FileTooLargeError: The content is longer; nothing is stored.
            ContentUnavailableError: The store failed.
        """
        source = _MeasuredSource(chunks, max_bytes=max_bytes)
        async with aclosing(source.read()) as measured, aclosing(_group(measured)) as parts:
            first = await anext(parts, b"")
            second = await anext(parts, None)
            if second is None:
                with _store_faults("take"):
                    await obstore.put_async(self._objects, key, first, use_multipart=False)
            else:
                await self._put_parts(key, first, second, parts)
        return StoredContent(bytes=source.bytes, sha256=source.sha256)

    async def open(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Find content, then return it in chunks of about 256 KiB.

        Args:
            key: Place of the content.
            start: First byte.
            end: Byte after the last, or None for all. A range must not be empty.

        Raises:
            ContentUnavailableError: The store failed or has no such content; also while reading.
        """
        whole = start == 0 and end is None
        with _store_faults("read"):
            if whole:
                found = await obstore.get_async(self._objects, key)
            elif end is None:
                found = await obstore.get_async(self._objects, key, options={"range": {"offset": start}})
            else:
                found = await obstore.get_async(self._objects, key, options={"range": (start, end)})
        return _read_chunks(found)

    async def delete(self, key: str) -> None:
        """Remove content; harmless when it is gone already.

        Raises:
            ContentUnavailableError: The store failed.
        """
        with _store_faults("remove"):
            try:
                await obstore.delete_async(self._objects, key)
            except FileNotFoundError:
                return

    async def _put_parts(self, key: str, first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> None:
        feed = _Feed()
        upload = asyncio.create_task(self._upload(key, feed))
        upload.add_done_callback(feed.release)
        try:
            await feed.send(first)
            await feed.send(second)
            async for part in rest:
                if upload.done():
                    break
                await feed.send(part)
        except BaseException:
            feed.break_off()
            await asyncio.wait({upload})
            raise
        await feed.send(None)
        await upload

    async def _upload(self, key: str, feed: _Feed) -> None:
        with _store_faults("take"):
            await obstore.put_async(
                self._objects,
                key,
                feed.read(),
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_IN_FLIGHT,
                use_multipart=True,
            )


class _BrokenOffError(Exception):
    """Told to the library when the source fails, so that it aborts the upload."""


class _Feed:
    """Hands parts to the library, which reads them in a task of its own.

    The library cannot be cancelled while it waits for a source. Here the source is read by the caller's task, which
    can, and a broken-off feed makes the library abort the upload instead of leaving its parts behind.
    """

    def __init__(self) -> None:
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._broken_off = False
        self._released = False

    async def send(self, part: bytes | None) -> None:
        """Hand over a part, or None for the end, when the one before is taken."""
        if not self._released:
            await self._parts.put(part)

    async def read(self) -> AsyncGenerator[bytes]:
        """What the library reads."""
        while (part := await self._parts.get()) is not None:
            yield part
        if self._broken_off:
            raise _BrokenOffError

    def break_off(self) -> None:
        """End in failure, after what was taken already."""
        self._broken_off = True
        self._drain()
        self._parts.put_nowait(None)

    def release(self, upload: asyncio.Task[None]) -> None:
        """The library reads no more: let the sender go on to learn why."""
        self._released = True
        self._drain()
        if not upload.cancelled():
            upload.exception()  # the sender may have a reason of its own to report; this one is then spent

    def _drain(self) -> None:
        while not self._parts.empty():
            self._parts.get_nowait()


class _MeasuredSource:
    """Chunks on their way to the store, counted and hashed."""

    def __init__(self, chunks: AsyncIterator[bytes], *, max_bytes: int) -> None:
        self.bytes = 0
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def read(self) -> AsyncGenerator[bytes]:
        async for chunk in self._chunks:
            await self._measure(chunk)
            yield chunk

    async def _measure(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.bytes > self._max_bytes:
            raise FileTooLargeError(self._max_bytes)
        if len(chunk) > _HASH_IN_THREAD_BYTES:
            await asyncio.to_thread(self._digest.update, chunk)
        else:
            self._digest.update(chunk)


async def _group(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The same bytes in parts of at least ``PART_BYTES``, but for the last."""
    part = bytearray()
    async for chunk in chunks:
        part += chunk
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


async def _read_chunks(found: obstore.GetResult) -> AsyncGenerator[bytes]:
    with _store_faults("read"):
        async for chunk in found.stream(min_chunk_size=READ_BYTES):
            yield bytes(chunk)


@contextmanager
def _store_faults(action: str) -> Generator[None]:
    """Name the store's failures; the library raises its own errors and, for some, those of the operating system."""
    try:
        yield
    except (BaseError, OSError) as exc:
        raise ContentUnavailableError(action) from exc
