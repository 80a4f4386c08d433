"""Runs: the list, and one with its progress, metrics and samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.responses import Response

from assay.core.projects.types import Scope
from assay.core.runs import service, views
from assay.core.runs.types import Run, RunConfig, RunFilter, RunStatus, SampleStatus
from assay.core.suites.manifest import Task, parse_manifest
from assay.core.suites.scorings import main_metric
from assay.core.suites.service import get_suite, get_suite_version
from assay.gateway.entries import ModelType
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.ui.edge import FieldError, Pages, Visit
from assay.ui.pages.naming import all_suites, suite_names
from assay.ui.pages.sampling import list_page, read_filter

PAGE = 30
MAX_LIVE_SUMS = 200_000
"""Settled samples up to which the cost of a run under way is summed up each second."""
MAX_DISTRIBUTIONS = 6
ANCHOR_SECONDS = 10
"""The rate of a run is that of about so many seconds."""
pages = Pages()


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One number of a run's metrics, with what it rests on."""

    task_id: str
    model: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    unscored: int | None
    method: str
    is_main: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes, and where the next look begins."""

    done: int
    per_second: float | None
    remaining_seconds: float | None
    next_address: str


@pages.get("/runs", Scope.EVALS_READ)
async def list_runs(visit: Visit) -> Response:
    """Runs, newest first."""
    status = visit.query("status")
    if status is not None and status not in set(RunStatus):
        raise FieldError("`status` is no status of a run.", param="status")
    wanted = RunFilter(suite_id=visit.query_id("suite"), status=None if status is None else RunStatus(status))
    page = await service.list_runs(
        visit.session, visit.principal, run_filter=wanted, after=visit.query_id("after"), limit=PAGE
    )
    return await visit.render(
        "runs.html",
        runs=page.items,
        has_more=page.has_more,
        names=await suite_names(visit, page.items),
        suites=await all_suites(visit),
        chosen={"suite": visit.query("suite") or "", "status": status or ""},
        statuses=list(RunStatus),
    )


@pages.get("/runs/{run_id}", Scope.EVALS_READ)
async def show_run(visit: Visit) -> Response:
    """One run. What takes longer than the first rows is loaded after them."""
    run = await service.get_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    suite = await get_suite(visit.session, visit.principal, suite_id=run.suite_id)
    version = await get_suite_version(
        visit.session, visit.principal, suite_id=run.suite_id, version=run.suite_version, through_shares=True
    )
    tasks = {task.id: task for task in _tasks_of(version.manifest)}
    sample_filter = read_filter(visit)
    page = await list_page(visit, run.id, sample_filter)
    metrics = list_metrics(run, tasks)
    return await visit.render(
        "run.html",
        run=run,
        suite=suite,
        metrics=metrics,
        confusions=list_confusions(run),
        page=page,
        chosen=sample_filter,
        task_ids=list(run.config.task_ids or tasks),
        metric_names=sorted({row.metric for row in metrics}),
        statuses=[SampleStatus.COMPLETED, SampleStatus.FAILED, SampleStatus.QUEUED, SampleStatus.READY_TO_SCORE],
        spread=_choose_spread(run, metrics),
        owned=run.project_id == visit.principal.project_id,
        **await _progress(visit, run),
    )


@pages.get("/runs/{run_id}/live", Scope.EVALS_READ)
async def show_progress(visit: Visit) -> Response:
    """The part of a run's page that moves."""
    run = await service.get_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    return visit.fragment("run_live.html", run=run, just_ended=run.status.is_terminal, **await _progress(visit, run))


@pages.get("/runs/{run_id}/distribution", Scope.EVALS_READ)
async def show_distribution(visit: Visit) -> Response:
    """How the scores of a task and model spread."""
    found = await views.get_distribution(
        visit.session,
        visit.principal,
        run_id=visit.path_id("run_id"),
        task_id=visit.query("task") or "",
        model=visit.query("model") or "",
        metric=visit.query("metric") or "",
    )
    return visit.fragment("run_distribution.html", found=found)


@pages.post("/runs", Scope.EVALS_WRITE)
async def create_run(visit: Visit) -> Response:
    """Queue a run of a suite, from the form "run now"."""
    suite_id = UUID(visit.field("suite"))
    try:
        async with visit.session.begin_nested():
            run = await service.create_run(
                visit.session,
                visit.principal,
                catalog=visit.state.catalog,
                suite_id=suite_id,
                config=read_config(visit),
                suite_version=read_count(visit, "suite_version"),
            )
    except DomainError as error:
        return await show_run_form(visit, suite_id, error=error)
    return visit.go(f"/runs/{run.id.hex}", "The run is queued.")


