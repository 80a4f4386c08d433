"""SQL of the work itself: samples laid out, leased in chunks, and recorded once.

Recording is exact however often a worker repeats itself: a sample that is already terminal is left alone, and the run's
counters move only with samples that changed, in the same statement. Leases are therefore about not paying twice, never
about correctness.

A worker that was thought dead may still write. What it writes for the present execution is as good as anybody's; what
belongs to an older execution is refused, because a rerun has queued the same samples anew. Recording locks the run's
row first, so two lanes that hold the same samples wait for each other and never deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.runs.errors import RunNotFoundError
from assay.core.runs.models import RunRow
from assay.core.runs.types import RunStatus, SampleStatus
from assay.core.runs.writable import encode

CHUNK_SIZE = 256
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Execution:
    """One carrying-out of a run; a retry or a rerun is the next one."""

    run_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class NewItem:
    """A dataset row that was rendered."""

    task_no: int
    sample_index: int
    dataset_row: str
    """JSON text."""
    prompt: str
    target: str | None
    protocol: str | None = None
    """JSON text."""


@dataclass(frozen=True, slots=True)
class NewSample:
    """A sample to be queued."""

    id: UUID
    task_no: int
    model_no: int
    sample_index: int
    repeat_no: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A leased range of samples of one task and model: all repeats of the items in it."""

    chunk_no: int
    task_no: int
    model_no: int
    first_index: int
    last_index: int


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A sample to carry out, with what is asked."""

    id: UUID
    task_no: int
    model_no: int
    sample_index: int
    status: SampleStatus
    dataset_row: dict[str, Any]
    prompt: str
    target: str | None
    output_text: str | None
    extracted_output: str | None
    response_id: str | None
    repeat_no: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What a lane got: a chunk or nothing, and the run's status at that moment."""

    status: RunStatus
    chunk: Chunk | None


async def copy_items(session: AsyncSession, run_id: UUID, items: Sequence[NewItem]) -> None:
    """Insert items by COPY, in the session's transaction."""
    records = [(run_id, i.task_no, i.sample_index, i.dataset_row, i.prompt, i.target, i.protocol) for i in items]
    columns = ["run_id", "task_no", "sample_index", "dataset_row", "prompt", "target", "protocol"]
    await _copy(session, "run_items", columns, records)


async def copy_samples(session: AsyncSession, run_id: UUID, samples: Sequence[NewSample], now: Any) -> None:
    """Insert queued samples by COPY, in the session's transaction."""
    queued = SampleStatus.QUEUED.value
    records = [(run_id, s.task_no, s.model_no, s.sample_index, s.repeat_no, s.id, queued, False, now) for s in samples]
    key = ["run_id", "task_no", "model_no", "sample_index", "repeat_no"]
    columns = [*key, "id", "status", "tokens_estimated", "created_at"]
    await _copy(session, "run_samples", columns, records)


async def _copy(session: AsyncSession, table: str, columns: list[str], records: list[tuple[Any, ...]]) -> None:
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection was closed while rows were being written")
    await driver.copy_records_to_table(table, columns=columns, records=records)


async def allow_long_statements(session: AsyncSession) -> None:
    """Lift the time limit of statements for the rest of the transaction: a million rows take their time."""
    await session.execute(text("SET LOCAL statement_timeout = 0"))


async def pin_revision(session: AsyncSession, run_id: UUID, *, source: str, revision: str) -> str:
    """Note what a run reads of a source, unless that is noted already; returns what is noted.

    Raises:
        RunNotFoundError: The run has been deleted meanwhile.
    """
    query = text("""
        UPDATE runs SET dataset_revisions = jsonb_build_object(CAST(:source AS text), CAST(:revision AS text))
                                            || dataset_revisions
        WHERE id = :run_id RETURNING dataset_revisions ->> CAST(:source AS text)
    """)
    noted = (
        await session.execute(query, {"run_id": run_id, "source": source, "revision": revision})
    ).scalar_one_or_none()
    if noted is None:
        raise RunNotFoundError(f"Run {run_id} does not exist.")
    return str(noted)


