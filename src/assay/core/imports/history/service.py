"""Importing historical results: read every file first, then store all of them in one transaction, or none.

Each samples file becomes one completed run of its task, known by repository and path, so that importing again adds what
is new and skips the rest. A dry run does everything and takes it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.imports import repository
from assay.core.imports.errors import ImportInputError
from assay.core.imports.history.errors import HistorySourceError, HistoryTooLargeError
from assay.core.imports.history.lmeval import SamplesFile, model_name, read_trials, recognize
from assay.core.imports.history.sources import ResultSource, check_path
from assay.core.imports.history.types import DEFAULT_LIMIT_FILES, HistoryRequest, HistoryResult
from assay.core.imports.rows import complete, new_imported_run, sum_up
from assay.core.imports.trials import work_out
from assay.core.metadata import MAX_VALUE_LENGTH, check_metadata
from assay.core.projects.types import Principal
from assay.core.runs.ledger import allow_long_statements
from assay.core.suites.archive import append_archived_version, create_archived_suite
from assay.core.suites.manifest import parse_manifest
from assay.core.suites.manifest.schema import SCHEMA_VERSION
from assay.core.suites.service import get_suite_version
from assay.core.suites.types import SuiteVersion
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.kit.json import canonical_bytes

MAX_TOTAL_BYTES = 1024 * 1024 * 1024
"""Of all files of one import."""


class _TakenBackError(Exception):
    """Ends a dry run's transaction."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A samples file on this machine."""

    file: SamplesFile
    content: Path
    model: str


@dataclass(frozen=True, slots=True)
class _Target:
    """The suite that is imported into."""

    version: SuiteVersion
    task_ids: frozenset[str]
    created_suite: bool
    created_version: bool


async def import_history(
    sessions: SessionFactory, principal: Principal, source: ResultSource, request: HistoryRequest
) -> HistoryResult:
    """Import results.

    Raises:
        SuiteNotFoundError: The suite is not the caller's own.
        ImportInputError: There is nothing to make a suite of, or a field is out of bounds.
        HistorySourceError, HistorySourceUnavailableError, HistoryTooLargeError, HistoryFormatError: The source cannot
            be read, or not as what it should be.
        ManifestError: The suite would have too many tasks.
        MetadataError: The metadata is out of bounds.
    """
    check_metadata(request.metadata)
    if request.suite_id is not None:
        async with sessions() as session:
            await get_suite_version(session, principal, suite_id=request.suite_id)
    discovered = await _discover(source, request)
    limit = request.limit_files or (len(discovered) if request.files is not None else DEFAULT_LIMIT_FILES)
    with tempfile.TemporaryDirectory(prefix="assay-import-") as folder:
        fetched = await _fetch_all(source, request, discovered[:limit], Path(folder))
        result: HistoryResult | None = None
        try:
            async with transaction(sessions) as session:
                await allow_long_statements(session)
                result = await _store(session, principal, request, fetched, discovered=len(discovered))
                if request.dry_run:
                    raise _TakenBackError
        except _TakenBackError:
            pass
    if result is None:
        raise RuntimeError("the import was taken back before it was made")
    return result


async def _discover(source: ResultSource, request: HistoryRequest) -> list[SamplesFile]:
    if request.files is None:
        prefix = None if request.path_prefix is None else check_path(request.path_prefix, param="source.path_prefix")
        listed = await source.list_files(prefix)
        # Newest names last in each folder; the order is only to be the same each time.
        return sorted(filter(None, map(recognize, listed)), key=lambda file: file.path)
    files: list[SamplesFile] = []
    for number, path in enumerate(dict.fromkeys(request.files)):
        param = f"source.files[{number}]"
        file = recognize(check_path(path, param=param))
        if file is None:
            raise HistorySourceError(f"`{param}` is not named like samples_<task>_<date>.jsonl.", param=param)
        files.append(file)
    return files


async def _fetch_all(
    source: ResultSource, request: HistoryRequest, files: Sequence[SamplesFile], folder: Path
) -> list[_Fetched]:
    fetched: list[_Fetched] = []
    results: dict[str, bytes | None] = {}
    size = 0
    for number, file in enumerate(files):
        content = await source.read(file.path)
        if content is None:
            raise HistorySourceError(f"The repository has no file {file.path}.", param="source.files")
        size += len(content)
        if size > MAX_TOTAL_BYTES:
            raise HistoryTooLargeError("The files have more than 1 GiB together; import fewer at a time.")
        if file.results_path is not None and file.results_path not in results:
            results[file.results_path] = await source.read(file.results_path)
        stated = None if file.results_path is None else results[file.results_path]
        path = folder / f"{number}.jsonl"
        await asyncio.to_thread(path.write_bytes, content)
        fetched.append(_Fetched(file, path, model_name(file, stated, repository=request.repository)))
    return fetched


