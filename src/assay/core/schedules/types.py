"""Schedules and what became of their fires, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from assay.core.runs.types import RunStatus
from assay.core.schedules.cadence import Cadence, CronCadence, IntervalCadence
from assay.core.schedules.cron import parse_cron

MIN_INTERVAL_SECONDS = 60
MAX_INTERVAL_SECONDS = 31_536_000


class OverlapPolicy(StrEnum):
    """What a due fire does while a run of the schedule is active (M§7 R25)."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    ALLOW_ALL = "allow_all"


class FireKind(StrEnum):
    """What brought a fire about."""

    CADENCE = "cadence"
    MANUAL = "manual"
    CATCH_UP = "catch_up"
    """Due while nothing ran, and carried out afterwards."""


class FireOutcome(StrEnum):
    """What a fire came to."""

    RUN = "run"
    SKIPPED = "skipped"
    BUFFERED = "buffered"
    """Pending: becomes a run when the active one ends."""
    MISSED = "missed"
    FAILED = "failed"


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""A field that a change leaves alone, where None clears it."""
Absent = Literal[_Absent.ABSENT]


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What a caller gives to make a schedule; exactly one of ``cron`` and ``interval_seconds``."""

    name: str
    suite_id: UUID
    run: Mapping[str, Any]
    """The fields of ``RunConfig``; keys that it does not know are kept and mean nothing."""
    description: str | None = None
    suite_version: int | None = None
    cron: str | None = None
    interval_seconds: int | None = None
    timezone: str = "UTC"
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    enabled: bool = True
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """What a caller wants changed (M§7 R8): what is absent stays, ``run`` and ``metadata`` replace wholesale."""

    name: str | Absent = ABSENT
    description: str | Absent | None = ABSENT
    suite_version: int | Absent | None = ABSENT
    run: Mapping[str, Any] | Absent = ABSENT
    cron: str | Absent | None = ABSENT
    interval_seconds: int | Absent | None = ABSENT
    timezone: str | Absent = ABSENT
    overlap_policy: OverlapPolicy | Absent = ABSENT
    enabled: bool | Absent = ABSENT
    webhook_url: str | Absent | None = ABSENT
    webhook_secret: str | Absent | None = field(default=ABSENT, repr=False)
    metadata: Mapping[str, str] | Absent = ABSENT


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule is due, as it is stored."""

    cron: str | None
    interval_seconds: int | None
    timezone: str
    anchor_at: datetime
    """From where intervals count: when the schedule was made or last enabled (R26)."""

    @property
    def cadence(self) -> Cadence:
        """The instants themselves."""
        if self.cron is not None:
            return CronCadence(parse_cron(self.cron), self.timezone)
        return IntervalCadence(timedelta(seconds=self.interval_seconds or MIN_INTERVAL_SECONDS), self.anchor_at)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule, with its latest run."""

    id: UUID
    organization_id: UUID
    project_id: UUID
    name: str
    description: str | None
    suite_id: UUID
    suite_version: int | None
    timing: Timing
    overlap_policy: OverlapPolicy
    enabled: bool
    webhook_url: str | None
    has_webhook_secret: bool
    run: Mapping[str, Any]
    metadata: Mapping[str, str]
    revision: int
    """Counts the changes."""
    next_due_at: datetime | None
    """By our own reckoning; None while disabled."""
    last_run_id: UUID | None
    last_run_at: datetime | None
    last_run_status: RunStatus | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleFilter:
    """Which schedules to list."""

    suite_id: UUID | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Fire:
    """What became of one due instant, or of several missed ones."""

    id: UUID
    schedule_id: UUID
    due_at: datetime
    last_due_at: datetime
    """Differs from ``due_at`` when one record stands for several missed instants."""
    count: int
    kind: FireKind
    outcome: FireOutcome
    reason: str | None
    """Why it made no run, or was late in making one."""
    run_id: UUID | None
    blocked_by: UUID | None
    """The run that was active."""
    recorded_at: datetime
    started_at: datetime | None
    """When its run was queued."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A fire with its run, compared with the run before it."""

    fire: Fire
    run_status: RunStatus | None
    suite_version: int | None
    metrics: Mapping[str, float] | None
    """The run's overall metrics; None until it has any."""
    previous_run_id: UUID | None
    change: Mapping[str, float] | None
    """Metric by metric, what was added since the schedule's previous run that had metrics."""


class ClockReader(Protocol):
    """Knows when the clock will strike next."""

    async def next_fires(self, schedules: Sequence[Schedule]) -> Mapping[UUID, datetime | None]:
        """The next fire of each schedule; None where it is disabled or cannot be found out."""
        ...
