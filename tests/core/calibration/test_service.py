"""Labels and calibrations without a run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.support.evals import Evals, working
from tests.support.online import Traffic, generation, hog

from assay.core.calibration.errors import CalibrationInputError, LabelInputError
from assay.core.calibration.service import create_calibration, put_labels
from assay.core.calibration.types import NewLabel, SubjectKind
from assay.core.events.service import known_events
from assay.core.online.service import numbers_of_version
from assay.core.runs.judgements import visible_samples
from assay.db.session import transaction
from assay.kit.ids import new_id


def label_of(event: UUID, value: bool, **more: Any) -> NewLabel:
    return NewLabel(kind=SubjectKind.EVENT, subject_id=event, metric="kind", value=float(value), **more)


async def test_an_evaluator_is_calibrated_by_labels_of_events(evals: Evals) -> None:
    traffic = Traffic(evals)
    evaluator = await traffic.evaluator(hog("return output =~ 'fine'"))
    other = await traffic.evaluator(hog("return false"), name="other")
    # Said, and what people say of it: two right passes, a wrong one, a right failure, and one on which they are split.
    said = [("fine", True), ("fine", True), ("fine", False), ("bad", False), ("bad", True)]
    async with working(evals):
        events = await traffic.send(*(generation(output) for output, _ in said))
        await traffic.settled(evaluator, 5)
        await traffic.settled(other, 5)
    labels = [label_of(event.uuid, label) for event, (_, label) in zip(events, said, strict=True)]
    labels.append(label_of(events[4].uuid, False, labeler="ben"))

    async with transaction(evals.runtime.sessions) as session:
        assert await put_labels(session, evals.principal, labels) == 6
        assert await put_labels(session, evals.principal, labels) == 0
        version = str(evaluator.version_id)
        made = await create_calibration(session, evals.principal, judge_version=version, metric="kind")
        with pytest.raises(CalibrationInputError, match="label some of its samples first"):
            await create_calibration(session, evals.principal, judge_version="v", metric="kind")
        with pytest.raises(CalibrationInputError, match="label some of its events first"):
            await create_calibration(session, evals.principal, judge_version=str(new_id()), metric="kind")
        with pytest.raises(CalibrationInputError, match="label some of its events first"):
            await create_calibration(session, evals.principal, judge_version=version, metric="other")

    assert (made.items, made.report["split"]) == (4, 1)
    assert made.report["confusion"] == {"true_pass": 2, "false_pass": 1, "true_fail": 1, "false_fail": 0}


async def test_many_subjects_at_once(evals: Evals) -> None:
    # More than a statement may have parameters.
    ids = [UUID(int=number) for number in range(40_000)]
    async with evals.runtime.sessions() as session:
        assert await visible_samples(session, evals.principal, ids) == set()
        assert await known_events(session, evals.principal, ids) == set()
        assert await numbers_of_version(session, evals.principal, new_id(), ids) == {}


async def test_labels_that_are_wrong(evals: Evals) -> None:
    label = NewLabel(kind=SubjectKind.SAMPLE, subject_id=new_id(), metric="score", value=1.0)
    async with transaction(evals.runtime.sessions) as session:
        with pytest.raises(LabelInputError, match="no such sample"):
            await put_labels(session, evals.principal, [label])
        with pytest.raises(LabelInputError, match="no such event"):
            await put_labels(session, evals.principal, [label_of(new_id(), True)])
        with pytest.raises(LabelInputError, match=r"repeats labels\[0\]"):
            await put_labels(session, evals.principal, [label, label])
