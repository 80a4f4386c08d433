"""What can be wrong with a schedule."""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError


class ScheduleNotFoundError(NotFoundError):
    """No such schedule is visible to the caller."""

    code = "schedule_not_found"


class ScheduleInputError(InvalidError):
    """A field of a schedule is wrong."""

    code = "invalid_schedule"


class CronError(InvalidError):
    """The cron expression is not one of five fields, or never fires."""

    code = "invalid_cron"