@pages.get("/suites/{suite_id}/run", Scope.EVALS_WRITE)
async def ask_for_run(visit: Visit) -> Response:
    """The form "run now"."""
    return await show_run_form(visit, visit.path_id("suite_id"))


async def show_run_form(visit: Visit, suite_id: UUID, *, error: DomainError | None = None) -> Response:
    """What to run, with which models."""
    suite = await get_suite(visit.session, visit.principal, suite_id=suite_id)
    version = await get_suite_version(visit.session, visit.principal, suite_id=suite_id)
    return await visit.render(
        "run_form.html",
        status=200 if error is None else 422,
        suite=suite,
        task_ids=[task.id for task in _tasks_of(version.manifest)],
        models=list_model_ids(visit),
        error=error,
        form=visit.form,
    )


@pages.post("/runs/{run_id}/cancel", Scope.EVALS_WRITE)
async def cancel_run(visit: Visit) -> Response:
    """Ask a run to stop."""
    run_id = visit.path_id("run_id")
    await service.cancel_run(visit.session, visit.principal, run_id=run_id)
    return visit.go(f"/runs/{run_id.hex}", "The run is being cancelled.")


@pages.post("/runs/{run_id}/rerun", Scope.EVALS_WRITE)
async def rerun_failed(visit: Visit) -> Response:
    """Run the failed samples of a completed run again."""
    run_id = visit.path_id("run_id")
    await service.rerun_failed_samples(visit.session, visit.principal, run_id=run_id)
    return visit.go(f"/runs/{run_id.hex}", "The failed samples are queued again.")


@pages.post("/runs/{run_id}/retry", Scope.EVALS_WRITE)
async def retry_run(visit: Visit) -> Response:
    """Go on with a failed or cancelled run."""
    run_id = visit.path_id("run_id")
    await service.retry_run(visit.session, visit.principal, run_id=run_id)
    return visit.go(f"/runs/{run_id.hex}", "The run goes on where it stopped.")


@pages.post("/runs/{run_id}/delete", Scope.EVALS_WRITE)
async def delete_run(visit: Visit) -> Response:
    """Delete a run."""
    await service.delete_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    return visit.go("/runs", "The run is deleted.")


def read_config(visit: Visit) -> RunConfig:
    """How a form says that a run is to be carried out."""
    models = [value for value in visit.form.getlist("models") if isinstance(value, str) and value]
    models += [line.strip() for line in visit.field("other_models").splitlines() if line.strip()]
    task_ids = [value for value in visit.form.getlist("task_ids") if isinstance(value, str)]
    return RunConfig(
        models=models,
        task_ids=task_ids or None,
        judge_model=visit.optional("judge_model"),
        generation=_read_generation(visit),
        concurrency=read_count(visit, "concurrency"),
        max_samples_per_task=read_count(visit, "max_samples_per_task"),
        repeats=read_count(visit, "repeats"),
    )


def _read_generation(visit: Visit) -> dict[str, Any]:
    generation: dict[str, Any] = {}
    temperature = visit.optional("temperature")
    if temperature is not None:
        try:
            generation["temperature"] = float(temperature)
        except ValueError:
            raise FieldError("`temperature` must be a number.", param="temperature") from None
    most = read_count(visit, "max_tokens")
    return generation if most is None else {**generation, "max_tokens": most}


