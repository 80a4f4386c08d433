"""Runs of coding agents: imported whole, or opened and then filled trial by trial (M§2.12)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.imports import repository
from assay.core.imports.errors import ImportInputError
from assay.core.imports.rows import complete, new_imported_run, sum_up
from assay.core.imports.trials import check_trials, work_out
from assay.core.imports.types import AgentRun, ImportedRun, Trial
from assay.core.projects.types import Principal
from assay.core.runs.errors import RunNotFoundError, RunStateError
from assay.core.runs.models import RunRow
from assay.core.runs.repository import find_manifest, find_run, to_run
from assay.core.runs.types import Run, RunStatus
from assay.core.suites.manifest import Manifest, parse_manifest
from assay.core.suites.service import get_suite_version
from assay.core.suites.types import SuiteVersion
from assay.kit.clock import utc_now
from assay.kit.json import canonical_bytes

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = timedelta(days=1)
"""How far a clock elsewhere may be ahead of ours."""


async def import_agent_run(session: AsyncSession, principal: Principal, agent_run: AgentRun) -> ImportedRun:
    """Store a run that an agent did elsewhere.

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not the caller's own.
        ImportInputError: A trial names a task that the version lacks, or a field is out of bounds.
        MetadataError: The metadata is out of bounds.
    """
    version = await get_suite_version(session, principal, suite_id=agent_run.suite_id, version=agent_run.suite_version)
    key, digest = _key(principal, agent_run), _digest(agent_run)
    if key is not None:
        await repository.lock_import_key(session, key)
        first = await repository.find_import(session, principal, suite_id=agent_run.suite_id, key=key)
        if first is not None:
            return ImportedRun(to_run(first, principal.organization_id), key_reused=first.import_digest != digest)
    manifest = parse_manifest(version.manifest)
    check_trials(agent_run.trials, {task.id for task in manifest.tasks})
    row = _new_row(principal, version, agent_run)
    row.import_key, row.import_digest = key, digest
    session.add(row)
    await session.flush()
    await _take_in(session, row, manifest, agent_run.trials, finalize=agent_run.finalize)
    if agent_run.cost_usd is not None:
        row.cost_usd = agent_run.cost_usd
    await session.flush()
    return ImportedRun(to_run(row, principal.organization_id))


async def append_trials(
    session: AsyncSession, principal: Principal, *, run_id: UUID, trials: Sequence[Trial], finalize: bool = False
) -> Run:
    """Add trials to an open imported run, or replace those that were sent before.

    Raises:
        RunNotFoundError: Not the caller's own.
        RunStateError: It is not an imported run, or no longer open (R3).
        ImportInputError: A trial names a task that the version lacks, or is out of bounds.
    """
    row = await find_run(session, principal, run_id=run_id, lock=True)
    if row is None:
        raise RunNotFoundError("No such run.", param="run_id")
    status = RunStatus(row.status)
    if not row.imported:
        raise RunStateError("Trials go into imported runs only; this one is carried out here.", status)
    if status is not RunStatus.IN_PROGRESS:
        raise RunStateError(f"A {status.value} run takes no more trials.", status)
    check_trials(trials, row.task_order)
    manifest = parse_manifest(await find_manifest(session, row.suite_version_id))
    await _take_in(session, row, manifest, trials, finalize=finalize)
    await session.flush()
    return to_run(row, principal.organization_id)


async def _take_in(
    session: AsyncSession, row: RunRow, manifest: Manifest, trials: Sequence[Trial], *, finalize: bool
) -> None:
    now = utc_now()
    await repository.write_trials(session, row.id, await work_out(trials), task_order=row.task_order, now=now)
    await sum_up(session, row, manifest)
    row.updated_at = now
    if finalize:
        complete(row, now)


def _new_row(principal: Principal, version: SuiteVersion, agent_run: AgentRun) -> RunRow:
    now = utc_now()
    created_at = agent_run.created_at or now
    if not EARLIEST <= created_at <= now + LATEST:
        raise ImportInputError(
            "`created_at` must lie between the year 2000 and tomorrow, in seconds since 1970.", param="created_at"
        )
    row = new_imported_run(
        principal, version, model=agent_run.model, created_at=created_at, metadata=agent_run.metadata
    )
    row.expected_samples = agent_run.expected_trials
    row.agent_name = agent_run.agent_name
    row.agent_version = agent_run.agent_version
    row.agent_effort = agent_run.agent_effort
    row.cost_usd = agent_run.cost_usd
    return row


def _key(principal: Principal, agent_run: AgentRun) -> bytes | None:
    """One key names one run of a suite; end users do not come upon each other's."""
    if agent_run.idempotency_key is None:
        return None
    parts = ["agent-run", str(agent_run.suite_id), principal.on_behalf_of or "", agent_run.idempotency_key]
    return hashlib.sha256(canonical_bytes(parts)).digest()


def _digest(agent_run: AgentRun) -> bytes:
    return hashlib.sha256(repr(agent_run).encode(errors="surrogatepass")).digest()
