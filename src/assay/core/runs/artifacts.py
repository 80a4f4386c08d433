"""The files that a run leaves (M§7 R23): ``results.json`` and ``samples.jsonl``.

PostgreSQL itself writes the samples as JSON and sends them as one stream, so a million of them pass through this
process without being parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.runs.ledger import allow_long_statements
from assay.core.runs.plan import RunPlan
from assay.db.engine import SessionFactory
from assay.db.session import transaction

CHUNKS_IN_MEMORY = 16
CHUNK_BYTES = 128 * 1024
"""PostgreSQL sends line by line; what follows costs by the chunk."""

# Neither control character occurs in JSON text, where they are escaped; so no field is ever quoted.
_COPY_DELIMITER, _COPY_QUOTE = "\x02", "\x01"

_SAMPLES = """
    SELECT json_build_object(
        'id', s.id, 'run_id', s.run_id, 'task_id', ($2::text[])[s.task_no + 1], 'model', ($3::text[])[s.model_no + 1],
        'sample_index', s.sample_index, 'repeat', s.repeat_no, 'status', s.status, 'prompt', i.prompt,
        'target', i.target,
        'output_text', s.output_text, 'extracted_output', s.extracted_output, 'reasoning', s.reasoning,
        'scores', coalesce(s.scores, '{}'), 'judge', s.judge, 'error', s.error, 'attempts', s.attempts,
        'response_id', s.response_id, 'cost_usd', s.cost_usd, 'input_tokens', s.input_tokens,
        'output_tokens', s.output_tokens, 'cached_tokens', s.cached_tokens, 'reasoning_tokens', s.reasoning_tokens,
        'tokens_estimated', s.tokens_estimated, 'phase_timings', s.phase_timings, 'started_at', s.started_at,
        'completed_at', s.completed_at, 'dataset_row', i.dataset_row
    )::text
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = $1::uuid
    ORDER BY s.task_no, s.model_no, s.sample_index, s.repeat_no
"""


async def stream_samples(sessions: SessionFactory, plan: RunPlan) -> AsyncGenerator[bytes]:
    """All samples of a run as JSON lines, in order, in chunks of many lines.

    Close the generator when not reading it to its end: a connection of the database hangs on it.
    """
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS_IN_MEMORY)

    async def copy() -> None:
        try:
            async with transaction(sessions) as session:
                await allow_long_statements(session)
                await _copy_samples(session, plan, chunks)
        except Exception:
            await chunks.put(None)
            raise
        # Not when cancelled: nobody reads then, and a full queue would never take it.
        await chunks.put(None)

    copying = asyncio.create_task(copy())
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
        await copying
    finally:
        copying.cancel()
        await asyncio.wait([copying])


async def _copy_samples(session: AsyncSession, plan: RunPlan, chunks: asyncio.Queue[bytes | None]) -> None:
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection was closed while samples were being read")
    gathered = bytearray()

    async def gather(lines: bytes) -> None:
        gathered.extend(lines)
        if len(gathered) >= CHUNK_BYTES:
            await chunks.put(bytes(gathered))
            gathered.clear()

    await driver.copy_from_query(
        _SAMPLES,
        plan.run_id,
        [task.id for task in plan.tasks],
        list(plan.models),
        output=gather,
        format="csv",
        delimiter=_COPY_DELIMITER,
        quote=_COPY_QUOTE,
    )
    if gathered:
        await chunks.put(bytes(gathered))
