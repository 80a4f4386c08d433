"""One step of a delivery: take what is due, render, sign, post, write down what came of it.

Nothing is held between the steps: the row is read in one transaction and written in another, with the request in
between. A crash after the request and before the second transaction makes the receiver see the event twice, under the
same id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from assay.core.webhooks.sending import Outgoing, Verdict, Waiting, record_attempt, take_next
from assay.core.webhooks.types import Attempt, Event, event_id
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.kit.secrets import MASK, SecretBox, SecretKeyError, mask
from assay.kit.webhooks import webhook_headers
from assay.outbound.client import GuardedClient, OutboundLimits
from assay.outbound.errors import OutboundError, RequestTooLargeError

Render = Callable[[Event], bytes]
"""From an event to the payload's bytes; the same bytes each time."""

GONE = 410
_SHORTEST_HIDDEN = 6

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a request."""

    verdict: Verdict
    status_code: int | None = None
    error: str | None = None
    response_body: str | None = None


class Sender:
    """Makes attempts.

    Args:
        sessions: The database.
        client: Sends; its policy says where to.
        secrets: Opens signing secrets; without it, signed webhooks fail with a reason.
        render: Makes payloads.
        delays: Pauses between the attempts of a round.
        limits: Bounds of one request.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        client: GuardedClient,
        *,
        secrets: SecretBox | None,
        render: Render,
        delays: Sequence[timedelta],
        limits: OutboundLimits | None = None,
    ) -> None:
        self._sessions = sessions
        self._client = client
        self._secrets = secrets
        self._render = render
        self._delays = delays
        self._limits = limits or OutboundLimits()

    async def advance(self, endpoint_id: UUID, subject_id: UUID) -> float | None:
        """Attempt a subject's next delivery if it is due.

        Returns:
            Seconds until the next delivery is due, 0 if it is now; None when nothing is pending.
        """
        async with transaction(self._sessions) as session:
            due = await take_next(session, endpoint_id=endpoint_id, subject_id=subject_id)
        if isinstance(due, Outgoing):
            await self._attempt(endpoint_id, due)
            async with transaction(self._sessions) as session:
                due = await take_next(session, endpoint_id=endpoint_id, subject_id=subject_id)
        if due is None:
            return None
        return due.seconds if isinstance(due, Waiting) else 0.0

    async def _attempt(self, endpoint_id: UUID, outgoing: Outgoing) -> None:
        started = utc_now()
        outcome = await self._post(outgoing, int(started.timestamp()))
        attempt = Attempt(
            at=started,
            seconds=(utc_now() - started).total_seconds(),
            status_code=outcome.status_code,
            error=outcome.error,
            response_body=outcome.response_body,
        )
        delivery_id = outgoing.event.id
        async with transaction(self._sessions) as session:
            await record_attempt(
                session,
                endpoint_id=endpoint_id,
                delivery_id=delivery_id,
                round_no=outgoing.round_no,
                attempt=attempt,
                verdict=outcome.verdict,
                delays=self._delays,
            )
        log = _log.info if outcome.verdict is Verdict.ACCEPTED else _log.warning
        log("webhook_attempted", delivery_id=str(delivery_id), status=outcome.status_code, error=outcome.error)

    async def _post(self, outgoing: Outgoing, timestamp: int) -> _Outcome:
        try:
            secret = self._open(outgoing.sealed_secret)
            body = self._render(outgoing.event)
            name = event_id(outgoing.event.id)
            headers = webhook_headers(name, body, secret=secret, timestamp=timestamp)
            headers["Content-Type"] = "application/json"
            response = await self._client.request("POST", outgoing.url, headers=headers, body=body, limits=self._limits)
        except RequestTooLargeError as error:
            return _Outcome(Verdict.HOPELESS, error=error.message)
        except (OutboundError, SecretKeyError) as error:
            return _Outcome(Verdict.TRY_AGAIN, error=error.message)
        except Exception as fault:
            # A fault of ours must be seen where people look for it, and must not hold up the queue for ever.
            _log.exception("webhook_faulty", delivery_id=str(outgoing.event.id))
            return _Outcome(Verdict.TRY_AGAIN, error=f"Internal error: {type(fault).__name__}")
        answer = hide_secret(response.body.decode("utf-8", "replace").replace("\x00", "\ufffd"), secret)
        if 200 <= response.status < 300:
            return _Outcome(Verdict.ACCEPTED, response.status, None, answer)
        verdict = Verdict.GONE if response.status == GONE else Verdict.TRY_AGAIN
        return _Outcome(verdict, response.status, f"The receiver answered {response.status}.", answer)

    def _open(self, sealed: bytes | None) -> str | None:
        if sealed is None:
            return None
        if self._secrets is None:
            raise SecretKeyError("The signing secret cannot be opened: this worker has no ASSAY_SECRET_KEY.")
        return self._secrets.decrypt(sealed)


def hide_secret(text: str, secret: str | None) -> str:
    """The text without the secret, also where the text was cut in the middle of one.

    Receivers know the secret, and some show their whole configuration when they fail.
    """
    if secret is None:
        return text
    text = mask(text, [secret])
    for length in range(len(secret) - 1, _SHORTEST_HIDDEN - 1, -1):
        if text.endswith(secret[:length]):
            return text[:-length] + MASK
    return text
