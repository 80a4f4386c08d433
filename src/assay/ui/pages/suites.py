"""Suites: the list, one with its versions, the manifest editor, differences between versions, the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from starlette.responses import JSONResponse, Response

from assay.core.boards.agents import get_agent_board
from assay.core.boards.runs import BoardQuery, list_board_runs
from assay.core.files.service import upload_file
from assay.core.projects.types import Scope
from assay.core.runs import service as runs
from assay.core.runs.retirement import delete_suite
from assay.core.runs.types import Run, RunFilter
from assay.core.schedules import service as schedules
from assay.core.schedules.types import ScheduleFilter
from assay.core.suites import service
from assay.core.suites.manifest import ManifestError, UnsupportedManifestError, parse_manifest
from assay.core.suites.manifest.text import Lines, TextFaultError, read_manifest_text, write_manifest_text
from assay.core.suites.scorings import is_higher_better
from assay.core.suites.types import NewSuite, SuiteAccess
from assay.kit.errors import DomainError
from assay.ui.diffing import diff_lines
from assay.ui.edge import FieldError, Pages, Visit
from assay.ui.pages.runs import MetricRow, list_metrics
from assay.ui.pages.starting import list_starts, make_starter
from assay.ui.pages.uploads import read_upload

PAGE = 30
VERSIONS = 50
pages = Pages()


@dataclass(frozen=True, slots=True)
class FaultAt:
    """Something to mend in a manifest, and where it stands in the text."""

    path: str
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A model's best number on the board of a task."""

    run: Run
    row: MetricRow


@pages.get("/suites", Scope.EVALS_READ)
async def list_suites(visit: Visit) -> Response:
    """Suites, newest first."""
    page = await service.list_suites(visit.session, visit.principal, after=visit.query_id("after"), limit=PAGE)
    return await visit.render("suites.html", suites=page.items, has_more=page.has_more)


@pages.get("/suites/new", Scope.EVALS_WRITE)
async def ask_for_suite(visit: Visit) -> Response:
    """The editor for a new suite, with something to begin with."""
    text = await make_starter(visit, file_id=visit.query("file"), dataset_id=visit.query_id("dataset"))
    return await _show_editor(visit, text=text, name="", description="")


@pages.post("/suites/upload", Scope.FILES_WRITE, max_bytes=None)
async def upload_rows(visit: Visit) -> Response:
    """Upload rows, and begin a suite of them."""
    upload = visit.upload("rows")
    if upload is None:
        raise FieldError("Choose a file of rows, .jsonl or .csv.", param="rows")
    file = await upload_file(
        visit.session,
        visit.principal,
        store=visit.state.files,
        filename=upload.filename,
        purpose="evals",
        chunks=read_upload(upload),
        max_bytes=visit.state.max_file_bytes,
    )
    return visit.go(f"/suites/new?file=file_{file.id.hex}", f"{upload.filename} is uploaded.")


@pages.post("/suites/check", Scope.EVALS_WRITE)
async def check_text(visit: Visit) -> Response:
    """What is wrong with a manifest, for the editor."""
    _, faults = await _check(visit, _raw_manifest(visit))
    return JSONResponse(
        {"faults": [{"path": one.path or "manifest", "message": one.message, "line": one.line} for one in faults]}
    )


@pages.post("/suites", Scope.EVALS_WRITE)
async def create_suite(visit: Visit) -> Response:
    """Make a suite."""
    text, name, description = _raw_manifest(visit), visit.field("name"), visit.field("description")
    manifest, faults = await _check(visit, text)
    if faults:
        return await _show_editor(visit, text=text, name=name, description=description, faults=faults)
    new = NewSuite(name=name, manifest=manifest, description=description or None)
    try:
        async with visit.session.begin_nested():
            suite = await service.create_suite(visit.session, visit.principal, store=visit.state.files, new=new)
    except DomainError as error:
        return await _show_editor(visit, text=text, name=name, description=description, error=error)
    return visit.go(f"/suites/{suite.id.hex}", f"{suite.name} is created. Run it now, or on a schedule.")


@pages.get("/suites/{suite_id}", Scope.EVALS_READ)
async def show_suite(visit: Visit) -> Response:
    """One suite: what it asks, its versions, its latest runs."""
    suite_id = visit.path_id("suite_id")
    suite = await service.get_suite(visit.session, visit.principal, suite_id=suite_id)
    number = int(visit.query("version") or 0) if (visit.query("version") or "0").isdecimal() else 0
    version = await service.get_suite_version(
        visit.session, visit.principal, suite_id=suite_id, version=number or None, through_shares=True
    )
    versions = await service.list_suite_versions(visit.session, visit.principal, suite_id=suite_id, limit=VERSIONS)
    latest = await runs.list_runs(visit.session, visit.principal, run_filter=RunFilter(suite_id=suite_id), limit=10)
    planned = await schedules.list_schedules(
        visit.session, visit.principal, schedule_filter=ScheduleFilter(suite_id=suite_id), limit=20
    )
    return await visit.render(
        "suite.html",
        suite=suite,
        version=version,
        versions=versions.items,
        text=write_manifest_text(version.manifest),
        tasks=version.manifest.get("tasks") or [],
        runs=latest.items,
        names={suite_id: suite.name},
        schedules=planned.items,
        owned=suite.access is SuiteAccess.OWNER,
    )


