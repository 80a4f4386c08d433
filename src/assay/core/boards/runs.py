"""The runs that a board of models and tasks is made of (M§2.8).

A completed run belongs to the group (model, task) of each task it was restricted to, or, unrestricted, to (model, all
tasks). Every group keeps its newest runs. When these are too many or too large for one answer, whole runs are left for
the next, in the order of their best place, so that every group's newest run comes before any group's second.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.boards.selection import completed_runs
from assay.core.projects.types import Principal
from assay.core.runs.models import RunRow
from assay.core.runs.service import show_runs
from assay.core.runs.types import Run
from assay.kit.errors import InvalidError

MAX_RUNS = 500
MAX_BYTES = 5 * 1024 * 1024
"""Most runs, and about most bytes of them, in one answer (R32). One run is always given."""
_BYTES_PER_RUN = 2048
"""Of a run besides its free-form parts."""
_MAX_CURSOR_LENGTH = 4096


class BoardCursorError(InvalidError):
    """The cursor is not one that this board gave."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__(
            "`cursor` is not a `next_cursor` of this board with the same parameters; leave it out to begin anew.",
            param="cursor",
        )


@dataclass(frozen=True, slots=True)
class Placing:
    """A run's place within a group; rank 1 is the newest."""

    model: str
    task_id: str | None
    """None is the group of runs over all tasks."""
    rank: int
    run_id: UUID


@dataclass(frozen=True, slots=True)
class BoardRuns:
    """Runs, newest first, and their places by model, task (all tasks first) and rank."""

    runs: Sequence[Run]
    placings: Sequence[Placing]
    next_cursor: str | None
    """Where to go on; None when nothing was left out."""


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """Which board."""

    suite_id: UUID
    suite_version: int | None = None
    model: str | None = None
    per_group: int = 5

    @property
    def fingerprint(self) -> str:
        """Tells cursors of different boards apart."""
        parts = [self.suite_id, self.suite_version, self.model, self.per_group]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]


class _Position(NamedTuple):
    """A run's place in the order in which runs are kept, which is that of its best group."""

    rank: int
    model: str
    task_key: str
    """Empty for all tasks, else ``+`` and the task."""
    run_id: UUID


async def list_board_runs(
    session: AsyncSession,
    principal: Principal,
    query: BoardQuery,
    *,
    cursor: str | None = None,
    max_runs: int = MAX_RUNS,
    max_bytes: int = MAX_BYTES,
) -> BoardRuns:
    """Runs of a suite's board.

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not visible to the caller.
        BoardCursorError: The cursor belongs to no board, or to another.
    """
    completed = await completed_runs(session, principal, suite_id=query.suite_id, suite_version=query.suite_version)
    values = {"run_ids": completed, "model": query.model, "per_group": query.per_group}
    after = None if cursor is None else _read_cursor(cursor, query)
    kept, more = await _choose(session, values, after=after, max_runs=max_runs, max_bytes=max_bytes)
    run_ids = [position.run_id for position in kept]
    rows = (await session.scalars(select(RunRow).where(RunRow.id.in_(run_ids)))).all()
    runs = await show_runs(session, principal, rows)
    placings = await _placings(session, values, run_ids)
    return BoardRuns(
        runs=sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True),
        placings=placings,
        next_cursor=_write_cursor(kept[-1], query) if more else None,
    )


async def _choose(
    session: AsyncSession,
    board: Mapping[str, Any],
    *,
    after: _Position | None,
    max_runs: int,
    max_bytes: int,
) -> tuple[list[_Position], bool]:
    """The runs to give, and whether others are left."""
    position = after or _Position(0, "", "", UUID(int=0))
    values = {**board, **_named(position), "limit": max_runs + 1, "overhead": _BYTES_PER_RUN}
    kept: list[_Position] = []
    size = 0
    for row in await session.execute(_CANDIDATES, values):
        size += row.bytes
        if len(kept) == max_runs or (kept and size > max_bytes):
            return kept, True
        kept.append(_Position(row.rank, row.model, row.task_key, UUID(int=row.run_id.int)))
    return kept, False


def _named(position: _Position) -> dict[str, Any]:
    return {f"after_{name}": value for name, value in position._asdict().items()}


_RANKED = """
    WITH ranked AS (
        SELECT r.id AS run_id, m.model COLLATE "C" AS model, t.task_id COLLATE "C" AS task_id,
               CASE WHEN t.task_id IS NULL THEN '' ELSE '+' || t.task_id END COLLATE "C" AS task_key,
               row_number() OVER (PARTITION BY m.model, t.task_id ORDER BY r.created_at DESC, r.id DESC) AS rank
        FROM runs r
        CROSS JOIN LATERAL (SELECT DISTINCT jsonb_array_elements_text(r.models)) AS m (model)
        CROSS JOIN LATERAL (
            SELECT NULL::text WHERE r.task_ids IS NULL
            UNION SELECT jsonb_array_elements_text(r.task_ids) WHERE r.task_ids IS NOT NULL
        ) AS t (task_id)
        WHERE r.id = ANY (:run_ids) AND (CAST(:model AS text) IS NULL OR m.model = :model)
    )
"""
# Constants of this module, no text of a user.
_CANDIDATES = text(
    _RANKED
    + """
    , best AS (
        SELECT DISTINCT ON (run_id) run_id, rank, model, task_key FROM ranked
        WHERE rank <= :per_group ORDER BY run_id, rank, model, task_key
    )
    SELECT best.*, :overhead + octet_length(coalesce(r.metrics::text, '')) + octet_length(r.generation::text)
           + octet_length(r.metadata::text) + octet_length(coalesce(r.error::text, ''))
           + octet_length(r.models::text) + octet_length(coalesce(r.task_ids::text, '')) AS bytes
    FROM (
        SELECT * FROM best
        WHERE (rank, model, task_key, run_id)
            > (CAST(:after_rank AS bigint), CAST(:after_model AS text) COLLATE "C",
               CAST(:after_task_key AS text) COLLATE "C", CAST(:after_run_id AS uuid))
        ORDER BY rank, model, task_key, run_id LIMIT :limit
    ) AS best JOIN runs r ON r.id = best.run_id
    ORDER BY best.rank, best.model, best.task_key, best.run_id
    """
)
_PLACINGS = text(
    _RANKED
    + """
    SELECT model, task_id, rank, run_id FROM ranked WHERE rank <= :per_group AND run_id = ANY (:kept)
    ORDER BY model, task_key, rank
    """
)


async def _placings(session: AsyncSession, board: Mapping[str, Any], kept: Sequence[UUID]) -> list[Placing]:
    found = await session.execute(_PLACINGS, {**board, "kept": list(kept)})
    return [Placing(row.model, row.task_id, row.rank, UUID(int=row.run_id.int)) for row in found]


def _write_cursor(position: _Position, query: BoardQuery) -> str:
    parts = [query.fingerprint, *position]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _read_cursor(cursor: str, query: BoardQuery) -> _Position:
    if len(cursor) > _MAX_CURSOR_LENGTH:
        raise BoardCursorError
    try:
        fingerprint, rank, model, task_key, run_id = orjson.loads(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        )
        position = _Position(int(rank), str(model), str(task_key), UUID(run_id))
    except (ValueError, TypeError, AttributeError) as fault:
        raise BoardCursorError from fault
    if fingerprint != query.fingerprint or "\0" in model + task_key or not 0 <= position.rank < 2**31:
        raise BoardCursorError
    return position
