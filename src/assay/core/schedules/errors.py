"""What can be wrong with a schedule."""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError, UnavailableError


class ScheduleNotFoundError(NotFoundError):
    """No such schedule is visible to the caller."""

    code = "schedule_not_found"


class ScheduleInputError(InvalidError):
    """A field of a schedule is wrong."""

    code = "invalid_schedule"


class CronError(InvalidError):
    """The cron expression is not one of five fields, or never fires."""

    code = "invalid_cron"


class SecretStorageError(UnavailableError):
    """There is no key to encrypt a webhook secret with."""

    code = "secret_key_missing"
