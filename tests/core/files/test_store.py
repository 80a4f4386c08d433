"""The file store, over a folder and over the in-memory bucket of the same library."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from assay.core.files.errors import ContentUnavailableError, FileTooLargeError
from assay.core.files.store import PART_BYTES, FileStore, UnsupportedFileStoreError, open_file_store

MIB = 1024 * 1024


@pytest.fixture(params=["folder", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    urls = {"folder": None, "file": (tmp_path / "files").as_uri(), "memory": "memory://"}
    return open_file_store(urls[request.param], folder=tmp_path / "files")


async def chunked(content: bytes, size: int = 100_000) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(store: FileStore, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in await store.open(key, start=start, end=end)])


def stored_paths(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251 + 1)


@pytest.mark.parametrize("size", [0, 1, 99_999, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 12 * MIB + 7])
async def test_content_comes_back_with_its_size_and_digest(store: FileStore, size: int) -> None:
    content = pattern(size)[:size]
    stored = await store.put("a/b", chunked(content), max_bytes=size)
    assert stored.bytes == size
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert await read(store, "a/b") == content


@pytest.mark.parametrize("chunk_size", [3 * MIB, 9 * MIB])
async def test_large_chunks_are_hashed_in_order(store: FileStore, chunk_size: int) -> None:
    content = pattern(9 * MIB)[: 9 * MIB]
    stored = await store.put("a", chunked(content, chunk_size), max_bytes=len(content))
    assert stored.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 10), (999, 1000), (500, None), (0, 1000)])
async def test_ranges(store: FileStore, start: int, end: int | None) -> None:
    content = pattern(1000)[:1000]
    await store.put("a", chunked(content), max_bytes=1000)
    assert await read(store, "a", start=start, end=end) == content[start:end]


@pytest.mark.parametrize("size", [1001, 13 * MIB])
async def test_too_much_content_leaves_nothing(tmp_path: Path, store: FileStore, size: int) -> None:
    with pytest.raises(FileTooLargeError) as caught:
        await store.put("a", chunked(pattern(size)[:size]), max_bytes=size - 1)
    assert caught.value.data == {"max_bytes": size - 1}
    assert stored_paths(tmp_path) == []
    with pytest.raises(ContentUnavailableError):
        await store.open("a")


@pytest.mark.parametrize("fault", [RuntimeError("gone"), OSError("gone"), ConnectionResetError("gone")])
@pytest.mark.parametrize("size", [10, 13 * MIB])
async def test_a_broken_source_raises_its_own_error_and_leaves_nothing(
    tmp_path: Path, store: FileStore, fault: Exception, size: int
) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        async for chunk in chunked(pattern(size)[:size]):
            yield chunk
        raise fault

    with pytest.raises(type(fault), match="gone"):
        await store.put("a", broken(), max_bytes=size)
    assert stored_paths(tmp_path) == []


@pytest.mark.parametrize("size", [10, 13 * MIB])
async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path, store: FileStore, size: int) -> None:
    stalled = asyncio.Event()

    async def stalling() -> AsyncGenerator[bytes]:
        async for chunk in chunked(pattern(size)[:size]):
            yield chunk
        stalled.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put("a", stalling(), max_bytes=size + 1))
    await stalled.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await wait_until(lambda: stored_paths(tmp_path) == [])


async def wait_until(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_folder_shows_content_only_when_it_is_whole(tmp_path: Path) -> None:
    store = open_file_store(None, folder=tmp_path)
    sent, release = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncGenerator[bytes]:
        yield pattern(11 * MIB)
        sent.set()
        await release.wait()
        yield b"end"

    upload = asyncio.create_task(store.put("a", slow(), max_bytes=20 * MIB))
    await sent.wait()
    with pytest.raises(ContentUnavailableError):
        await store.open("a")
    release.set()
    stored = await upload
    assert stored_paths(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_size == stored.bytes


async def test_removing_repeats(store: FileStore) -> None:
    await store.put("a", chunked(b"x"), max_bytes=1)
    for _ in range(2):
        await store.delete("a")
    with pytest.raises(ContentUnavailableError):
        await store.open("a")


async def test_many_uploads_at_once_do_not_mix(store: FileStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(store.put(f"k/{number}", chunked(bytes([number]) * 1000, 7), max_bytes=1000))
    for number in range(20):
        assert await read(store, f"k/{number}") == bytes([number]) * 1000


@pytest.mark.parametrize("size", [1, 13 * MIB])
async def test_a_bucket_that_does_not_answer_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        store = open_bucket(monkeypatch, taken.getsockname()[1], tmp_path)
        async with asyncio.timeout(10):
            with pytest.raises(ContentUnavailableError):
                await store.put("a", chunked(pattern(size)[:size]), max_bytes=size)
    assert stored_paths(tmp_path) == []


class Bucket:
    """The part of the S3 protocol that storing, reading and removing objects needs, in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}

    async def handle(self, request: web.Request) -> web.Response:
        query = request.query
        upload_id = query.get("uploadId", "")
        match request.method:
            case "POST" if "uploads" in query:
                self.uploads["u1"] = {}
                return self._xml("InitiateMultipartUploadResult", "<UploadId>u1</UploadId>")
            case "POST" if "delete" in query:
                keys = re.findall("<Key>(.*?)</Key>", await request.text())
                for key in keys:
                    self.objects.pop(f"/bucket/{key}", None)
                return self._xml("DeleteResult", "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys))
            case "POST":
                parts = self.uploads.pop(upload_id)
                self.objects[request.path] = b"".join(parts[number] for number in sorted(parts))
                return self._xml("CompleteMultipartUploadResult", "<ETag>e</ETag>")
            case "PUT" if upload_id:
                self.uploads[upload_id][int(query["partNumber"])] = await request.read()
                return web.Response(headers={"ETag": "e"})
            case "PUT":
                self.objects[request.path] = await request.read()
                return web.Response(headers={"ETag": "e"})
            case "DELETE" if upload_id:
                del self.uploads[upload_id]
                return web.Response(status=204)
            case "DELETE":
                self.objects.pop(request.path, None)
                return web.Response(status=204)
            case _:
                return self._get(request)

    def _get(self, request: web.Request) -> web.Response:
        content = self.objects.get(request.path)
        if content is None:
            return web.Response(status=404)
        headers = {"ETag": "e", "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        part = request.http_range
        if part.start is None:
            return web.Response(body=content, headers=headers)
        stop = min(part.stop or len(content), len(content))
        headers["Content-Range"] = f"bytes {part.start}-{stop - 1}/{len(content)}"
        return web.Response(status=206, body=content[part.start : stop], headers=headers)

    @staticmethod
    def _xml(name: str, body: str) -> web.Response:
        return web.Response(text=f"<{name}>{body}</{name}>", content_type="application/xml")


def open_bucket(monkeypatch: pytest.MonkeyPatch, port: int, folder: Path) -> FileStore:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return open_file_store("s3://bucket/prefix", folder=folder)


@pytest.fixture
async def bucket() -> AsyncGenerator[tuple[Bucket, int]]:
    bucket = Bucket()
    app = web.Application(client_max_size=100 * MIB)
    app.router.add_route("*", "/{path:.*}", bucket.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield bucket, runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize("size", [0, 1000, PART_BYTES + 1, 12 * MIB])
async def test_a_bucket_keeps_content_under_the_prefix(
    bucket: tuple[Bucket, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    s3, port = bucket
    store = open_bucket(monkeypatch, port, tmp_path)
    content = pattern(size)[:size]
    await store.put("a/b", chunked(content), max_bytes=size)
    assert s3.objects == {"/bucket/prefix/a/b": content}
    assert s3.uploads == {}
    assert await read(store, "a/b") == content
    if size:
        assert await read(store, "a/b", start=size // 2, end=size - 1) == content[size // 2 : size - 1]
        assert await read(store, "a/b", start=size - 1) == content[-1:]
    await store.delete("a/b")
    assert s3.objects == {}
    await store.delete("a/b")


async def test_an_upload_to_a_bucket_that_breaks_off_is_aborted(
    bucket: tuple[Bucket, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    s3, port = bucket
    store = open_bucket(monkeypatch, port, tmp_path)
    with pytest.raises(FileTooLargeError):
        await store.put("a", chunked(pattern(30 * MIB)), max_bytes=25 * MIB)
    assert s3.objects == {}
    assert s3.uploads == {}


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFileStoreError, match="ftp"):
        open_file_store("ftp://host/path", folder=tmp_path)
