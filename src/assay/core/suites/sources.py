"""What a manifest names: files of rows, files of Python, and stored datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.service import known_datasets
from assay.core.files.errors import FileNotFoundInProjectError
from assay.core.files.service import get_file, open_content
from assay.core.files.store import FileStore
from assay.core.files.types import File, FilePurpose
from assay.core.projects.types import Principal
from assay.core.suites.manifest import Fault, Manifest, ManifestError
from assay.core.suites.manifest.schema import PythonPart, task_datasets

MAX_SOURCE_BYTES = 256 * 1024

_PREFIXES = ("file_", "file-")


def parse_file_id(text: str) -> UUID | None:
    """The row id in a file's id (``file_<32 hex digits>``), or None when no file can have this id."""
    digits = next((text.removeprefix(prefix) for prefix in _PREFIXES if text.startswith(prefix)), text)
    try:
        return UUID(hex=digits)
    except ValueError:
        return None


async def check_sources(
    session: AsyncSession, principal: Principal, store: FileStore, manifest: Manifest, *, datasets: bool = True
) -> Mapping[str, str]:
    """See that every file and stored dataset that the manifest names is there for evals, and read its Python.

    Args:
        session: Where files are.
        principal: Whose eyes to look with.
        store: Where their content is.
        manifest: What names them.
        datasets: Whether to look for rows as well as for Python.

    Returns:
        Text of each Python file by its id as written in the manifest.

    Raises:
        ManifestError: A file or dataset is not visible, a file has another purpose, or is no Python text; naming the
            path.
    """
    faults = await _dataset_faults(session, principal, manifest) if datasets else []
    sources: dict[str, str] = {}
    for path, file_id, is_code in _references(manifest):
        if not is_code and not datasets:
            continue
        try:
            file = await _find(session, principal, file_id)
            if is_code and file_id not in sources:
                sources[file_id] = await _read_source(session, principal, store, file)
        except _SourceFaultError as fault:
            faults.append(Fault(path, fault.reason))
    if faults:
        raise ManifestError(faults)
    return sources


async def find_dataset_file(session: AsyncSession, principal: Principal, *, file_id: str) -> File:
    """The file behind a dataset's ``file_id``.

    Raises:
        FileNotFoundInProjectError: It has been deleted since the manifest was checked.
    """
    row_id = parse_file_id(file_id)
    if row_id is None:
        raise FileNotFoundInProjectError
    return await get_file(session, principal, file_id=row_id)


def parse_dataset_id(text: str) -> UUID | None:
    """The row id in a stored dataset's id, a UUID in any form, or None when no dataset can have this id."""
    try:
        return UUID(text)
    except ValueError:
        return None


async def _dataset_faults(session: AsyncSession, principal: Principal, manifest: Manifest) -> list[Fault]:
    """Stored datasets that the caller does not have, each looked up once."""
    named = {
        f"tasks[{index}].{path}.dataset_id": dataset.dataset_id
        for index, task in enumerate(manifest.tasks)
        for path, dataset in task_datasets(task).items()
        if dataset.dataset_id is not None
    }
    row_ids = {text: parse_dataset_id(text) for text in named.values()}
    known = await known_datasets(session, principal, {row_id for row_id in row_ids.values() if row_id is not None})
    return [
        Fault(path, f"no dataset '{text[:80]}' in this project; it may be deleted")
        for path, text in named.items()
        if row_ids[text] not in known
    ]


class _SourceFaultError(Exception):
    """What is wrong with one named file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _references(manifest: Manifest) -> Iterator[tuple[str, str, bool]]:
    """Path, file id and whether it is code, of every file named."""
    for index, task in enumerate(manifest.tasks):
        for path, dataset in task_datasets(task).items():
            if dataset.file_id is not None:
                yield f"tasks[{index}].{path}.file_id", dataset.file_id, False
        parts: dict[str, PythonPart | None] = {"grader": task.python_grader, "preprocess": task.preprocess}
        for name, part in parts.items():
            if part is not None and part.file_id is not None:
                yield f"tasks[{index}].{name}.file_id", part.file_id, True


async def _find(session: AsyncSession, principal: Principal, file_id: str) -> File:
    row_id = parse_file_id(file_id)
    if row_id is None:
        raise _SourceFaultError(f"no file has the id '{file_id[:80]}'; upload it first, with purpose 'evals'")
    try:
        file = await get_file(session, principal, file_id=row_id)
    except FileNotFoundInProjectError as error:
        raise _SourceFaultError(f"no file '{file_id[:80]}'; upload it first, with purpose 'evals'") from error
    if file.purpose is not FilePurpose.EVALS:
        raise _SourceFaultError(f"file '{file_id}' has the purpose '{file.purpose}'; upload it with purpose 'evals'")
    return file


async def _read_source(session: AsyncSession, principal: Principal, store: FileStore, file: File) -> str:
    if file.bytes > MAX_SOURCE_BYTES:
        raise _SourceFaultError(f"the Python file has {file.bytes} bytes; at most {MAX_SOURCE_BYTES} are allowed")
    content = await open_content(session, principal, store=store, file_id=file.id)
    try:
        return b"".join([chunk async for chunk in content.chunks]).decode()
    except UnicodeDecodeError as error:
        raise _SourceFaultError(f"the Python file is not UTF-8: {error.reason} at byte {error.start}") from error
