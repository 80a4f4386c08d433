"""``assay serve``, ``assay api`` and ``assay worker``: the roles that run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.console import prepare, print_json, run
from assay.kit.logging import LogFormat, LogLevel

if TYPE_CHECKING:
    from assay.cli.serving import Ready

Host = Annotated[str, typer.Option(help="Address to listen on. The default is reachable from this machine only.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")]
Workers = Annotated[
    int,
    typer.Option(min=0, max=64, help="1: the worker runs in this process. More: that many processes. 0: none."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON when it is ready.")]
Level = Annotated[LogLevel | None, typer.Option("--log-level", help="Lowest level that is logged.")]
Format = Annotated[LogFormat | None, typer.Option("--log-format", help="Form of the log.")]


def serve(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8400,
    workers: Workers = 1,
    as_json: Json = False,
    log_level: Level = None,
    log_format: Format = None,
) -> None:
    """Run everything: API, worker, and the PostgreSQL and Temporal that are not configured.

    The first start makes an organization, a project and an API key. The key is printed once; it is also in
    credentials.json in the home, with the other things that a client needs.
    """
    settings = prepare(log_level, log_format)
    from assay.cli import serving
    from assay.cli.signals import run_until_stopped

    def announce(ready: Ready) -> None:
        print_json(_report(ready)) if as_json else _greet(ready)

    run(run_until_stopped(serving.serve(settings, host=host, port=port, workers=workers, announce=announce)))


def _report(ready: Ready) -> dict[str, str | None]:
    return {"base_url": ready.base_url, "api_key": ready.new_api_key, "credentials_file": ready.credentials_file}


def _greet(ready: Ready) -> None:
    typer.echo(f"Assay is ready: open {ready.base_url} in a browser (API documentation: {ready.base_url}/docs)")
    if ready.new_api_key is not None:
        typer.echo(f"API key, shown this once: {ready.new_api_key}")
    typer.echo(f"Credentials: {ready.credentials_file}")


def api(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8400,
    as_json: Json = False,
    log_level: Level = None,
    log_format: Format = None,
) -> None:
    """Run the API alone. Needs ASSAY_DATABASE_URL and ASSAY_TEMPORAL_ADDRESS."""
    settings = prepare(log_level, log_format)
    from assay.cli import serving
    from assay.cli.signals import run_until_stopped

    def announce(base_url: str) -> None:
        print_json({"base_url": base_url}) if as_json else typer.echo(f"The API is ready at {base_url}")

    run(run_until_stopped(serving.serve_api(settings, host=host, port=port, announce=announce)))


def worker(
    *,
    metrics_host: Annotated[str, typer.Option(help="Address on which the metrics are served.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="TCP port of /metrics; 0 takes a free one. None: not served.")
    ] = None,
    log_level: Level = None,
    log_format: Format = None,
) -> None:
    """Run a worker alone. Needs ASSAY_DATABASE_URL and ASSAY_TEMPORAL_ADDRESS."""
    settings = prepare(log_level, log_format)
    from assay.cli import serving
    from assay.cli.signals import run_until_stopped

    metrics = None if metrics_port is None else (metrics_host, metrics_port)
    run(run_until_stopped(serving.work(settings, metrics=metrics)))
