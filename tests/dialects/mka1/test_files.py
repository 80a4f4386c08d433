"""Files (M§3.6)."""

from __future__ import annotations

import hashlib

import pytest
from tests.dialects.conftest import MAX_FILE_BYTES
from tests.support.mka1 import Client, upload

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_upload_get_content_delete(client: Client, purpose: str) -> None:
    content = f"a line for {purpose}\n".encode()

    file = await upload(client, content, name="note.txt", purpose=purpose)

    assert client.last.json == {
        "id": file.id,
        "object": "file",
        "bytes": len(content),
        "created_at": file.created_at,
        "filename": "note.txt",
        "purpose": purpose,
        "expires_at": None,
        "status": "processed",
        "status_details": None,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert await client.call("files.get", file_id=file.id) == file
    await client.call("files.content", file_id=file.id)
    assert client.last.content == content
    await client.call("files.delete", file_id=file.id)
    assert client.last.json == {"id": file.id, "object": "file", "deleted": True}
    for operation in ("get", "content", "delete"):
        await client.refused(404, f"files.{operation}", file_id=file.id)


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("rows.jsonl", "application/jsonl"),
        ("rows.csv", "text/csv"),
        ("grader.py", "text/x-python"),
        ("page.html", "text/html"),
        ("weights.bin", "text/plain"),
        ("rows.parquet", "text/plain"),
        ("no-extension", "text/plain"),
        ("archive.zip", "text/plain"),
        ("clip.wav", "text/plain"),
    ],
)
async def test_content_type_is_one_the_sdk_decodes(client: Client, name: str, served: str) -> None:
    file = await upload(client, b"\x00\x01bytes\xff", name=name, purpose="user_data")

    await client.call("files.content", file_id=file.id)

    assert client.last.headers["content-type"].partition(";")[0] == served
    assert client.last.headers["x-content-type-options"] == "nosniff"
    assert client.last.headers["content-disposition"] == "attachment"
    assert client.last.content == b"\x00\x01bytes\xff"


async def test_empty_file(client: Client) -> None:
    file = await upload(client, b"", name="empty.txt", purpose="user_data")

    await client.call("files.content", file_id=file.id)

    assert (file.bytes_, client.last.content) == (0, b"")


async def test_list_filters(client: Client) -> None:
    first = await upload(client, b"one of two", purpose="vision")
    second = await upload(client, b"two of two", purpose="vision")
    digest = hashlib.sha256(b"one of two").hexdigest()

    assert (await client.call("files.list", purpose="vision", limit=2)).data == [second, first]
    assert first.id in [file.id for file in (await client.call("files.list", sha256=digest)).data]
    assert second.id not in [file.id for file in (await client.call("files.list", sha256=digest.upper())).data]
    assert (await client.call("files.list", sha256="0" * 64)).data == []
    oldest = await client.call("files.list", purpose="vision", order="asc", after=first.id, limit=1)
    assert oldest.data == [second]
    assert (oldest.first_id, oldest.last_id, oldest.has_more) == (second.id, second.id, False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "file_" + "0" * 32}, "after"),
        ({"after": "nonsense"}, "after"),
        ({"order": "up"}, "order"),
        ({"sha256": "abc"}, "sha256"),
        ({"purpose": "unknown"}, "purpose"),
    ],
)
async def test_list_refuses_bad_queries(prober: Client, query: dict[str, str | int], param: str) -> None:
    answer = await prober.raw("GET", "/api/v1/llm/files", params=query)

    assert answer.status == 400
    assert param in answer.json["error"]["param"]


@pytest.mark.parametrize(
    ("files", "data", "param"),
    [
        ({"file": ("blob", b"x")}, {"purpose": "evals"}, "file"),
        ({"file": ("  ", b"x")}, {"purpose": "evals"}, "file"),
        ({"file": ("a" * 256, b"x")}, {"purpose": "evals"}, "file"),
        ({"file": ("a.txt", b"x")}, {"purpose": "other"}, "purpose"),
        ({"file": ("a.txt", b"x")}, {}, "purpose"),
        ({"other": ("a.txt", b"x")}, {"purpose": "evals"}, "file"),
    ],
)
async def test_upload_refuses(
    prober: Client, files: dict[str, tuple[str, bytes]], data: dict[str, str], param: str
) -> None:
    answer = await prober.raw("POST", "/api/v1/llm/files", files=files, data=data)

    assert answer.status == 400
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"not multipart at all", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data; name=", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x--", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"purpose=evals", "application/x-www-form-urlencoded"),
    ],
)
async def test_upload_refuses_what_is_no_form(prober: Client, content: bytes, content_type: str) -> None:
    answer = await prober.raw("POST", "/api/v1/llm/files", content=content, headers={"Content-Type": content_type})

    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("bytes_over", [1, 2 * MAX_FILE_BYTES])
async def test_upload_over_the_bound(client: Client, bytes_over: int) -> None:
    await upload(client, b"x" * MAX_FILE_BYTES, purpose="user_data")

    error = await client.refused(
        413,
        "files.upload",
        file={"file_name": "big.txt", "content": b"x" * (MAX_FILE_BYTES + bytes_over)},
        purpose="user_data",
    )

    assert "larger" in error["message"]


async def test_upload_over_the_bound_without_a_length(client: Client) -> None:
    async def endless() -> object:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(40):
            yield b"x" * (MAX_FILE_BYTES // 16)

    answer = await client.raw(
        "POST",
        "/api/v1/llm/files",
        content=endless(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )

    assert answer.status == 413


async def test_others_files_do_not_exist(client: Client, outsider: Client) -> None:
    file = await upload(client, b"private", purpose="user_data")

    for operation in ("get", "content", "delete"):
        await outsider.refused(404, f"files.{operation}", file_id=file.id)
    assert file.id not in [found.id for found in (await outsider.call("files.list")).data]
    answer = await outsider.raw("GET", "/api/v1/llm/files", params={"after": file.id})
    assert answer.status == 400
