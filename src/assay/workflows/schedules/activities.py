"""The activity of the ``schedule_fire`` workflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.kit.errors import DomainError
from assay.workflows.schedules.kinds import ScheduleKind
from assay.workflows.schedules.shared import SETTLE, SettleInput, SettleReport

ATTEMPTS_AT_A_FAULT = 5

_log = structlog.stdlib.get_logger(__name__)


class ScheduleActivities:
    """Holds what the activity works with.

    Args:
        sessions: Makes sessions.
        kinds: Everything that has schedules.
        wake_dispatcher: Told after each commit, so that a new run starts at once.
    """

    def __init__(
        self, sessions: SessionFactory, kinds: Sequence[ScheduleKind], *, wake_dispatcher: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._kinds = {kind.definitions.name: kind for kind in kinds}
        self._wake = wake_dispatcher

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.settle]

    @activity.defn(name=SETTLE)
    async def settle(self, request: SettleInput) -> SettleReport:
        """Settle everything that is due on a schedule."""
        kind, schedule_id = self._kinds[request.kind], UUID(request.schedule_id)
        try:
            async with transaction(self._sessions) as session:
                report = await kind.settle(session, schedule_id, datetime.fromisoformat(request.scheduled_at))
        except Exception as error:
            waits = is_transient(error) or isinstance(error, DomainError)
            if waits or activity.info().attempt < ATTEMPTS_AT_A_FAULT:
                _log.warning("schedule_fire_postponed", schedule_id=request.schedule_id, exc_info=True)
                # The message may quote what Temporal's history must not hold.
                raise ApplicationError("The fire is tried again.", type=type(error).__name__) from None
            # A fault of ours does not heal by waiting: this fire says so, and the next ones are not held up.
            _log.exception("schedule_fire_failed", schedule_id=request.schedule_id)
            async with transaction(self._sessions) as session:
                await kind.give_up(session, schedule_id, f"Internal error: {type(error).__name__}.")
            return SettleReport("failed")
        self._wake()
        return report
