"""What can be wrong with labels and calibrations."""

from __future__ import annotations

from assay.kit.errors import ConflictError, InvalidError, NotFoundError


class LabelNotFoundError(NotFoundError):
    """No such label is visible to the caller."""

    code = "label_not_found"


class LabelInputError(InvalidError):
    """A label is wrong; the message says which and why."""

    code = "invalid_label"


class CalibrationNotFoundError(NotFoundError):
    """No such calibration is visible to the caller."""

    code = "calibration_not_found"


class CalibrationInputError(InvalidError):
    """There is too little to calibrate by, or a field is wrong."""

    code = "invalid_calibration"


class CalibrationExpiredError(ConflictError):
    """The judge has no calibration: it has none yet, or has changed since."""

    code = "calibration_expired"
