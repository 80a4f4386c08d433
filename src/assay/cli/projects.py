"""``assay projects``: they own everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from assay.cli.console import prepare_quietly, print_json, print_table, run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from assay.core.projects.types import Credentials, Project

app = typer.Typer(help="List and create projects.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def parse_project(text: str) -> UUID | int:
    """A project as an option names it: by number or by UUID."""
    if text.isdecimal():
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor a UUID; `assay projects list` shows both."
        ) from None


@app.command("list")
def list_projects(*, as_json: Json = False) -> None:
    """List the projects."""
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction
    from assay.core.projects import service
    from assay.core.projects.errors import ProjectNotFoundError

    async def main() -> tuple[Project, ...]:
        async with open_transaction(settings) as session:
            try:
                operator = await service.get_operator(session)
            except ProjectNotFoundError:
                return ()
            return await service.list_projects(session, operator)

    projects = run(main())
    if as_json:
        print_json([describe_project(project) for project in projects])
    else:
        rows = [(p.number, p.id, p.name, f"{p.created_at:%Y-%m-%d}") for p in projects]
        print_table(("number", "id", "name", "created"), rows)


@app.command("create")
def create_project(name: Annotated[str, typer.Argument(help="Name of the project.")], *, as_json: Json = False) -> None:
    """Create a project.

    The first one of an installation comes with an organization and with an API key, which is printed once.
    """
    settings = prepare_quietly()
    from assay.cli.connecting import open_transaction

    async def main() -> tuple[Project, str | None]:
        async with open_transaction(settings) as session:
            return await _create(session, name)

    project, api_key = run(main())
    if as_json:
        print_json({**describe_project(project), "api_key": api_key})
        return
    typer.echo(f"Created project {project.number} ({project.id}).")
    if api_key is not None:
        typer.echo(f"API key, shown this once: {api_key}")


async def _create(session: AsyncSession, name: str) -> tuple[Project, str | None]:
    from assay.core.projects import service
    from assay.core.projects.errors import ProjectNotFoundError

    issued: Credentials | None = None
    try:
        operator = await service.get_operator(session)
    except ProjectNotFoundError:
        issued = await service.create_organization(session, name="Default", project_name=name)
        operator = await service.get_operator(session, project=issued.project_id)
        return await service.get_project(session, operator), issued.api_key
    return await service.create_project(session, operator, name=name), None


def describe_project(project: Project) -> dict[str, Any]:
    """The JSON form of a project."""
    return {
        "id": project.id,
        "number": project.number,
        "organization_id": project.organization_id,
        "name": project.name,
        "capture_token": project.capture_token,
        "created_at": project.created_at,
    }