async def _store(
    session: AsyncSession,
    principal: Principal,
    request: HistoryRequest,
    fetched: Sequence[_Fetched],
    *,
    discovered: int,
) -> HistoryResult:
    target = await _prepare_suite(session, principal, request, fetched)
    runs = skipped = samples = 0
    for one in fetched:
        stored = await _store_run(session, principal, request, target, one)
        samples += stored or 0
        runs += stored is not None
        skipped += stored is None
    return HistoryResult(
        repository=request.repository,
        revision=request.revision,
        suite_id=target.version.suite_id,
        suite_version=target.version.version,
        created_suite=target.created_suite,
        created_suite_version=target.created_version,
        dry_run=request.dry_run,
        discovered_files=discovered,
        imported_runs=runs,
        skipped_runs=skipped,
        imported_samples=samples,
    )


async def _prepare_suite(
    session: AsyncSession, principal: Principal, request: HistoryRequest, fetched: Sequence[_Fetched]
) -> _Target:
    """The suite with all tasks that it is to have."""
    found = {one.file.task_id: _task(request, one.file) for one in fetched}
    if request.suite_id is None:
        if not found or not request.create_missing_tasks:
            raise ImportInputError(
                "There are no tasks to make a suite of: no samples file was found, or `create_missing_tasks` is "
                "false without a `suite_id`.",
                param="source" if not found else "create_missing_tasks",
            )
        manifest: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "tasks": list(found.values())}
        version = await create_archived_suite(
            session, principal, name=request.suite_name, description=request.suite_description, manifest=manifest
        )
        return _Target(version, frozenset(found), created_suite=True, created_version=True)
    # Imports into one suite go one after the other, so that none appends a version without another's tasks.
    await repository.lock_import_key(session, hashlib.sha256(request.suite_id.bytes).digest())
    active = await get_suite_version(session, principal, suite_id=request.suite_id)
    known = frozenset(task.id for task in parse_manifest(active.manifest).tasks)
    missing = [task for task_id, task in found.items() if task_id not in known]
    if not missing or not request.create_missing_tasks:
        return _Target(active, known, created_suite=False, created_version=False)
    manifest = {**active.manifest, "tasks": [*active.manifest["tasks"], *missing]}
    version = await append_archived_version(session, principal, suite_id=request.suite_id, manifest=manifest)
    return _Target(version, known | frozenset(found), created_suite=False, created_version=True)


def _task(request: HistoryRequest, file: SamplesFile) -> Mapping[str, Any]:
    """A task that says where its results are. It can be read and ranked, but not run: its dataset is not here."""
    dataset = {"source": "huggingface", "path": request.repository, "data_files": file.path}
    return {"id": file.task_id, "type": "qa", "dataset": dataset}


async def _store_run(
    session: AsyncSession, principal: Principal, request: HistoryRequest, target: _Target, one: _Fetched
) -> int | None:
    """How many samples were stored; None when the file is skipped."""
    if one.file.task_id not in target.task_ids:
        return None
    suite_id = target.version.suite_id
    parts = ["history", str(suite_id), principal.on_behalf_of or "", request.repository, one.file.path]
    key = hashlib.sha256(canonical_bytes(parts)).digest()
    await repository.lock_import_key(session, key)
    if await repository.find_import(session, principal, suite_id=suite_id, key=key) is not None:
        return None
    content = await asyncio.to_thread(one.content.read_bytes)
    trials = await asyncio.to_thread(read_trials, one.file, content)
    now = utc_now()
    row = new_imported_run(
        principal,
        target.version,
        model=one.model,
        created_at=min(one.file.evaluated_at or now, now),
        metadata=_metadata(request, one.file),
    )
    row.import_key = key
    session.add(row)
    await session.flush()
    await repository.write_trials(session, row.id, await work_out(trials), task_order=row.task_order, now=now)
    await sum_up(session, row, parse_manifest(target.version.manifest))
    complete(row, now)
    await session.flush()
    return len(trials)


def _metadata(request: HistoryRequest, file: SamplesFile) -> dict[str, str]:
    """The caller's pairs, then as much of the run's origin as fits beside them."""
    origin = {"source_repo": request.repository, "source_revision": request.revision, "source_file": file.path}
    pairs = dict(request.metadata or {})
    for name, value in origin.items():
        if len(pairs) < 16 and len(value) <= MAX_VALUE_LENGTH:
            pairs.setdefault(name, value)
    return pairs
