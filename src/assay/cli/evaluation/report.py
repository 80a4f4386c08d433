"""What a finished run looks like: on the terminal, as JSON, and as files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import typer

from assay.cli.console import print_table
from assay.cli.evaluation.client import ApiClient, Json
from assay.cli.evaluation.progress import format_cost
from assay.cli.evaluation.standings import Standing
from assay.cli.evaluation.summary import ResultRow

_SHOWN_FAULTS = 3
_LAST_COLUMNS = ("95 % interval", "n", "failed", "tokens in/out", "cost")


def report_json(
    run: Json, rows: Sequence[ResultRow], standings: Sequence[Standing], *, base_url: str, missed: Sequence[str]
) -> Json:
    """The result as one document."""
    return {
        "run": run,
        "server": base_url,
        "results": [asdict(row) for row in rows],
        "comparisons": [asdict(standing) for standing in standings],
        "missed_thresholds": list(missed),
    }


def print_results(rows: Sequence[ResultRow], standings: Sequence[Standing]) -> None:
    """Print a table for each task, and a sentence for each standing."""
    for task_id in dict.fromkeys(row.task_id for row in rows):
        of_task = [row for row in rows if row.task_id == task_id]
        typer.echo()
        print_table((task_id, of_task[0].metric or "not scored", *_LAST_COLUMNS), map(_cells, of_task))
        methods = dict.fromkeys(row.interval.method for row in of_task if row.interval is not None)
        if methods:
            typer.echo(f"Method of the intervals: {', '.join(methods)}.")
    typer.echo()
    for row in rows:
        if row.unscored:
            typer.echo(f"{row.task_id}, {row.model}: {row.unscored} answers could not be scored.")
    for standing in standings:
        typer.echo(standing.sentence)


def _cells(row: ResultRow) -> tuple[str, ...]:
    interval = row.interval
    return (
        row.model,
        "–" if row.value is None else f"{row.value:.3f}",
        "–" if interval is None else f"{interval.low:.3f}–{interval.high:.3f}",
        f"{row.n:,}",
        f"{row.failed:,}",
        f"{_count(row.input_tokens)}/{_count(row.output_tokens)}",
        format_cost(row.cost_usd),
    )


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


async def describe_failures(client: ApiClient, run: Json) -> list[str]:
    """Why a run failed, or why some of its samples did."""
    lines: list[str] = []
    if run["error"] is not None:
        lines.append(f"run {run['id']} failed: {run['error'].get('message', run['error'])}")
    failed = run["request_counts"]["failed"]
    if not failed:
        return lines
    lines.append(f"{failed:,} of {run['request_counts']['total']:,} samples failed, such as:")
    for sample in await client.list_failed_samples(run["id"], limit=_SHOWN_FAULTS):
        error = cast("Json | None", sample["error"])
        reason = "unknown reason" if error is None else error["message"]
        lines.append(f"  {sample['task_id']}, {sample['model']}, row {sample['sample_index'] + 1}: {reason}")
    lines.append(f"Run them again with `assay runs rerun-failed {run['id']}`.")
    return lines


async def save_artifacts(client: ApiClient, run_id: str, folder: Path) -> list[Path]:
    """Download ``results.json`` and ``samples.jsonl`` into a folder, which is made if it is not there."""
    artifacts = await client.get_artifacts(run_id)
    named = {"results.json": artifacts["result_file_id"], "samples.jsonl": artifacts["samples_file_id"]}
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    saved: list[Path] = []
    for name, file_id in named.items():
        if file_id is not None:
            await client.download(file_id, folder / name)
            saved.append(folder / name)
    return saved
