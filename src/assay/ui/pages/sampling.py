"""The filters of a run's samples, and their pages."""

from __future__ import annotations

from uuid import UUID

from assay.core.runs import service
from assay.core.runs.types import Sample, SampleFilter, SampleStatus
from assay.db.paging import Page
from assay.ui.edge import FieldError, Visit

PAGE = 50
_MAX_NAME = 255


def read_filter(visit: Visit) -> SampleFilter:
    """Which samples the page's address asks for.

    Raises:
        FieldError: A parameter is of no such form.
    """
    status = visit.query("status")
    if status is not None and status not in set(SampleStatus):
        raise FieldError("`status` is no status of a sample.", param="status")
    metric = (visit.query("metric") or "")[:_MAX_NAME] or None
    index = visit.query("index")
    if index is not None and (not index.isascii() or not index.isdecimal() or int(index) >= 2**31):
        raise FieldError("`index` must be a whole number.", param="index")
    return SampleFilter(
        task_id=visit.query("task"),
        model=visit.query("model"),
        status=None if status is None else SampleStatus(status),
        score_metric=metric,
        score_min=_read_bound(visit, "min") if metric else None,
        score_max=_read_bound(visit, "max") if metric else None,
        sample_indexes=None if index is None else [int(index)],
    )


def filter_query(wanted: SampleFilter) -> dict[str, str | float | None]:
    """The same as parameters of an address."""
    return {
        "task": wanted.task_id,
        "model": wanted.model,
        "status": None if wanted.status is None else wanted.status.value,
        "metric": wanted.score_metric,
        "min": wanted.score_min,
        "max": wanted.score_max,
        "index": None if not wanted.sample_indexes else wanted.sample_indexes[0],
    }


async def list_page(visit: Visit, run_id: UUID, wanted: SampleFilter) -> Page[Sample]:
    """The samples after the one that the address names."""
    return await service.list_samples(
        visit.session,
        visit.principal,
        run_id=run_id,
        sample_filter=wanted,
        after=visit.query_id("after"),
        limit=PAGE,
    )


def _read_bound(visit: Visit, name: str) -> float | None:
    text = visit.query(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise FieldError(f"`{name}` must be a number.", param=name) from None
    if value != value or abs(value) == float("inf"):
        raise FieldError(f"`{name}` must be a finite number.", param=name)
    return value
