"""``assay doctor``: looks at every part, and says what is wrong and what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.console import ExitCode, prepare_quietly, print_json, run

if TYPE_CHECKING:
    from assay.cli.checks import Check

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(*, as_json: Json = False) -> None:
    """Check every part: home, services, schema, files, sandbox, models, secrets, disk and clock.

    Exit code 1 if a check failed. Embedded services that do not run are started for the checks.
    """
    settings = prepare_quietly()
    from assay.cli.checks import Status, examine

    checks = run(examine(settings))
    failed = any(check.status is Status.FAILED for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _show(check)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _show(check: Check) -> None:
    mark = typer.style(f"{check.status.value:<8}", fg=_COLORS[check.status.value])
    typer.echo(f"{mark} {check.name:<11} {check.detail}")
    if check.advice:
        typer.echo(f"{'':21}→ {check.advice}")
