"""`assay webhooks`: see what was sent to a schedule's webhook, and send it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.console import ExitCode, print_json, print_table
from assay.cli.evaluation.options import ApiKey, AsJson, Home, Server
from assay.cli.runs import with_client

if TYPE_CHECKING:
    from assay.cli.evaluation.client import ApiClient

app = typer.Typer(
    name="webhooks", help="See what was sent to a schedule's webhook, and send it again.", no_args_is_help=True
)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id of the schedule (eval_sched_…).")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="Id of the delivery (evt_…).")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]
Status = Annotated[str | None, typer.Option(help="Only pending, delivered, failed or abandoned ones.")]
Run = Annotated[str | None, typer.Option(help="Only those of this run (eval_run_…).")]

_COLUMNS = ("delivery", "run", "event", "status", "attempts", "last answer", "created")


@app.command("list")
def list_deliveries(
    schedule_id: ScheduleId,
    *,
    limit: Limit = 20,
    status: Status = None,
    run: Run = None,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""

    async def main(client: ApiClient) -> ExitCode:
        deliveries = await client.list_deliveries(schedule_id, limit=limit, status=status, run_id=run)
        if as_json:
            print_json(deliveries)
        else:
            print_table(_COLUMNS, map(_cells, deliveries))
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command()
def redeliver(
    schedule_id: ScheduleId,
    delivery_id: DeliveryId,
    *,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send an event again, whatever became of it."""

    async def main(client: ApiClient) -> ExitCode:
        delivery = await client.redeliver(schedule_id, delivery_id)
        print_json(delivery) if as_json else typer.echo(f"{delivery['id']} is {delivery['status']}.")
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


def _cells(delivery: dict[str, Any]) -> tuple[object, ...]:
    attempts = delivery["attempts"]
    created = datetime.fromtimestamp(delivery["created_at"], UTC)
    return (
        delivery["id"],
        delivery["run_id"],
        delivery["type"],
        delivery["status"],
        delivery["attempt_count"],
        (attempts[-1]["error"] or attempts[-1]["status_code"]) if attempts else delivery["reason"] or "",
        f"{created:%Y-%m-%d %H:%M} UTC",
    )
