"""What a user can do with labels and calibrations.

A calibration belongs to one version of a judge: as soon as its question, its models, its settings or the words of its
prompt change, its version does, and no earlier calibration speaks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.calibration import repository
from assay.core.calibration.errors import (
    CalibrationExpiredError,
    CalibrationInputError,
    CalibrationNotFoundError,
    LabelInputError,
    LabelNotFoundError,
)
from assay.core.calibration.models import CalibrationRow
from assay.core.calibration.reports import confusion_of, gold_of, report_of
from assay.core.calibration.types import (
    DEFAULT_THRESHOLD,
    MAX_IMPORTED_LABELS,
    CalibratedRate,
    Calibration,
    Gold,
    Label,
    LabelFilter,
    NewLabel,
    RateRequest,
    SubjectKind,
)
from assay.core.events.service import known_events
from assay.core.online.service import numbers_of_version
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.core.runs.judgements import JudgedTask, judged_task, numbers_of_judge, visible_samples
from assay.db.paging import Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.scoring.agreement import PassConfusion
from assay.scoring.correction import CorrectedRate, prediction_powered, rogan_gladen

MAX_LABELLED = 50_000
"""Labelled samples or events that one calibration looks at."""
DEFAULT_METRIC = "score"


async def put_labels(session: AsyncSession, principal: Principal, labels: Sequence[NewLabel]) -> int:
    """Keep labels; a person's later one about the same subject and metric replaces the earlier.

    Returns:
        How many are new.

    Raises:
        LabelInputError: One is wrong, twice the same, or about a sample or event that the caller cannot see.
    """
    if not 1 <= len(labels) <= MAX_IMPORTED_LABELS:
        raise LabelInputError(f"Give 1 to {MAX_IMPORTED_LABELS:,} labels, not {len(labels):,}.", param="labels")
    places: dict[tuple[Any, ...], int] = {}
    for number, label in enumerate(labels):
        identity = (label.kind, label.subject_id, label.metric, label.labeler)
        if places.setdefault(identity, number) != number:
            raise LabelInputError(
                f"`labels[{number}]` repeats labels[{places[identity]}]: the same subject, metric and labeler.",
                param=f"labels[{number}]",
            )
        if not isfinite(label.value):
            raise LabelInputError(f"`labels[{number}].value` must be a finite number.", param=f"labels[{number}].value")
    known = {
        SubjectKind.SAMPLE: await visible_samples(session, principal, _subjects(labels, SubjectKind.SAMPLE)),
        SubjectKind.EVENT: await known_events(session, principal, _subjects(labels, SubjectKind.EVENT)),
    }
    for number, label in enumerate(labels):
        if label.subject_id not in known[label.kind]:
            raise LabelInputError(
                f"`labels[{number}]`: no such {label.kind.value}.", param=f"labels[{number}].subject.id"
            )
    return await repository.put_labels(session, principal, labels)


def _subjects(labels: Sequence[NewLabel], kind: SubjectKind) -> set[UUID]:
    return {label.subject_id for label in labels if label.kind is kind}


async def list_labels(
    session: AsyncSession, principal: Principal, *, wanted: LabelFilter, after: UUID | None = None, limit: int = 100
) -> Page[Label]:
    """Labels, newest first."""
    return await repository.list_labels(session, principal, wanted, after=after, limit=limit)


async def delete_label(session: AsyncSession, principal: Principal, *, label_id: UUID) -> None:
    """Take a label back. Calibrations that were made with it stay as they are.

    Raises:
        LabelNotFoundError: Not visible to the caller.
    """
    row = await repository.find_label(session, principal, label_id)
    if row is None:
        raise LabelNotFoundError("No such label.", param="label_id")
    row.deleted_at = utc_now()
    await session.flush()


async def create_calibration(
    session: AsyncSession,
    principal: Principal,
    *,
    judge_version: str,
    metric: str = DEFAULT_METRIC,
    threshold: float = DEFAULT_THRESHOLD,
) -> Calibration:
    """Compare one version of a judge with the labels that are there now.

    Args:
        session: Where labels and judgements are.
        principal: The caller.
        judge_version: Of a judge in suites, compared on samples; or of an evaluator of events (a uuid), on events.
        metric: Of labels; an evaluator has one number, whatever its labels call it.
        threshold: A number of at least this passes.

    Raises:
        CalibrationInputError: This version judged nothing that has a label of the metric.
    """
    version_id = _evaluator_version(judge_version)
    kind = SubjectKind.SAMPLE if version_id is None else SubjectKind.EVENT
    labels = await repository.labels_of(session, principal, kind, metric=metric, limit=MAX_LABELLED)
    if version_id is None:
        judged = await numbers_of_judge(
            session, principal, judge_version=judge_version, metric=metric, sample_ids=labels
        )
    else:
        judged = await numbers_of_version(session, principal, version_id, labels)
    items = confusion_of(judged, gold_of(labels, threshold), threshold).n
    if items == 0:
        raise CalibrationInputError(
            f"The judge {judge_version[:64]!r} gave no {kind.value} a `{metric[:100]}` that people labelled as well, "
            f"or they are split on each; label some of its {kind.value}s first.",
            param="judge_version",
        )
    row = CalibrationRow(
        id=new_id(),
        **owner_columns(principal),
        judge_version=judge_version,
        metric=metric,
        threshold=threshold,
        items=items,
        report=report_of(judged, labels, threshold),
        created_at=utc_now(),
    )
    session.add(row)
    await session.flush()
    return repository.to_calibration(row)


def _evaluator_version(judge_version: str) -> UUID | None:
    """The version of an evaluator, whose id is a hyphenated uuid; a judge in suites has a digest."""
    try:
        version_id = UUID(judge_version)
    except ValueError:
        return None
    return version_id if str(version_id) == judge_version else None


async def get_calibration(session: AsyncSession, principal: Principal, *, calibration_id: UUID) -> Calibration:
    """One calibration.

    Raises:
        CalibrationNotFoundError: Not visible to the caller.
    """
    return repository.to_calibration(await _find(session, principal, calibration_id))


async def list_calibrations(
    session: AsyncSession,
    principal: Principal,
    *,
    judge_version: str | None = None,
    metric: str | None = None,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Calibration]:
    """Calibrations, newest first."""
    return await repository.list_calibrations(
        session, principal, judge_version=judge_version, metric=metric, after=after, limit=limit
    )


async def delete_calibration(session: AsyncSession, principal: Principal, *, calibration_id: UUID) -> None:
    """Delete a calibration.

    Raises:
        CalibrationNotFoundError: Not visible to the caller.
    """
    (await _find(session, principal, calibration_id)).deleted_at = utc_now()
    await session.flush()


async def calibrated_rate(session: AsyncSession, principal: Principal, request: RateRequest) -> CalibratedRate:
    """The true rate of passes behind a run's judged one.

    Raises:
        RunNotFoundError: Not visible to the caller.
        RunInputError: Task or model is missing or unknown.
        CalibrationNotFoundError: The named calibration is not visible to the caller.
        CalibrationExpiredError: No calibration, or not the named one, belongs to the judge that judged the run.
        CalibrationInputError: Nothing in it was judged, or by several versions of a judge.
    """
    metric = request.metric or DEFAULT_METRIC
    task = await judged_task(
        session, principal, run_id=request.run_id, task_id=request.task_id, model=request.model, metric=metric
    )
    if len(task.versions) != 1:
        raise CalibrationInputError(
            f"The samples were judged by {len(task.versions)} versions of a judge for `{metric[:100]}`; one is needed.",
            param="run_id",
        )
    [version] = task.versions
    calibration = await _calibration_for(session, principal, version, metric, request.calibration_id)
    labels = await repository.labels_of(session, principal, SubjectKind.SAMPLE, metric=metric, limit=MAX_LABELLED)
    passes = {sample: value >= calibration.threshold for sample, value in task.values.items()}
    return CalibratedRate(
        run_id=request.run_id,
        task_id=task.task_id,
        model=task.model,
        metric=metric,
        judge_version=version,
        calibration_id=calibration.id,
        n=len(passes),
        judged_rate=sum(passes.values()) / len(passes),
        rogan_gladen=rogan_gladen(sum(passes.values()), len(passes), _confusion(calibration.report)),
        prediction_powered=_powered(task, passes, gold_of(labels, calibration.threshold)),
    )


def _powered(task: JudgedTask, passes: Mapping[UUID, bool], gold: Gold) -> CorrectedRate | None:
    labelled = [sample for sample in task.values if sample in gold]
    unlabelled = [float(passed) for sample, passed in passes.items() if sample not in gold]
    return prediction_powered(
        unlabelled, [float(passes[sample]) for sample in labelled], [float(gold[sample]) for sample in labelled]
    )


def _confusion(report: Mapping[str, Any]) -> PassConfusion:
    return PassConfusion(**report["confusion"])


async def _calibration_for(
    session: AsyncSession, principal: Principal, version: str, metric: str, calibration_id: UUID | None
) -> Calibration:
    if calibration_id is not None:
        named = await get_calibration(session, principal, calibration_id=calibration_id)
        if (named.judge_version, named.metric) != (version, metric):
            raise CalibrationExpiredError(
                f"The calibration is of judge {named.judge_version} and `{named.metric}`; the run was judged by "
                f"{version} for `{metric[:100]}`.",
                param="calibration_id",
            )
        return named
    page = await repository.list_calibrations(session, principal, judge_version=version, metric=metric, limit=1)
    if not page.items:
        raise CalibrationExpiredError(
            f"The judge {version} has no calibration for `{metric[:100]}`: it has changed since it was calibrated, or "
            "never was. Label some of its samples, and calibrate it.",
            param="run_id",
        )
    return page.items[0]


async def _find(session: AsyncSession, principal: Principal, calibration_id: UUID) -> CalibrationRow:
    row = await repository.find_calibration(session, principal, calibration_id)
    if row is None:
        raise CalibrationNotFoundError("No such calibration.", param="calibration_id")
    return row