@pages.get("/suites/{suite_id}/edit", Scope.EVALS_WRITE)
async def ask_for_version(visit: Visit) -> Response:
    """The editor for a new version."""
    suite = await service.get_suite(visit.session, visit.principal, suite_id=visit.path_id("suite_id"))
    version = await service.get_suite_version(visit.session, visit.principal, suite_id=suite.id)
    text = write_manifest_text(version.manifest)
    return await _show_editor(visit, text=text, name=suite.name, description="", suite_id=suite.id)


@pages.post("/suites/{suite_id}/versions", Scope.EVALS_WRITE)
async def create_version(visit: Visit) -> Response:
    """Append a version."""
    suite = await service.get_suite(visit.session, visit.principal, suite_id=visit.path_id("suite_id"))
    text = _raw_manifest(visit)
    manifest, faults = await _check(visit, text)
    if faults:
        return await _show_editor(visit, text=text, name=suite.name, description="", suite_id=suite.id, faults=faults)
    version = await service.create_suite_version(
        visit.session, visit.principal, store=visit.state.files, suite_id=suite.id, manifest=manifest
    )
    return visit.go(f"/suites/{suite.id.hex}", f"Version {version.version} is active.")


@pages.post("/suites/{suite_id}/delete", Scope.EVALS_WRITE)
async def delete(visit: Visit) -> Response:
    """Delete a suite, with its runs and schedules."""
    await delete_suite(visit.session, visit.principal, suite_id=visit.path_id("suite_id"))
    return visit.go("/suites", "The suite is deleted.")


@pages.get("/suites/{suite_id}/diff", Scope.EVALS_READ)
async def show_difference(visit: Visit) -> Response:
    """What changed between two versions."""
    suite = await service.get_suite(visit.session, visit.principal, suite_id=visit.path_id("suite_id"))
    new = _version_number(visit, "new") or suite.latest_version
    old = _version_number(visit, "old") or max(1, new - 1)
    texts: list[str] = []
    for number in (old, new):
        version = await service.get_suite_version(
            visit.session, visit.principal, suite_id=suite.id, version=number, through_shares=True
        )
        texts.append(write_manifest_text(version.manifest))
    return await visit.render("suite_diff.html", suite=suite, old=old, new=new, lines=diff_lines(*texts))


@pages.get("/suites/{suite_id}/leaderboard", Scope.EVALS_READ)
async def show_board(visit: Visit) -> Response:
    """Models ranked by their newest run, task by task."""
    suite = await service.get_suite(visit.session, visit.principal, suite_id=visit.path_id("suite_id"))
    wanted = _version_number(visit, "version")
    version = await service.get_suite_version(
        visit.session, visit.principal, suite_id=suite.id, version=wanted, through_shares=True
    )
    board = await list_board_runs(
        visit.session, visit.principal, BoardQuery(suite.id, suite_version=wanted, per_group=1)
    )
    agents = await get_agent_board(
        visit.session, visit.principal, suite_id=suite.id, metric="reward", suite_version=wanted, limit=50
    )
    return await visit.render(
        "leaderboard.html", suite=suite, wanted=wanted, boards=_rank(board.runs, version.manifest), agents=agents.rows
    )


def _rank(found: list[Run] | Any, manifest: Mapping[str, Any]) -> dict[str, list[Placed]]:
    """Each task's models, best first; of a model with several runs the newest."""
    try:
        tasks = {task.id: task for task in parse_manifest(dict(manifest)).tasks}
    except DomainError:
        tasks = {}
    placed: dict[str, dict[str, Placed]] = {}
    for run in cast("list[Run]", found):
        for row in list_metrics(run, tasks):
            if row.is_main and row.value is not None:
                placed.setdefault(row.task_id, {}).setdefault(row.model, Placed(run, row))
    ranked: dict[str, list[Placed]] = {}
    for task_id, by_model in sorted(placed.items()):
        higher = is_higher_better(tasks.get(task_id), next(iter(by_model.values())).row.metric)
        ranked[task_id] = sorted(by_model.values(), key=lambda one: one.row.value or 0.0, reverse=higher)
    return ranked


def _version_number(visit: Visit, name: str) -> int | None:
    text = visit.query(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 2**31:
        raise FieldError(f"`{name}` must be the number of a version.", param=name)
    return int(text)


def _raw_manifest(visit: Visit) -> str:
    value = visit.form.get("manifest")
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


async def _check(visit: Visit, text: str) -> tuple[Any, list[FaultAt]]:
    """A manifest, with what is wrong with it. Nothing is kept."""
    try:
        data, lines = read_manifest_text(text)
    except TextFaultError as error:
        return None, [FaultAt("", error.faults[0].short_reason, error.line)]
    except ManifestError as error:
        return None, [FaultAt("", error.faults[0].short_reason, None)]
    try:
        await service.check_manifest(visit.session, visit.principal, visit.state.files, data)
    except (ManifestError, UnsupportedManifestError) as error:
        return data, [_place(fault.path, fault.short_reason, lines) for fault in error.faults[:50]]
    return data, []


def _place(path: str, message: str, lines: Lines) -> FaultAt:
    return FaultAt(path, message, lines.of(path))


async def _show_editor(
    visit: Visit,
    *,
    text: str,
    name: str,
    description: str,
    suite_id: UUID | None = None,
    faults: list[FaultAt] | None = None,
    error: DomainError | None = None,
) -> Response:
    return await visit.render(
        "suite_form.html",
        status=422 if faults or error else 200,
        text=text,
        name=name,
        description=description,
        suite_id=suite_id,
        faults=faults or [],
        error=error,
        starts=await list_starts(visit) if suite_id is None else [],
    )
