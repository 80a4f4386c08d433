"""When an agent's schedule is due, by what the client sent (M§3.5).

    {"type": "once", "run_at": "2030-01-01T09:00:00", "timezone": "Europe/Berlin"}
    {"type": "interval", "interval_seconds": 3600, "start_at": "2030-01-01T00:00:00Z"}
    {"type": "cron", "cron_expression": "0 9 * * MON", "timezone": "Europe/Berlin"}

A time without an offset is one in the schedule's time zone. Times are rounded up to whole seconds. An interval is due
at ``start_at`` and then again and again; without a start it is due for the first time one interval from now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from assay.core.agents.errors import AgentInputError
from assay.core.schedules.cadence import (
    Cadence,
    CronCadence,
    IntervalCadence,
    OnceCadence,
    check_timezone,
    resolve_local,
    whole_seconds,
)
from assay.core.schedules.cron import parse_cron
from assay.core.schedules.errors import CronError, ScheduleInputError
from assay.core.schedules.types import MAX_INTERVAL_SECONDS

MIN_INTERVAL_SECONDS = 1
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Beyond this, instants are no use to anybody and beyond what the clock can hold."""


def to_cadence(spec: Mapping[str, Any], *, anchor: datetime) -> Cadence:
    """The instants of a schedule.

    Args:
        spec: As sent.
        anchor: From where an interval without a start counts.

    Raises:
        AgentInputError: The spec is not one of the three, or a part of it is out of bounds.
    """
    zone = _read_zone(spec.get("timezone", "UTC"))
    match spec.get("type"):
        case "once":
            return OnceCadence(_read_time(spec, "run_at", zone))
        case "interval":
            return _read_interval(spec, zone, anchor)
        case "cron":
            return _read_cron(spec, zone)
        case other:
            raise AgentInputError(
                f"`schedule.type` must be 'once', 'interval' or 'cron'; it is {str(other)[:40]!r}.",
                param="schedule.type",
            )


def fires_once(spec: Mapping[str, Any]) -> bool:
    """Whether a schedule is over after one fire."""
    return spec.get("type") == "once"


def _read_interval(spec: Mapping[str, Any], zone: ZoneInfo, anchor: datetime) -> IntervalCadence:
    seconds: Any = spec.get("interval_seconds")
    whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not (whole and MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS):
        raise AgentInputError(
            f"`schedule.interval_seconds` must be a whole number, {MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}.",
            param="schedule.interval_seconds",
        )
    every = timedelta(seconds=seconds)
    if spec.get("start_at") is None:
        return IntervalCadence(every, whole_seconds(anchor))
    # Its instants begin one interval after the anchor.
    return IntervalCadence(every, _read_time(spec, "start_at", zone) - every)


def _read_cron(spec: Mapping[str, Any], zone: ZoneInfo) -> CronCadence:
    text = spec.get("cron_expression")
    if not isinstance(text, str):
        raise AgentInputError("`schedule.cron_expression` must be a text.", param="schedule.cron_expression")
    try:
        return CronCadence(parse_cron(text), zone.key)
    except CronError as error:
        message = error.message.replace("`cron`", "`schedule.cron_expression`")
        raise AgentInputError(message, param="schedule.cron_expression") from error


def _read_zone(name: object) -> ZoneInfo:
    if not isinstance(name, str):
        raise AgentInputError("`schedule.timezone` must be a name such as Europe/Berlin.", param="schedule.timezone")
    try:
        return ZoneInfo(check_timezone(name))
    except ScheduleInputError as error:
        message = error.message.replace("`timezone`", "`schedule.timezone`")
        raise AgentInputError(message, param="schedule.timezone") from error


def _read_time(spec: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime:
    text = spec.get(name)
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        if moment is not None:
            local = moment if moment.tzinfo is not None else resolve_local(moment, zone)
            moment = whole_seconds(local.astimezone(UTC))
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment > LATEST:
        raise AgentInputError(
            f"`schedule.{name}` must be a time such as 2030-01-01T09:00:00Z, before the year {LATEST.year}.",
            param=f"schedule.{name}",
        )
    return moment
