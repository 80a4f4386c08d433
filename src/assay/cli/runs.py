"""`assay runs`: look at runs, stop them and take them up again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.console import ExitCode, prepare_quietly, print_json, print_table
from assay.cli.evaluation.options import ApiKey, AsJson, Config, Home, Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from assay.cli.evaluation.client import ApiClient

app = typer.Typer(name="runs", help="Look at runs, stop them and take them up again.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run (eval_run_…).")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]
Status = Annotated[str | None, typer.Option(help="Only runs of this status.")]

_COLUMNS = ("run", "status", "models", "samples", "failed", "created")


@app.command("list")
def list_runs(
    *,
    limit: Limit = 20,
    status: Status = None,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""

    async def main(client: ApiClient) -> ExitCode:
        runs = await client.list_runs(limit=limit, status=status)
        if as_json:
            print_json(runs)
        else:
            print_table(_COLUMNS, map(_cells, runs))
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def show(
    run_id: RunId, *, home: Home = None, server: Server = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Show a run and its results."""

    async def main(client: ApiClient) -> ExitCode:
        run = await client.get_run(run_id)
        if not as_json:
            print_table(_COLUMNS, [_cells(run)])
        await _conclude(client, run, as_json=as_json)
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def cancel(
    run_id: RunId, *, home: Home = None, server: Server = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Stop a run; `retry` takes it up again where it stopped."""

    async def main(client: ApiClient) -> ExitCode:
        run = await client.act_on_run(run_id, "cancel")
        print_json(run) if as_json else typer.echo(f"{run['id']} is {run['status']}.")
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def retry(
    run_id: RunId,
    *,
    home: Home = None,
    config: Config = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Continue a failed or cancelled run, and wait for its end."""
    _again("retry", run_id, home=home, config=config, server=server, api_key=api_key, as_json=as_json)


@app.command("rerun-failed")
def rerun_failed(
    run_id: RunId,
    *,
    home: Home = None,
    config: Config = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Run the failed samples of a completed run again, and wait for its end."""
    _again("rerun-failed", run_id, home=home, config=config, server=server, api_key=api_key, as_json=as_json)


def _again(action: str, run_id: str, *, as_json: bool, **where: Any) -> None:
    from assay.cli.evaluation import command

    async def main(client: ApiClient) -> ExitCode:
        run = await command.carry_out(client, await client.act_on_run(run_id, action))
        return await _conclude(client, run, as_json=as_json)

    with_client(main, **where)


async def _conclude(client: ApiClient, run: dict[str, Any], *, as_json: bool) -> ExitCode:
    from assay.cli.evaluation import command

    version = await client.get_version(run["suite_id"], run["suite_version"])
    return await command.conclude(client, run, version["manifest"], as_json=as_json)


def with_client(main: Callable[[ApiClient], Awaitable[ExitCode]], **where: Any) -> None:
    """Carry out a command against the server that its options name, and end the process with its exit code.

    Args:
        main: What to do.
        where: ``home``, ``server`` and ``api_key``, and ``config`` where a command has it.
    """
    from assay.cli.evaluation.command import run_command
    from assay.cli.evaluation.target import open_target, with_home

    settings = with_home(prepare_quietly(), where["home"], config=where.get("config"))

    async def connected() -> ExitCode:
        async with open_target(settings, server=where["server"], api_key=where["api_key"]) as target:
            return await main(target.client)

    run_command(connected())


def _cells(run: dict[str, Any]) -> tuple[object, ...]:
    counts = run["request_counts"]
    created = datetime.fromtimestamp(run["created_at"], UTC)
    return (
        run["id"],
        run["status"],
        ", ".join(run["models"]),
        f"{counts['completed'] + counts['failed']}/{counts['total']}",
        counts["failed"],
        f"{created:%Y-%m-%d %H:%M} UTC",
    )
