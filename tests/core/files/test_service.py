"""Files against PostgreSQL and a folder."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files import service
from assay.core.files.errors import (
    ContentUnavailableError,
    FileNotFoundInProjectError,
    FileTooLargeError,
    InvalidDigestError,
    InvalidFilenameError,
    InvalidFilePageSizeError,
    InvalidPurposeError,
    InvalidRangeError,
)
from assay.core.files.models import FileRow
from assay.core.files.store import FileStore, open_file_store
from assay.core.files.types import File, FilePurpose
from assay.core.projects.service import authenticate, create_organization
from assay.core.projects.types import Principal
from assay.db.engine import SessionFactory
from assay.db.paging import Order, UnknownCursorError
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.kit.ids import new_id


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return open_file_store(None, folder=tmp_path)


async def sign_up(session: AsyncSession) -> Principal:
    credentials = await create_organization(session, name="Acme")
    assert credentials.api_key is not None
    return await authenticate(session, credentials.api_key)


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await sign_up(session)


async def one_chunk(content: bytes) -> AsyncGenerator[bytes]:
    yield content


async def upload(
    session: AsyncSession,
    principal: Principal,
    store: FileStore,
    content: bytes = b'{"a": 1}\n',
    *,
    filename: str | None = "rows.jsonl",
    purpose: str = "evals",
) -> File:
    return await service.upload_file(
        session,
        principal,
        store=store,
        filename=filename,
        purpose=purpose,
        chunks=one_chunk(content),
        max_bytes=1000,
        content_type="application/octet-stream",
    )


async def read(
    session: AsyncSession, principal: Principal, store: FileStore, file_id: UUID, start: int = 0, end: int | None = None
) -> bytes:
    content = await service.open_content(session, principal, store=store, file_id=file_id, start=start, end=end)
    data = b"".join([chunk async for chunk in content.chunks])
    assert len(data) == content.end - content.start
    return data


def stored_count(folder: Path) -> int:
    return len([path for path in folder.rglob("*") if path.is_file()])


async def test_a_file_comes_back_as_it_went_in(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    file = await upload(session, owner, store, b"hello")
    assert (file.filename, file.purpose, file.bytes) == ("rows.jsonl", FilePurpose.EVALS, 5)
    assert file.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert file.content_type == "application/jsonl"
    assert file.created_by == owner.user_id
    assert await service.get_file(session, owner, file_id=file.id) == file
    assert await read(session, owner, store, file.id) == b"hello"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.csv", "a.csv"),
        ("Blob", "Blob"),
        ("/etc/passwd", "passwd"),
        ("..\\x.py", "x.py"),
        ("données.csv", "données.csv"),
    ],
)
async def test_filenames_that_are_kept(
    session: AsyncSession, owner: Principal, store: FileStore, given: str, kept: str
) -> None:
    assert (await upload(session, owner, store, filename=given)).filename == kept


@pytest.mark.parametrize("filename", [None, "", "  ", "blob", "..", "a/", "x" * 256, "a\0b", "a\nb", "\ud800"])
async def test_filenames_that_are_refused(
    session: AsyncSession, owner: Principal, store: FileStore, tmp_path: Path, filename: str | None
) -> None:
    with pytest.raises(InvalidFilenameError):
        await upload(session, owner, store, filename=filename)
    assert stored_count(tmp_path) == 0


async def test_bad_input_is_refused_before_anything_is_stored(
    session: AsyncSession, owner: Principal, store: FileStore, tmp_path: Path
) -> None:
    with pytest.raises(InvalidPurposeError, match="fine-tune"):
        await upload(session, owner, store, purpose="fun")
    with pytest.raises(FileTooLargeError):
        await upload(session, owner, store, b"x" * 1001)
    assert stored_count(tmp_path) == 0


async def test_an_empty_file_is_a_file(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    file = await upload(session, owner, store, b"")
    assert file.bytes == 0
    assert await read(session, owner, store, file.id) == b""


@pytest.mark.parametrize(("start", "end", "expected"), [(0, 3, b"012"), (4, None, b"456789"), (8, 99, b"89")])
async def test_ranges(
    session: AsyncSession, owner: Principal, store: FileStore, start: int, end: int | None, expected: bytes
) -> None:
    file = await upload(session, owner, store, b"0123456789")
    assert await read(session, owner, store, file.id, start, end) == expected


@pytest.mark.parametrize(("start", "end"), [(10, None), (5, 5), (6, 5), (-1, None), (0, 0)])
async def test_ranges_outside_the_file(
    session: AsyncSession, owner: Principal, store: FileStore, start: int, end: int | None
) -> None:
    file = await upload(session, owner, store, b"0123456789")
    with pytest.raises(InvalidRangeError):
        await service.open_content(session, owner, store=store, file_id=file.id, start=start, end=end)


async def test_lists_filter_and_page(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    files = [
        await upload(session, owner, store, content, purpose=purpose)
        for content, purpose in [(b"a", "evals"), (b"b", "vision"), (b"a", "vision"), (b"c", "evals")]
    ]
    newest_first = await service.list_files(session, owner)
    assert newest_first.items == tuple(reversed(files))
    assert not newest_first.has_more
    first = await service.list_files(session, owner, limit=3, order=Order.ASC)
    assert (first.items, first.has_more) == (tuple(files[:3]), True)
    rest = await service.list_files(session, owner, limit=3, order=Order.ASC, after=files[2].id)
    assert (rest.items, rest.has_more) == ((files[3],), False)
    assert (await service.list_files(session, owner, purpose="evals")).items == (files[3], files[0])
    same = await service.list_files(session, owner, sha256=files[0].sha256.upper())
    assert same.items == (files[2], files[0])


async def test_list_parameters_are_checked(session: AsyncSession, owner: Principal) -> None:
    with pytest.raises(UnknownCursorError):
        await service.list_files(session, owner, after=new_id())
    with pytest.raises(InvalidPurposeError):
        await service.list_files(session, owner, purpose="fun")
    for limit in (0, 10_001):
        with pytest.raises(InvalidFilePageSizeError):
            await service.list_files(session, owner, limit=limit)
    for digest in ("", "abc", "g" * 64, "a" * 64 + "\n"):
        with pytest.raises(InvalidDigestError):
            await service.list_files(session, owner, sha256=digest)


async def assert_invisible(session: AsyncSession, principal: Principal, store: FileStore, file: File) -> None:
    assert file.id not in {item.id for item in (await service.list_files(session, principal)).items}
    with pytest.raises(FileNotFoundInProjectError):
        await service.get_file(session, principal, file_id=file.id)
    with pytest.raises(FileNotFoundInProjectError):
        await service.open_content(session, principal, store=store, file_id=file.id)
    with pytest.raises(FileNotFoundInProjectError):
        await service.delete_file(session, principal, store=store, file_id=file.id)


async def test_other_tenants_see_nothing(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    file = await upload(session, owner, store)
    other = await sign_up(session)
    await assert_invisible(session, other, store, file)
    with pytest.raises(UnknownCursorError):
        await service.list_files(session, other, after=file.id)


async def test_end_users_see_their_own_files_only(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    ann, ben = owner.delegate("ann"), owner.delegate("ben")
    hers, shared = await upload(session, ann, store), await upload(session, owner, store)
    assert hers.on_behalf_of == "ann"
    assert (await service.list_files(session, ann)).items == (hers,)
    assert (await service.list_files(session, owner)).items == (shared, hers)
    await assert_invisible(session, ben, store, hers)
    await assert_invisible(session, ann, store, shared)


async def test_deleted_and_expired_files_are_gone(session: AsyncSession, owner: Principal, store: FileStore) -> None:
    deleted, expired = await upload(session, owner, store), await upload(session, owner, store)
    await service.delete_file(session, owner, store=store, file_id=deleted.id)
    past = utc_now() - timedelta(seconds=1)
    await session.execute(update(FileRow).where(FileRow.id == expired.id).values(expires_at=past))
    await assert_invisible(session, owner, store, deleted)
    await assert_invisible(session, owner, store, expired)
    assert (await service.list_files(session, owner, after=deleted.id)).items == ()


async def test_content_goes_only_after_the_deletion_is_committed(
    sessions: SessionFactory, store: FileStore, tmp_path: Path
) -> None:
    async with transaction(sessions) as session:
        owner = await sign_up(session)
        file = await upload(session, owner, store)

    async def delete_and_fail() -> None:
        async with transaction(sessions) as session:
            await service.delete_file(session, owner, store=store, file_id=file.id)
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await delete_and_fail()
    async with sessions() as session:
        assert await read(session, owner, store, file.id) == b'{"a": 1}\n'
    async with transaction(sessions) as session:
        await service.delete_file(session, owner, store=store, file_id=file.id)
        assert stored_count(tmp_path) == 1
    assert stored_count(tmp_path) == 0


async def test_an_upload_that_is_rolled_back_leaves_no_content(
    sessions: SessionFactory, store: FileStore, tmp_path: Path
) -> None:
    async def upload_and_fail() -> None:
        async with transaction(sessions) as session:
            await upload(session, await sign_up(session), store)
            assert stored_count(tmp_path) == 1
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await upload_and_fail()
    assert stored_count(tmp_path) == 0


async def test_a_sweep_removes_what_a_crash_left(
    session: AsyncSession, owner: Principal, store: FileStore, tmp_path: Path
) -> None:
    kept, deleted, expired = [await upload(session, owner, store) for _ in range(3)]
    await service.delete_file(session, owner, store=store, file_id=deleted.id)
    past = utc_now() - timedelta(seconds=1)
    await session.execute(update(FileRow).where(FileRow.id == expired.id).values(expires_at=past))
    assert stored_count(tmp_path) == 3
    while await service.sweep_files(session, store=store):
        pass
    assert stored_count(tmp_path) == 1
    assert await read(session, owner, store, kept.id) == b'{"a": 1}\n'


async def test_lost_content_is_told_from_a_missing_file(
    session: AsyncSession, owner: Principal, store: FileStore
) -> None:
    file = await upload(session, owner, store)
    await store.delete(file.storage_key)
    with pytest.raises(ContentUnavailableError):
        await service.open_content(session, owner, store=store, file_id=file.id)
