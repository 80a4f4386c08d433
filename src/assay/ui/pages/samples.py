"""Samples: further rows of a run's table, and one sample with all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from starlette.responses import Response

from assay.core.calibration import service as calibration
from assay.core.calibration.types import LabelFilter, SubjectKind
from assay.core.projects.types import Scope
from assay.core.runs import service, trajectories, views
from assay.core.runs.errors import SampleNotFoundError
from assay.core.runs.types import Sample, SampleStatus
from assay.kit.errors import NotFoundError
from assay.ui.charts import Span
from assay.ui.edge import Pages, Visit
from assay.ui.pages.sampling import filter_query, list_page, read_filter

MAX_STEPS_SHOWN = 500
pages = Pages()


@pages.get("/runs/{run_id}/samples", Scope.EVALS_READ)
async def list_samples(visit: Visit) -> Response:
    """The next rows of the table, as the script asks for them; as a page of its own without it."""
    run = await service.get_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    wanted = read_filter(visit)
    page = await list_page(visit, run.id, wanted)
    values: dict[str, Any] = {"run": run, "page": page, "chosen": wanted}
    if visit.request.headers.get("x-fragment") is not None:
        return visit.fragment("samples_table.html", **values)
    return await visit.render("samples.html", **values)


@pages.get("/runs/{run_id}/samples/{sample_id}", Scope.EVALS_READ)
async def show_sample(visit: Visit) -> Response:
    """One sample: what was asked, answered, read out of it, and how it was scored."""
    run = await service.get_run(visit.session, visit.principal, run_id=visit.path_id("run_id"))
    sample = await views.get_sample(visit.session, visit.principal, run_id=run.id, sample_id=visit.path_id("sample_id"))
    wanted = read_filter(visit)
    following = await service.list_samples(
        visit.session,
        visit.principal,
        run_id=run.id,
        sample_filter=replace(wanted, sample_indexes=None),
        after=sample.id,
        limit=1,
    )
    labels = await calibration.list_labels(
        visit.session, visit.principal, wanted=LabelFilter(kind=SubjectKind.SAMPLE, subject_id=sample.id), limit=50
    )
    return await visit.render(
        "sample.html",
        run=run,
        sample=sample,
        scores=sorted(sample.scores.items()),
        steps=await _read_steps(visit, sample),
        phases=_phases(sample),
        next_sample=following.items[0] if following.items else None,
        labels=labels.items,
        query=filter_query(wanted),
        failed=sample.status is SampleStatus.FAILED,
    )


async def _read_steps(visit: Visit, sample: Sample) -> list[dict[str, Any]]:
    """What an agent did for the sample; empty where no agent was asked."""
    try:
        found = await trajectories.get_trajectory(
            visit.session,
            visit.principal,
            run_id=sample.run_id,
            sample_index=sample.sample_index,
            task_id=sample.task_id,
            model=sample.model,
        )
    except (NotFoundError, SampleNotFoundError):
        return []
    steps: Any = json.loads(found.steps)
    return [as_step(step) for step in cast("list[Any]", steps)[:MAX_STEPS_SHOWN]] if isinstance(steps, list) else []


def as_step(step: Any) -> dict[str, Any]:
    """A step of a trajectory as pages show it, whoever wrote it."""
    if not isinstance(step, Mapping):
        return {"kind": "step", "title": "", "body": step, "seconds": None}
    known = cast("Mapping[str, Any]", step)
    kind = str(known.get("kind") or known.get("type") or known.get("source") or known.get("role") or "step")
    title = str(known.get("name") or known.get("tool") or known.get("key") or "")
    return {"kind": kind, "title": title, "body": known, "seconds": _between(known)}


def _between(step: Mapping[str, Any]) -> float | None:
    start, end = _moment(step.get("started_at")), _moment(step.get("finished_at"))
    return None if start is None or end is None else (end - start).total_seconds()


def _phases(sample: Sample) -> Sequence[Span]:
    """When the sample was generated and scored, as a timeline."""
    found: list[tuple[str, datetime, datetime]] = []
    for name, phase in (sample.phase_timings or {}).items():
        if not isinstance(phase, Mapping):
            continue
        known = cast("Mapping[str, Any]", phase)
        start, end = _moment(known.get("started_at")), _moment(known.get("finished_at"))
        if start is not None and end is not None:
            found.append((name.replace("_", " "), start, end))
    if not found:
        return []
    first = min(start for _, start, _ in found)
    return [Span(name, (start - first).total_seconds(), (end - first).total_seconds()) for name, start, end in found]


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
