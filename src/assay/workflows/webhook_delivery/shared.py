"""Names and messages of the ``webhook_delivery`` workflow: ids and seconds only, never a URL, secret or payload."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "webhook_delivery"
WAKE = "wake"
"""The workflow's one signal: there may be something to send."""
ADVANCE = "webhook_delivery.advance"


@dataclass(frozen=True)
class WebhookDeliveryInput:
    """Whose events to deliver where."""

    endpoint_id: str
    subject_id: str
    max_steps: int = 200
    """Attempts and looks of one workflow execution before it continues as new."""


@dataclass(frozen=True)
class Advanced:
    """What is left after a step."""

    wait_seconds: float | None
    """Until the next delivery is due; None when nothing is pending."""


def activity_queue(task_queue: str) -> str:
    """The queue of the attempts: receivers that do not answer must not take the slots of evaluations."""
    return f"{task_queue}-webhooks"
