"""The activity of the ``webhook_delivery`` workflow: a thin shell around ``Sender``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from temporalio import activity

from assay.workflows.webhook_delivery.sender import Sender
from assay.workflows.webhook_delivery.shared import ADVANCE, Advanced, WebhookDeliveryInput

HEARTBEAT_SECONDS = 2.0


class WebhookDeliveryActivities:
    """Holds what the activity works with."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def all(self) -> Sequence[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.advance]

    @activity.defn(name=ADVANCE)
    async def advance(self, request: WebhookDeliveryInput) -> Advanced:
        """Attempt the next delivery if it is due."""
        async with _heartbeats():
            wait = await self._sender.advance(UUID(request.endpoint_id), UUID(request.subject_id))
        return Advanced(wait)


@asynccontextmanager
async def _heartbeats() -> AsyncGenerator[None]:
    """Show that the worker lives while it waits for an answer, so that a dead one's work is taken up in seconds."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
