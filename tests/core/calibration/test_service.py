"""Labels and calibrations without a run."""

from __future__ import annotations

import pytest
from tests.support.evals import Evals

from assay.core.calibration.errors import CalibrationInputError, LabelInputError
from assay.core.calibration.service import create_calibration, put_labels
from assay.core.calibration.types import NewLabel, SubjectKind
from assay.db.session import transaction
from assay.kit.ids import new_id


async def test_labels_of_events_alone_calibrate_nothing(evals: Evals) -> None:
    label = NewLabel(kind=SubjectKind.EVENT, subject_id=new_id(), metric="score", value=1.0)
    async with transaction(evals.runtime.sessions) as session:
        assert await put_labels(session, evals.principal, [label]) == 1
        assert await put_labels(session, evals.principal, [label]) == 0
        with pytest.raises(CalibrationInputError, match="label some of its samples first"):
            await create_calibration(session, evals.principal, judge_version="v")


async def test_labels_that_are_wrong(evals: Evals) -> None:
    label = NewLabel(kind=SubjectKind.SAMPLE, subject_id=new_id(), metric="score", value=1.0)
    async with transaction(evals.runtime.sessions) as session:
        with pytest.raises(LabelInputError, match="no such sample"):
            await put_labels(session, evals.principal, [label])
        with pytest.raises(LabelInputError, match=r"repeats labels\[0\]"):
            await put_labels(session, evals.principal, [label, label])
