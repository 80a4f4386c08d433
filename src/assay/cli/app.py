"""The tree of commands."""

from __future__ import annotations

import typer

from assay.cli import (
    compare,
    demo,
    doctor,
    keys,
    labels,
    migrate,
    models,
    projects,
    run,
    runs,
    schedules,
    serve,
    webhooks,
)

app = typer.Typer(
    name="assay",
    help="Continuous evaluation and improvement of LLM applications and agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(run.run)
app.command()(compare.compare)
app.add_typer(runs.app, name="runs")
app.add_typer(labels.app, name="labels")
app.add_typer(schedules.app, name="schedules")
app.add_typer(webhooks.app, name="webhooks")
app.command()(serve.serve)
app.command()(serve.api)
app.command()(serve.worker)
app.command()(migrate.migrate)
app.command()(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(projects.app, name="projects")


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("assay"))
