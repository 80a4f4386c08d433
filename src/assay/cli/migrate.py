"""``assay migrate``."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.console import ExitCode, prepare_quietly, print_json, run

Check = Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 if the database is not up to date.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def migrate(*, check: Check = False, as_json: Json = False) -> None:
    """Bring the database to this version's schema."""
    settings = prepare_quietly()
    from assay.cli.connecting import open_services
    from assay.db import migrate as schema

    async def main() -> tuple[str | None, str | None]:
        async with open_services(settings) as services:
            before = await schema.current(services.database_url)
            if not check:
                await schema.upgrade(services.database_url)
            return before, await schema.current(services.database_url)

    before, after = run(main())
    head = schema.head()
    if as_json:
        print_json({"before": before, "after": after, "head": head, "current": after == head})
    elif after == head:
        typer.echo(f"The database is at {after}." if before == after else f"Migrated from {before} to {after}.")
    else:
        typer.echo(f"The database is at {after}, this version needs {head}. Run `assay migrate`.")
    raise typer.Exit(ExitCode.OK if after == head else ExitCode.FAILED)
