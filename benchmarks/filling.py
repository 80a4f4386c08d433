"""Fills a database with runs as large ones leave them, straight into the tables: an hour of calls in a minute.

A suite gets one run with all the samples (two tasks, two models, one sample in twenty failed), and many small runs
beside it, so that lists have something to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

TASKS = ("arithmetic", "geography")
MODELS = ("openai/small", "openai/large")
RUNS_PER_SAMPLE = 0.01
_FILL_SECONDS = 600
_PARTS = len(TASKS) * len(MODELS)


@dataclass(frozen=True, slots=True)
class Filled:
    """The large run, and a sample after six tenths of it."""

    run_id: UUID
    deep_sample_id: UUID


async def fill(database_url: str, suite_id: UUID, samples: int) -> Filled:
    """Fill a database.

    Args:
        database_url: ``postgresql://…``.
        suite_id: Whose runs they are to be; its tasks are ``TASKS``.
        samples: Of the large run; a multiple of four.
    """
    connection = await asyncpg.connect(database_url, command_timeout=_FILL_SECONDS)
    rows = samples // _PARTS
    try:
        await connection.execute(_RUNS, suite_id, int(samples * RUNS_PER_SAMPLE), 20)
        run_id = await connection.fetchval(f"{_RUNS} RETURNING id", suite_id, 1, samples)
        await connection.execute(_ITEMS, run_id, rows)
        await connection.execute(_SAMPLES, run_id, rows)
        await connection.execute("VACUUM (ANALYZE)")
        deep = await connection.fetchval(_SAMPLE_AT, run_id, int(rows * 0.4))
    finally:
        await connection.close()
    return Filled(run_id, deep)


_RUNS = f"""
    INSERT INTO runs (
        id, project_id, suite_id, suite_version_id, suite_version, status, execution, prepared, task_order, models,
        generation, metadata, total, completed, failed, metrics, group_metrics, cost_usd, input_tokens, output_tokens,
        created_at, updated_at, started_at, completed_at
    )
    SELECT uuidv7(), s.project_id, s.id, v.id, 1, CASE WHEN n % 50 = 7 THEN 'failed' ELSE 'completed' END, 1, true,
           '["{TASKS[0]}", "{TASKS[1]}"]', '["{MODELS[0]}", "{MODELS[1]}"]', '{{}}', '{{"branch": "main"}}',
           $3::int, $3 - $3 / 20, $3 / 20,
           '{{"overall": {{"exact_match": 0.8, "f1": 0.85}}, "by_model": {{}}, "by_task": {{}}}}', '{{}}',
           0.0001 * $3, 40 * $3, 5 * $3, now(), now(), now(), now()
    FROM suites s JOIN suite_versions v ON v.suite_id = s.id CROSS JOIN generate_series(1, $2::int) AS n
    WHERE s.id = $1
"""

_ITEMS = """
    INSERT INTO run_items (run_id, task_no, sample_index, dataset_row, prompt, target)
    SELECT $1, task_no, n, jsonb_build_object('question', 'What is the answer to question ' || n, 'answer', n::text),
           'Answer in one word. What is the answer to question ' || n || '?', n::text
    FROM generate_series(0, 1) AS task_no CROSS JOIN generate_series(0, $2::int - 1) AS n
"""

_SAMPLES = """
    INSERT INTO run_samples (
        run_id, task_no, model_no, sample_index, id, status, output_text, extracted_output, response_id, scores, error,
        cost_usd, input_tokens, output_tokens, cached_tokens, reasoning_tokens, tokens_estimated, phase_timings,
        created_at, started_at, completed_at
    )
    SELECT $1, task_no, model_no, n, uuidv7(), CASE WHEN n % 20 = 3 THEN 'failed' ELSE 'completed' END,
           CASE WHEN n % 20 <> 3 THEN 'The answer is ' || n END, CASE WHEN n % 20 <> 3 THEN n::text END,
           'chatcmpl-' || n,
           CASE WHEN n % 20 <> 3 THEN jsonb_build_object('exact_match', (n % 5 > 0)::int, 'f1', (n % 101) / 100.0) END,
           CASE WHEN n % 20 = 3 THEN '{"code": "rate_limited", "message": "HTTP 429", "attempts": 6}'::jsonb END,
           0.0001, 40, 5, 0, 0, false,
           '{"generation": {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z"}}',
           now(), now(), now()
    FROM generate_series(0, 1) AS task_no CROSS JOIN generate_series(0, 1) AS model_no
         CROSS JOIN generate_series(0, $2::int - 1) AS n
"""

_SAMPLE_AT = "SELECT id FROM run_samples WHERE run_id = $1 AND task_no = 1 AND model_no = 0 AND sample_index = $2"
