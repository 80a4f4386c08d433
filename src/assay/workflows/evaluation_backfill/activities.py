"""The activity of the ``evaluation_backfill`` workflow: a thin shell around ``core.online.backfills``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity

from assay.core.online.backfills import advance_backfill, fail_backfill
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.workflows.evaluation_backfill.shared import ADVANCE, BackfillInput, BackfillReport

LONGEST_SECONDS = 5.0
"""Steps of one activity are taken for so long; each commits by itself."""
ATTEMPTS_AT_A_FAULT = 5

_log = structlog.stdlib.get_logger(__name__)


class BackfillActivities:
    """Holds what the activity works with.

    Args:
        sessions: The database.
        wake_dispatcher: Told when entries were made.
    """

    def __init__(self, sessions: SessionFactory, *, wake_dispatcher: Callable[[], None]) -> None:
        self._sessions = sessions
        self._wake = wake_dispatcher

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.advance]

    @activity.defn(name=ADVANCE)
    async def advance(self, request: BackfillInput) -> BackfillReport:
        """Take a backfill on."""
        backfill_id = UUID(request.backfill_id)
        try:
            return BackfillReport(await self._advance(backfill_id))
        except Exception as error:
            if is_transient(error) or activity.info().attempt < ATTEMPTS_AT_A_FAULT:
                raise
            _log.exception("backfill_cannot_go_on", backfill_id=request.backfill_id)
            async with transaction(self._sessions) as session:
                await fail_backfill(session, backfill_id, f"Internal error: {type(error).__name__}")
            return BackfillReport(None)

    async def _advance(self, backfill_id: UUID) -> float | None:
        end = time.monotonic() + LONGEST_SECONDS
        wait: float | None = 0.0
        while wait == 0.0 and time.monotonic() < end:
            async with transaction(self._sessions) as session:
                wait = await advance_backfill(session, backfill_id)
            self._wake()
        return wait