def read_count(visit: Visit, name: str) -> int | None:
    """A whole number of a form; None when the field is empty.

    Raises:
        FieldError: It is no whole number.
    """
    text = visit.optional(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise FieldError(f"`{name}` must be a whole number.", param=name)
    return int(text)


def list_model_ids(visit: Visit, kind: ModelType = ModelType.LLM) -> list[str]:
    """The models of the catalog that can be asked, by id."""
    return sorted(listed.entry.id for listed in visit.state.catalog.list_models() if listed.entry.type is kind)


def _tasks_of(manifest: Mapping[str, Any]) -> tuple[Task, ...]:
    try:
        return tuple(parse_manifest(dict(manifest)).tasks)
    except DomainError:
        return ()  # imported from another system: it can be shown, and not run


async def _progress(visit: Visit, run: Run) -> dict[str, Any]:
    cost = run.cost_usd
    done = run.completed + run.failed
    if not run.status.is_terminal and 0 < done <= MAX_LIVE_SUMS:
        overview = await service.get_run_overview(visit.session, visit.principal, run_id=run.id, metric="reward")
        cost = overview.cost_usd
    failures = ()
    if run.failed:
        failures = await views.count_failures(visit.session, visit.principal, run_id=run.id)
    return {"pace": _measure_pace(visit, run), "cost": cost, "failures": failures, "seconds": _lasted(run)}


def _measure_pace(visit: Visit, run: Run) -> Pace:
    """The rate since the anchor that the page brought along, or else since the run's start."""
    now = utc_now().timestamp()
    done = run.completed + run.failed
    since, before = _read_anchor(visit)
    if since is None or not since < now or before > done:
        since, before = (run.started_at.timestamp() if run.started_at else now), 0
    rate = (done - before) / (now - since) if now - since >= 0.5 else None
    left = (run.total - done) / rate if rate else None
    if now - since > ANCHOR_SECONDS:
        since, before = now, done
    return Pace(done, rate, left, f"/runs/{run.id.hex}/live?since={since:.3f}&done={before}")


def _read_anchor(visit: Visit) -> tuple[float | None, int]:
    try:
        return float(visit.query("since") or "x"), int(visit.query("done") or 0)
    except ValueError:
        return None, 0


def _lasted(run: Run) -> float | None:
    ended: datetime | None = run.completed_at or run.failed_at or run.cancelled_at
    if run.started_at is None:
        return None
    return ((ended or utc_now()) - run.started_at).total_seconds()


def list_metrics(run: Run, tasks: Mapping[str, Task]) -> list[MetricRow]:
    """Every metric of every task and model, each task's main metric first."""
    rows: list[MetricRow] = []
    for task_id, model, one in _measured(run):
        task = tasks.get(task_id)
        main = None if task is None else main_metric(task)
        intervals: Mapping[str, Any] = one.get("intervals") or {}
        values: Mapping[str, Any] = one.get("metrics") or {}
        found = [
            _metric_row(task_id, model, name, value, intervals.get(name) or {}, is_main=name == main)
            for name, value in values.items()
        ]
        rows += sorted(found, key=lambda row: (not row.is_main, row.metric))
    return rows


def _measured(run: Run) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What was measured of each task and model, in the order of the run; the database keeps keys in none."""
    by_task: Mapping[str, Mapping[str, Any]] = (run.metrics or {}).get("by_task") or {}
    models = list(run.config.models)
    for task_id, described in sorted(by_task.items()):
        by_model: Mapping[str, Mapping[str, Any]] = described.get("by_model") or {}
        for model in sorted(by_model, key=lambda name: models.index(name) if name in models else len(models)):
            yield task_id, model, by_model[model]


def _metric_row(
    task_id: str, model: str, name: str, value: Any, rest: Mapping[str, Any], *, is_main: bool
) -> MetricRow:
    return MetricRow(
        task_id=task_id,
        model=model,
        metric=name,
        value=value if isinstance(value, int | float) else None,
        low=rest.get("low"),
        high=rest.get("high"),
        n=rest.get("n"),
        unscored=rest.get("unscored"),
        method=str(rest.get("method") or ""),
        is_main=is_main,
    )


def list_confusions(run: Run) -> list[dict[str, Any]]:
    """The confusion matrices of a run's label tasks."""
    found: list[dict[str, Any]] = []
    for task_id, model, one in _measured(run):
        classification: Mapping[str, Any] = one.get("classification") or {}
        matrix: Mapping[str, Any] | None = classification.get("confusion")
        if matrix:
            found.append({"task_id": task_id, "model": model, **_with_heat(matrix)})
    return found


def _with_heat(matrix: Mapping[str, Any]) -> dict[str, Any]:
    most = max((count for row in matrix["counts"] for count in row), default=0) or 1
    return {"labels": matrix["labels"], "counts": matrix["counts"], "most": most}


def _choose_spread(run: Run, metrics: list[MetricRow]) -> list[MetricRow]:
    """For which metrics the distribution is shown: the first that samples have, of each task and model."""
    samples_have: Mapping[str, Any] = (run.metrics or {}).get("overall") or {}
    chosen: dict[tuple[str, str], MetricRow] = {}
    for row in metrics:
        if row.value is not None and samples_have.get(row.metric) is not None:
            chosen.setdefault((row.task_id, row.model), row)
    return list(chosen.values())[:MAX_DISTRIBUTIONS]
