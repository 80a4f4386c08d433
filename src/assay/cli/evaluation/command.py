"""How the commands of this package begin and end.

0 the run completed (and met its thresholds) · 1 it did not · 2 wrong usage or input · 130 stopped by the user
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import orjson
import typer

from assay.cli.console import ExitCode, print_error, print_json, run
from assay.cli.evaluation import report, standings, summary
from assay.cli.evaluation.client import ApiClient, Json
from assay.cli.evaluation.follow import RunInterruptedError, follow_run
from assay.cli.evaluation.progress import open_display
from assay.cli.signals import run_until_stopped
from assay.kit.errors import InvalidError

INTERRUPTED = 130
"""What shells use for a command that SIGINT ended."""


class GenerationOptionError(InvalidError):
    """A ``--generation`` option is not ``key=value``."""

    code = "invalid_generation_option"


def run_command(main: Coroutine[Any, Any, ExitCode]) -> None:
    """Run a command to its end and end the process with its exit code."""
    codes: list[int] = []

    async def collect() -> None:
        codes.append(await main)

    try:
        run(run_until_stopped(collect()))
    except RunInterruptedError as interrupted:
        print_error(interrupted.message)
    else:
        if not codes:
            print_error("stopped.")
    raise typer.Exit(codes[0] if codes else INTERRUPTED)


def parse_generation(options: Sequence[str]) -> Json:
    """Generation parameters from ``key=value``; a value that is JSON is that, any other a text.

    Raises:
        GenerationOptionError: One of them is not of that form.
    """
    generation: Json = {}
    for option in options:
        key, sign, text = option.partition("=")
        if not sign or not key:
            raise GenerationOptionError(f"--generation {option!r}: write <key>=<value>, such as temperature=0.2.")
        try:
            generation[key] = orjson.loads(text)
        except orjson.JSONDecodeError:
            generation[key] = text
    return generation


async def carry_out(client: ApiClient, run: Json) -> Json:
    """Follow a run to its end, showing how far it is; returns it as it is then."""
    with open_display() as show:
        return await follow_run(client, run, show)


async def conclude(
    client: ApiClient,
    run: Json,
    manifest: Json,
    *,
    as_json: bool,
    thresholds: Sequence[summary.Threshold] = (),
    output: Path | None = None,
) -> ExitCode:
    """Print and save what came of a run."""
    rows = summary.result_rows(run, manifest)
    for line in await report.describe_failures(client, run):
        print_error(line)
    saved = [] if output is None else await report.save_artifacts(client, run["id"], output)
    completed = run["status"] == "completed"
    missed = summary.missed_thresholds(run, thresholds) if completed else []
    found = await standings.find_standings(client, run["id"], rows) if completed else []
    if as_json:
        print_json(report.report_json(run, rows, found, base_url=client.base_url, missed=missed))
    elif completed:
        report.print_results(rows, found)
        for path in saved:
            typer.echo(f"Saved {path}")
    for sentence in missed:
        print_error(sentence)
    counts = run["request_counts"]
    usable = completed and (counts["completed"] > 0 or counts["total"] == 0)
    return ExitCode.OK if usable and not missed else ExitCode.FAILED
