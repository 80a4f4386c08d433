"""`assay schedules`: look at schedules and what their fires came to, fire them, pause and resume them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.console import ExitCode, print_json, print_table
from assay.cli.run import ApiKey, AsJson, Home, Server
from assay.cli.runs import Limit, with_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from assay.cli.evaluation.client import ApiClient

app = typer.Typer(name="schedules", help="Look at schedules, fire, pause and resume them.", no_args_is_help=True)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id of the schedule (eval_sched_…).")]

_COLUMNS = ("schedule", "name", "cadence", "enabled", "next", "last run", "status")
_HISTORY_COLUMNS = ("due", "kind", "outcome", "run", "status", "metrics", "reason")


@app.command("list")
def list_schedules(
    *, limit: Limit = 20, home: Home = None, server: Server = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List schedules, newest first."""

    async def main(client: ApiClient) -> ExitCode:
        schedules = await client.list_schedules(limit=limit)
        print_json(schedules) if as_json else print_table(_COLUMNS, map(_cells, schedules))
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def show(
    schedule_id: ScheduleId,
    *,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a schedule."""
    _show(lambda client: client.get_schedule(schedule_id), as_json, home=home, server=server, api_key=api_key)


@app.command()
def history(
    schedule_id: ScheduleId,
    *,
    limit: Limit = 20,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what each fire came to, newest first, and how its run did compared with the one before."""

    async def main(client: ApiClient) -> ExitCode:
        fires = await client.list_schedule_history(schedule_id, limit=limit)
        print_json(fires) if as_json else print_table(_HISTORY_COLUMNS, map(_history_cells, fires))
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def trigger(
    schedule_id: ScheduleId,
    *,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Fire a schedule at once, besides its cadence."""
    _show(lambda client: client.trigger_schedule(schedule_id), as_json, home=home, server=server, api_key=api_key)


@app.command()
def pause(
    schedule_id: ScheduleId,
    *,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Disable a schedule."""
    _enable(schedule_id, enabled=False, as_json=as_json, home=home, server=server, api_key=api_key)


@app.command()
def resume(
    schedule_id: ScheduleId,
    *,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Enable a schedule; intervals count from now."""
    _enable(schedule_id, enabled=True, as_json=as_json, home=home, server=server, api_key=api_key)


def _enable(schedule_id: str, *, enabled: bool, as_json: bool, **where: Any) -> None:
    _show(lambda client: client.enable_schedule(schedule_id, enabled=enabled), as_json, **where)


def _show(get: Callable[[ApiClient], Awaitable[dict[str, Any]]], as_json: bool, **where: Any) -> None:
    async def main(client: ApiClient) -> ExitCode:
        schedule = await get(client)
        print_json(schedule) if as_json else print_table(_COLUMNS, [_cells(schedule)])
        return ExitCode.OK

    with_client(main, **where)


def _cells(schedule: dict[str, Any]) -> tuple[object, ...]:
    cron = schedule["cron"]
    return (
        schedule["id"],
        schedule["name"],
        f"every {schedule['interval_seconds']} s" if cron is None else f"{cron} ({schedule['timezone']})",
        "yes" if schedule["enabled"] else "no",
        _moment(schedule["next_run_at"]),
        schedule["last_run_id"],
        schedule["last_run_status"],
    )


def _history_cells(fire: dict[str, Any]) -> tuple[object, ...]:
    count = fire["count"]
    return (
        _moment(fire["due_at"]),
        fire["kind"],
        fire["outcome"] if count == 1 else f"{fire['outcome']} {count} times",
        fire["run_id"],
        fire["run_status"],
        _metrics(fire),
        fire["reason"],
    )


def _metrics(fire: dict[str, Any]) -> str | None:
    if fire["metrics"] is None:
        return None
    change: dict[str, float] = fire["change"] or {}
    return ", ".join(
        f"{name} {value:.4g}" + (f" ({change[name]:+.4g})" if name in change else "")
        for name, value in fire["metrics"].items()
    )


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