async def try_lock_layout(session: AsyncSession, run_id: UUID) -> bool:
    """Claim the laying out of a run until the end of the transaction; False when somebody else has it."""
    query = text("SELECT pg_try_advisory_xact_lock(hashtextextended(CAST(:run_id AS text), 0))")
    return bool((await session.execute(query, {"run_id": str(run_id)})).scalar_one())


async def has_items(session: AsyncSession, run_id: UUID) -> bool:
    """Whether the run is laid out."""
    query = text("SELECT EXISTS (SELECT FROM run_items WHERE run_id = :run_id)")
    return bool((await session.execute(query, {"run_id": run_id})).scalar_one())


async def count_chunks(session: AsyncSession, run_id: UUID) -> int:
    """Chunks that are to be carried out."""
    query = text("SELECT count(*) FROM run_chunks WHERE run_id = :run_id AND NOT done")
    return int((await session.execute(query, {"run_id": run_id})).scalar_one())


async def plan_chunks(session: AsyncSession, run_id: UUID) -> int:
    """Cut the samples that are not terminal into chunks, replacing earlier chunks.

    Chunks of all tasks and models are interleaved, so that a slow model never stands before a fast one. All repeats of
    an item are in one chunk.

    Returns:
        Number of chunks.
    """
    await session.execute(text("DELETE FROM run_chunks WHERE run_id = :run_id"), {"run_id": run_id})
    planned = await session.execute(_PLAN_CHUNKS, {"run_id": run_id, "size": CHUNK_SIZE})
    return len(planned.all())


_PLAN_CHUNKS = text("""
    INSERT INTO run_chunks (run_id, chunk_no, task_no, model_no, first_index, last_index, done)
    SELECT :run_id, row_number() OVER (ORDER BY bucket, task_no, model_no) - 1, task_no, model_no,
           min(sample_index), max(sample_index), false
    FROM (
        SELECT task_no, model_no, sample_index,
               (dense_rank() OVER (PARTITION BY task_no, model_no ORDER BY sample_index) - 1)
                   / greatest(1, :size / (SELECT repeats FROM runs WHERE id = :run_id)) AS bucket
        FROM run_samples
        WHERE run_id = :run_id AND status IN ('queued', 'ready_to_score')
    ) AS outstanding
    GROUP BY task_no, model_no, bucket
    RETURNING chunk_no
""")


async def release_chunks(session: AsyncSession, run_id: UUID, lane: str) -> None:
    """Give back what an earlier attempt of the same lane still holds. A lane's name begins with its execution."""
    await session.execute(
        text("UPDATE run_chunks SET lane = NULL, leased_until = NULL WHERE run_id = :run_id AND lane = :lane"),
        {"run_id": run_id, "lane": lane},
    )


async def lease_chunk(session: AsyncSession, execution: Execution, lane: str) -> Lease:
    """Take the next free chunk for half a minute, unless the run is no longer in progress."""
    status = await read_status(session, execution)
    if status is not RunStatus.IN_PROGRESS:
        return Lease(status=status, chunk=None)
    values = {"run_id": execution.run_id, "execution": execution.number, "lane": lane, "lease": LEASE}
    found = await session.execute(_LEASE_CHUNK, values)
    row = found.one_or_none()
    return Lease(status=status, chunk=None if row is None else Chunk(*row))


_LEASE_CHUNK = text("""
    UPDATE run_chunks SET lane = :lane, leased_until = now() + :lease
    WHERE run_id = :run_id AND chunk_no = (
        SELECT chunk_no FROM run_chunks
        WHERE run_id = :run_id AND NOT done AND (leased_until IS NULL OR leased_until < now())
        ORDER BY chunk_no LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    AND EXISTS (SELECT FROM runs WHERE id = :run_id AND execution = :execution AND status = 'in_progress')
    RETURNING chunk_no, task_no, model_no, first_index, last_index
""")


async def renew_leases(session: AsyncSession, execution: Execution, lane: str) -> RunStatus:
    """Hold the lane's chunks for another half minute; returns the run's status."""
    await session.execute(_RENEW_LEASES, {"run_id": execution.run_id, "lane": lane, "lease": LEASE})
    return await read_status(session, execution)


