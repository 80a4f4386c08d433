"""Two runs, or two models of one, on the same items: the difference, a verdict, and the items that changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from starlette.responses import Response

from assay.core.projects.types import Scope
from assay.core.runs import service
from assay.core.runs.comparison import ComparisonRequest, RunComparison, compare_runs, list_changed_items
from assay.core.runs.types import Run, RunFilter, RunStatus
from assay.kit.errors import DomainError
from assay.ui.diffing import diff_words
from assay.ui.edge import Pages, Visit
from assay.ui.pages.naming import suite_names

RUNS_TO_CHOOSE_FROM = 100
CHANGES = 15
MAX_SKIP = 10_000
pages = Pages()


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be put on a side."""

    value: str
    text: str


@pages.get("/compare", Scope.EVALS_READ)
async def show_comparison(visit: Visit) -> Response:
    """The comparison that the address asks for, and the form to ask for one."""
    run_id, baseline_id = visit.query_id("run"), visit.query_id("baseline")
    request = None if run_id is None else _read_request(visit, run_id, baseline_id)
    found: RunComparison | None = None
    error: DomainError | None = None
    if request is not None and (request.baseline_run_id is not None or request.baseline_model is not None):
        try:
            async with visit.session.begin_nested():
                found = await compare_runs(visit.session, visit.principal, request)
        except DomainError as problem:
            error = problem
    candidate = None if run_id is None else await service.get_run(visit.session, visit.principal, run_id=run_id)
    baseline = candidate
    if baseline_id is not None:
        baseline = await service.get_run(visit.session, visit.principal, run_id=baseline_id)
    reach = max((_reach(task.result.comparison.interval) for task in found.tasks), default=0.0) if found else 0.0
    return await visit.render(
        "compare.html",
        candidate=candidate,
        baseline=baseline,
        runs=await _list_choices(visit, [candidate, baseline]),
        found=found,
        error=error,
        reach=reach,
        chosen={
            "run": run_id.hex if run_id else "",
            "model": visit.query("model") or "",
            "baseline": baseline_id.hex if baseline_id else "",
            "baseline_model": visit.query("baseline_model") or "",
            "common": visit.query("common") or "",
            "metric": visit.query("metric") or "",
        },
    )


@pages.get("/compare/items", Scope.EVALS_READ)
async def show_changes(visit: Visit) -> Response:
    """The items of one task that changed, side by side."""
    run_id = visit.query_id("run")
    if run_id is None:
        return visit.go("/compare")
    request = replace(_read_request(visit, run_id, visit.query_id("baseline")), task_id=visit.query("task") or "")
    skip = min(int(visit.query("skip") or 0) if (visit.query("skip") or "0").isdecimal() else 0, MAX_SKIP)
    page = await list_changed_items(visit.session, visit.principal, request, skip=skip, limit=CHANGES)
    return visit.fragment(
        "compare_items.html",
        page=page,
        diffs=[diff_words(item.baseline_output or "", item.candidate_output or "") for item in page.items],
        run_id=run_id,
        baseline_id=request.baseline_run_id or run_id,
        following=dict(visit.request.query_params) | {"skip": str(skip + CHANGES)},
    )


def _read_request(visit: Visit, run_id: UUID, baseline_id: UUID | None) -> ComparisonRequest:
    return ComparisonRequest(
        run_id=run_id,
        model=visit.query("model"),
        baseline_run_id=baseline_id,
        baseline_model=visit.query("baseline_model"),
        metric=visit.query("metric"),
        common_only=visit.query("common") is not None,
    )


async def _list_choices(visit: Visit, chosen: list[Run | None]) -> list[Choice]:
    """Completed runs, newest first, with those that are chosen already."""
    page = await service.list_runs(
        visit.session,
        visit.principal,
        run_filter=RunFilter(status=RunStatus.COMPLETED),
        limit=RUNS_TO_CHOOSE_FROM,
    )
    runs = {run.id: run for run in [*page.items, *(one for one in chosen if one is not None)]}
    names = await suite_names(visit, runs.values())
    return [
        Choice(
            run.id.hex,
            f"{names[run.suite_id][:40]} v{run.suite_version} · {', '.join(run.config.models)[:50]} · "
            f"{run.created_at:%Y-%m-%d %H:%M} UTC · {run.id.hex[-8:]}",
        )
        for run in runs.values()
    ]


def _reach(interval: tuple[float, float] | None) -> float:
    return 0.0 if interval is None else max(abs(interval[0]), abs(interval[1]))
