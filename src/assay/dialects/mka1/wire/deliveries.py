"""Deliveries of a schedule's webhook. Not part of the published API: ours, in its style."""

from __future__ import annotations

from typing import Literal

from assay.dialects.mka1.wire.base import ResponseModel, UnixSeconds


class WireAttempt(ResponseModel):
    """One try."""

    at: UnixSeconds
    seconds: float
    status_code: int | None
    error: str | None
    response_body: str | None


class WireDelivery(ResponseModel):
    """An event on its way to the schedule's webhook."""

    id: str
    object: Literal["eval.schedule.delivery"]
    schedule_id: str
    run_id: str
    type: str
    position: int
    status: str
    reason: str | None
    attempt_count: int
    attempts: list[WireAttempt]
    created_at: UnixSeconds
    next_attempt_at: UnixSeconds | None
    ended_at: UnixSeconds | None