_RENEW_LEASES = text("""
    UPDATE run_chunks SET leased_until = now() + :lease WHERE run_id = :run_id AND lane = :lane AND NOT done
""")


async def has_free_chunks(session: AsyncSession, run_id: UUID, lane: str) -> bool:
    """Whether chunks are left that no other lane is at work on."""
    found = await session.execute(_HAS_FREE_CHUNKS, {"run_id": run_id, "lane": lane})
    return bool(found.scalar_one())


_HAS_FREE_CHUNKS = text("""
    SELECT EXISTS (
        SELECT FROM run_chunks
        WHERE run_id = :run_id AND NOT done AND (lane IS NULL OR lane = :lane OR leased_until < now())
    )
""")


async def read_status(session: AsyncSession, execution: Execution) -> RunStatus:
    """The run's status as this execution should see it.

    A run that was deleted counts as cancelling; one that is gone, or went on to another execution, as cancelled.
    """
    found = await session.execute(_READ_STATUS, {"run_id": execution.run_id})
    row = found.one_or_none()
    if row is None or row.execution != execution.number:
        return RunStatus.CANCELLED
    status = RunStatus(row.status)
    return RunStatus.CANCELLING if row.deleted and not status.is_terminal else status


_READ_STATUS = text("SELECT status, execution, deleted_at IS NOT NULL AS deleted FROM runs WHERE id = :run_id")


async def load_chunk(session: AsyncSession, run_id: UUID, chunk: Chunk) -> list[WorkItem]:
    """The samples of a chunk that are not terminal."""
    found = await session.execute(
        _LOAD_CHUNK,
        {
            "run_id": run_id,
            "task_no": chunk.task_no,
            "model_no": chunk.model_no,
            "first_index": chunk.first_index,
            "last_index": chunk.last_index,
        },
    )
    return [
        WorkItem(
            id=row[0],
            task_no=chunk.task_no,
            model_no=chunk.model_no,
            sample_index=row[1],
            status=SampleStatus(row[2]),
            dataset_row=orjson.loads(row[3]),
            prompt=row[4],
            target=row[5],
            output_text=row[6],
            extracted_output=row[7],
            response_id=row[8],
            repeat_no=row[9],
        )
        for row in found
    ]


# The range stands on both sides of the join: the tables were filled a moment ago and have no statistics yet, and the
# planner would read all items of the task for every sample of the chunk.
_LOAD_CHUNK = text("""
    SELECT s.id, s.sample_index, s.status, i.dataset_row::text, i.prompt, i.target, s.output_text, s.extracted_output,
           s.response_id, s.repeat_no
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.model_no = :model_no
      AND s.sample_index BETWEEN :first_index AND :last_index AND s.status IN ('queued', 'ready_to_score')
      AND i.sample_index BETWEEN :first_index AND :last_index
    ORDER BY s.sample_index, s.repeat_no
""")


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What became of a sample; ``values`` are columns by name, JSON-ready. Those left out become null."""

    task_no: int
    model_no: int
    sample_index: int
    status: SampleStatus
    values: dict[str, Any]
    repeat_no: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the run stands after a write."""

    status: RunStatus
    """``cancelled`` when the run has gone on to another execution, and nothing was written."""
    spent_usd: Decimal = Decimal(0)
    """What all its results have cost so far."""


async def record_answers(session: AsyncSession, execution: Execution, results: Sequence[SampleResult]) -> Standing:
    """Write answers, scored or still to be scored, and move the run's counters, in one statement.

    Returns:
        How the run stands, so that a worker notices a cancellation or an empty purse at every write.
    """
    return await _record(session, _RECORD_ANSWERS, execution, results)


async def record_scores(session: AsyncSession, execution: Execution, results: Sequence[SampleResult]) -> Standing:
    """Write the scores of samples whose answers are stored already, and move the run's counters.

    ``extracted_output`` is kept where the result has none.
    """
    return await _record(session, _RECORD_SCORES, execution, results)


async def read_spent(session: AsyncSession, run_id: UUID) -> Decimal:
    """What all results of a run have cost so far."""
    return await session.scalar(select(RunRow.spent_usd).where(RunRow.id == run_id)) or Decimal(0)


