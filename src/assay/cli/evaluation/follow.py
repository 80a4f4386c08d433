"""Waiting for a run's end. Ctrl-C cancels the run on the server, where it can be taken up again."""

from __future__ import annotations

import asyncio
import time

from assay.cli.evaluation.client import ApiClient, Json
from assay.cli.evaluation.progress import Show, Snapshot
from assay.kit.errors import ConflictError, DomainError

TERMINAL = frozenset({"completed", "failed", "cancelled"})
_POLL_SECONDS = 0.25
_OVERVIEW_SECONDS = 1.0
_OVERVIEW_SHARE = 0.05
"""Most of the time that may go into summing up costs, which takes longer the larger the run is."""
_CANCEL_SECONDS = 15.0


class RunInterruptedError(ConflictError):
    """The user stopped the command."""

    code = "interrupted"


async def follow_run(client: ApiClient, run: Json, show: Show) -> Json:
    """Wait until the run has ended; returns it as it is then.

    Raises:
        RunInterruptedError: The command was stopped, and with it the run.
    """
    try:
        return await _follow(client, run, show)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        raise await _cancel(client, run["id"]) from None


async def _follow(client: ApiClient, run: Json, show: Show) -> Json:
    costs = _Costs(client, run["id"])
    while run["status"] not in TERMINAL:
        counts = run["request_counts"]
        done = counts["completed"] + counts["failed"]
        show(Snapshot(run["status"], counts["total"], done, counts["failed"], await costs.read()))
        await asyncio.sleep(_POLL_SECONDS)
        run = await client.get_run(run["id"])
    counts = run["request_counts"]
    done = counts["completed"] + counts["failed"]
    show(Snapshot(run["status"], counts["total"], done, counts["failed"], run["cost_usd"]))
    return run


class _Costs:
    """What the run has cost so far, asked for now and then."""

    def __init__(self, client: ApiClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._known: float | None = None
        self._due = time.monotonic() + _OVERVIEW_SECONDS

    async def read(self) -> float | None:
        started = time.monotonic()
        if started >= self._due:
            self._known = (await self._client.get_overview(self._run_id))["cost_usd"]
            taken = time.monotonic() - started
            self._due = started + max(_OVERVIEW_SECONDS, taken / _OVERVIEW_SHARE)
        return self._known


async def _cancel(client: ApiClient, run_id: str) -> RunInterruptedError:
    resume = f"Continue it with `assay runs retry {run_id}`."
    try:
        async with asyncio.timeout(_CANCEL_SECONDS):
            run = await client.act_on_run(run_id, "cancel")
            while run["status"] not in TERMINAL:
                await asyncio.sleep(_POLL_SECONDS)
                run = await client.get_run(run_id)
    except TimeoutError:
        return RunInterruptedError(f"stopped; run {run_id} is still being cancelled. {resume}")
    except ConflictError:
        return RunInterruptedError(f"stopped; run {run_id} had ended before. See it with `assay runs show {run_id}`.")
    except DomainError as error:
        return RunInterruptedError(f"stopped, but run {run_id} could not be cancelled: {error.message}")
    return RunInterruptedError(f"stopped; run {run_id} is {run['status']}. {resume}")
