"""`assay labels`: what people say of samples and events, for calibrating judges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.console import ExitCode, print_json, print_table
from assay.cli.run import ApiKey, AsJson, Home, Server
from assay.cli.runs import with_client

if TYPE_CHECKING:
    from assay.cli.evaluation.client import ApiClient

app = typer.Typer(name="labels", help="Import and list what people say of samples and events.", no_args_is_help=True)

LabelFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="CSV or JSONL with the columns sample_id or event_id, metric, value, and perhaps labeler and note.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=500, help="How many.")]
Kind = Annotated[str | None, typer.Option(help="Only labels of a `sample` or an `event`.")]
SubjectId = Annotated[str | None, typer.Option("--subject", help="Only labels of this sample or event.")]
Metric = Annotated[str | None, typer.Option(help="Only labels of this metric.")]
Labeler = Annotated[str | None, typer.Option(help="Only labels by this person.")]

_COLUMNS = ("label", "subject", "metric", "value", "by", "note")
_LONGEST_NOTE = 60


@app.command("import")
def import_labels(
    file: LabelFile, *, home: Home = None, server: Server = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Keep all labels of a file, or none; a person's later one replaces the earlier."""

    async def main(client: ApiClient) -> ExitCode:
        uploaded = await client.upload_file(file)
        kept = await client.import_labels(uploaded["id"])
        if as_json:
            print_json(kept)
        else:
            typer.echo(f"{kept['count']} labels: {kept['created']} new, {kept['replaced']} replaced.")
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


@app.command("list")
def list_labels(
    *,
    limit: Limit = 100,
    kind: Kind = None,
    subject_id: SubjectId = None,
    metric: Metric = None,
    labeler: Labeler = None,
    home: Home = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List labels, newest first."""
    wanted = {"limit": str(limit), "kind": kind, "subject_id": subject_id, "metric": metric, "labeler": labeler}

    async def main(client: ApiClient) -> ExitCode:
        labels = await client.list_labels({name: value for name, value in wanted.items() if value is not None})
        print_json(labels) if as_json else print_table(_COLUMNS, map(_cells, labels))
        return ExitCode.OK

    with_client(main, home=home, server=server, api_key=api_key)


def _cells(label: dict[str, Any]) -> tuple[object, ...]:
    note = label["note"] or ""
    return (
        label["id"],
        label["subject"]["id"],
        label["metric"],
        f"{label['value']:g}",
        label["labeler"],
        note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE] + "…",
    )
