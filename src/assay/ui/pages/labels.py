"""Labels: a queue to label samples blind, how far people agree, and judges measured against them."""

from __future__ import annotations

from starlette.responses import Response

from assay.core.calibration import queue, service
from assay.core.calibration.types import LabelFilter, NewLabel, SubjectKind
from assay.core.projects.types import Scope
from assay.core.runs import service as runs
from assay.core.runs.judgements import judged_task
from assay.core.runs.types import RunFilter, RunStatus
from assay.core.runs.views import get_sample
from assay.ui.edge import FieldError, Pages, Visit, read_uuid
from assay.ui.pages.naming import suite_names
from assay.ui.rendering import with_query

DEFAULT_METRIC = "score"
THRESHOLD = 0.5
MAX_METRIC = 128
RUNS = 50
pages = Pages()


@pages.get("/labels", Scope.EVALS_READ)
async def show_labels(visit: Visit) -> Response:
    """What was labelled, by whom, and what it says of judges."""
    metric = _metric(visit.query("metric"))
    labels = await service.list_labels(
        visit.session,
        visit.principal,
        wanted=LabelFilter(metric=metric),
        after=visit.query_id("after"),
        limit=30,
    )
    calibrations = await service.list_calibrations(visit.session, visit.principal, limit=20)
    found = await runs.list_runs(
        visit.session, visit.principal, run_filter=RunFilter(status=RunStatus.COMPLETED), limit=RUNS
    )
    return await visit.render(
        "labels.html",
        metric=metric,
        labels=labels.items,
        has_more=labels.has_more,
        agreement=await queue.measure_agreement(visit.session, visit.principal, metric=metric, threshold=THRESHOLD),
        calibrations=calibrations.items,
        runs=found.items,
        names=await suite_names(visit, found.items),
        labeler=labeler_of(visit),
    )


@pages.get("/labels/queue", Scope.EVALS_WRITE)
async def show_next(visit: Visit) -> Response:
    """The next sample to label: what was asked, answered and expected, and nothing that could sway."""
    run_id = visit.query_id("run")
    if run_id is None:
        return visit.go("/labels", "Choose a run whose samples you want to label.")
    run = await runs.get_run(visit.session, visit.principal, run_id=run_id)
    tasks = sorted((run.metrics or {}).get("by_task") or {})
    task = visit.query("task") or (tasks[0] if tasks else None)
    metric = _metric(visit.query("metric"))
    sample_id = await queue.next_unlabelled(
        visit.session, visit.principal, run_id=run_id, task_id=task, metric=metric, labeler=labeler_of(visit)
    )
    sample = None
    if sample_id is not None:
        sample = await get_sample(visit.session, visit.principal, run_id=run_id, sample_id=sample_id)
    return await visit.render(
        "label_queue.html",
        run=run,
        tasks=tasks,
        task=task,
        metric=metric,
        sample=sample,
        labeler=labeler_of(visit),
        here=with_query("/labels/queue", {"run": run_id.hex, "task": task, "metric": metric}),
    )


@pages.post("/labels", Scope.EVALS_WRITE)
async def put_label(visit: Visit) -> Response:
    """Keep what somebody says of a sample, and show the next."""
    sample_id, run_id = read_uuid(visit.field("sample")), read_uuid(visit.field("run"))
    if sample_id is None or run_id is None:
        raise FieldError("There is no sample to label.", param="sample")
    try:
        value = float(visit.field("value"))
    except ValueError:
        raise FieldError("Say a number, such as 1 for a pass.", param="value") from None
    label = NewLabel(
        kind=SubjectKind.SAMPLE,
        subject_id=sample_id,
        metric=_metric(visit.field("metric")),
        value=value,
        labeler=labeler_of(visit),
        note=visit.optional("note"),
    )
    await service.put_labels(visit.session, visit.principal, [label])
    values = {"run": run_id.hex, "task": visit.optional("task"), "metric": label.metric}
    return visit.go(with_query("/labels/queue", values))


@pages.post("/labels/{label_id}/delete", Scope.EVALS_WRITE)
async def delete_label(visit: Visit) -> Response:
    """Take a label back."""
    await service.delete_label(visit.session, visit.principal, label_id=visit.path_id("label_id"))
    return visit.go("/labels", "The label is taken back.")


@pages.post("/labels/calibrations", Scope.EVALS_WRITE)
async def calibrate(visit: Visit) -> Response:
    """Compare the judge of a run with the labels."""
    run_id = read_uuid(visit.field("run"))
    if run_id is None:
        raise FieldError("Choose a run that a judge scored.", param="run")
    metric = _metric(visit.field("metric"))
    run = await runs.get_run(visit.session, visit.principal, run_id=run_id)
    versions: set[str] = set()
    for task_id in sorted((run.metrics or {}).get("by_task") or {}):
        for model in run.config.models:
            task = await judged_task(
                visit.session, visit.principal, run_id=run_id, task_id=task_id, model=model, metric=metric
            )
            versions.update(task.versions)
    if not versions:
        raise FieldError(f"No judge gave this run's samples a `{metric}`.", param="run")
    for version in sorted(versions):
        await service.create_calibration(
            visit.session, visit.principal, judge_version=version, metric=metric, threshold=THRESHOLD
        )
    return visit.go("/labels", "The judge is measured against the labels.")


def labeler_of(visit: Visit) -> str:
    """By what name a visitor's labels go."""
    return visit.visitor.email or f"{visit.visitor.name} ({visit.visitor.user_id.hex[-6:]})"


def _metric(text: str | None) -> str:
    return (text or DEFAULT_METRIC)[:MAX_METRIC]