async def close_chunks(session: AsyncSession, run_id: UUID, lane: str, chunk_nos: Sequence[int]) -> None:
    """Mark chunks as carried out, those that the lane still holds."""
    await session.execute(_CLOSE_CHUNKS, {"run_id": run_id, "lane": lane, "chunk_nos": list(chunk_nos)})


async def _record(
    session: AsyncSession, statement: TextClause, execution: Execution, results: Sequence[SampleResult]
) -> Standing:
    rows = [
        {"t": r.task_no, "m": r.model_no, "i": r.sample_index, "n": r.repeat_no, "status": r.status.value, **r.values}
        for r in results
    ]
    values = {"run_id": execution.run_id, "execution": execution.number, "rows": encode(rows)}
    found = (await session.execute(statement, values)).one_or_none()
    return Standing(RunStatus.CANCELLED) if found is None else Standing(RunStatus(found.status), found.spent_usd)


_ENCODED = frozenset({"vectors"})
"""Columns of bytes, which JSON has in base64."""


def _recording(columns: dict[str, str], *, kept: frozenset[str] = frozenset()) -> TextClause:
    """A statement that writes the given columns (name to SQL type); ``kept`` ones keep their value when none comes."""
    given = {name: f"decode(r.{name}, 'base64')" if name in _ENCODED else f"r.{name}" for name in columns}
    assignments = ", ".join(
        f"{name} = coalesce({value}, s.{name})" if name in kept else f"{name} = {value}"
        for name, value in given.items()
    )
    declared = ", ".join(f"{name} {sql_type}" for name, sql_type in columns.items())
    paid = " + ".join(
        f"coalesce({cost}, 0)"
        for cost in (*(["r.cost_usd"] if "cost_usd" in columns else []), "CAST(r.judge->>'cost_usd' AS numeric)")
    )
    return text(f"""
        WITH held AS (
            SELECT id FROM runs WHERE id = :run_id AND execution = :execution FOR NO KEY UPDATE
        ), changed AS (
            UPDATE run_samples s SET status = r.status, {assignments}
            FROM held, json_to_recordset(CAST(:rows AS json))
                AS r (t smallint, m smallint, i integer, n smallint, status text, {declared})
            WHERE s.run_id = :run_id AND s.task_no = r.t AND s.model_no = r.m AND s.sample_index = r.i
              AND s.repeat_no = r.n AND s.status IN ('queued', 'ready_to_score')
            RETURNING s.status, {paid} AS paid
        )
        UPDATE runs
        SET completed = completed + (SELECT count(*) FROM changed WHERE status = 'completed'),
            failed = failed + (SELECT count(*) FROM changed WHERE status = 'failed'),
            spent_usd = spent_usd + (SELECT coalesce(sum(paid), 0) FROM changed),
            updated_at = now()
        WHERE id = :run_id AND execution = :execution
        RETURNING status, spent_usd
    """)


_SCORE_COLUMNS = {
    "extracted_output": "text",
    "scores": "jsonb",
    "judge": "jsonb",
    "error": "jsonb",
    "completed_at": "timestamptz",
}
_ANSWER_COLUMNS = {
    **_SCORE_COLUMNS,
    "output_text": "text",
    "reasoning": "text",
    "response_id": "text",
    "attempts": "jsonb",
    "cost_usd": "numeric",
    "input_tokens": "integer",
    "output_tokens": "integer",
    "cached_tokens": "integer",
    "reasoning_tokens": "integer",
    "tokens_estimated": "boolean",
    "phase_timings": "jsonb",
    "started_at": "timestamptz",
    "vectors": "text",
}
_RECORD_ANSWERS = _recording(_ANSWER_COLUMNS, kept=frozenset({"tokens_estimated"}))
_RECORD_SCORES = _recording(_SCORE_COLUMNS, kept=frozenset({"extracted_output"}))

_CLOSE_CHUNKS = text("""
    UPDATE run_chunks SET done = true, lane = NULL, leased_until = NULL
    WHERE run_id = :run_id AND lane = :lane AND chunk_no = ANY (:chunk_nos)
""")
