"""Single attempts over HTTPS: what is sent, what is refused, what is written down."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook
from tests.support.certificates import Authority
from tests.support.receiver import Receiver

from assay import verify_webhook
from assay.core.ownership import owner_columns
from assay.core.projects.service import authenticate, create_organization
from assay.core.projects.types import Principal
from assay.core.webhooks import service
from assay.core.webhooks.types import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointOwner,
    Event,
    OwnerKind,
    WebhookTools,
    event_id,
)
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox
from assay.outbound.client import GuardedClient, OutboundLimits
from assay.outbound.policy import OutboundPolicy
from assay.workflows.webhook_delivery.sender import Sender, hide_secret

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SECRETS = SecretBox("a key that encrypts stored secrets")
LOOPBACK = OutboundPolicy.of([], [ip_network("127.0.0.1/32")])
TOOLS = WebhookTools(LOOPBACK, SECRETS)
RUN = new_id()
MakeSender = Callable[..., Sender]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def receiver(authority: Authority) -> AsyncGenerator[Receiver]:
    async with Receiver(tls=authority.server_context("hooks.example")) as receiver:
        yield receiver


def render(event: Event) -> bytes:
    return orjson.dumps({"id": event_id(event.id), "type": event.type, "data": dict(event.snapshot)})


@pytest.fixture
def make_sender(sessions: SessionFactory, authority: Authority) -> MakeSender:
    def make(*answers: Sequence[str], policy: OutboundPolicy = LOOPBACK, secrets: SecretBox | None = SECRETS) -> Sender:
        """A sender whose resolver gives these answers in turn."""
        left = [list(answer) for answer in answers] or [["127.0.0.1"]]

        async def lookup(host: str, port: int) -> Sequence[str]:
            return left.pop(0) if len(left) > 1 else left[0]

        return Sender(
            sessions,
            GuardedClient(policy, lookup=lookup, tls=authority.trust()),
            secrets=secrets,
            render=render,
            delays=[timedelta(hours=1)] * 3,
            limits=OutboundLimits(timeout_seconds=1),
        )

    return make


class Place:
    """An endpoint at the receiver, and what was delivered to it."""

    def __init__(self, sessions: SessionFactory, principal: Principal, endpoint: Endpoint) -> None:
        self._sessions = sessions
        self._principal = principal
        self.endpoint = endpoint

    async def emit(self, status: str = "completed", **facts: object) -> UUID:
        async with transaction(self._sessions) as session:
            return await service.emit(
                session,
                endpoint_id=self.endpoint.id,
                event_type=f"eval.run.{status}",
                subject_id=RUN,
                snapshot={"status": status, **facts},
            )

    async def advance(self, sender: Sender) -> float | None:
        return await sender.advance(self.endpoint.id, RUN)

    async def delivery(self) -> Delivery:
        """The latest."""
        async with self._sessions() as session:
            page = await service.list_deliveries(session, self._principal, endpoint_id=self.endpoint.id)
        return page.items[0]


async def make_place(sessions: SessionFactory, url: str, secret: str | None = SECRET) -> Place:
    async with transaction(sessions) as session:
        principal = await _principal(session)
        owner = EndpointOwner(OwnerKind.SCHEDULE, new_id(), owner_columns(principal))
        endpoint = await service.save_endpoint(session, owner, tools=TOOLS, url=url, secret=secret)
    assert endpoint is not None
    return Place(sessions, principal, endpoint)


async def _principal(session: AsyncSession) -> Principal:
    issued = await create_organization(session, name="Acme")
    assert issued.api_key is not None
    return await authenticate(session, issued.api_key)


@pytest.fixture
async def place(sessions: SessionFactory, receiver: Receiver) -> Place:
    return await make_place(sessions, receiver.url("hooks.example", "/hook?tenant=1"))


async def test_a_signed_event_arrives_and_is_recorded(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    delivery_id = await place.emit("completed", note="größe")
    assert await place.advance(make_sender()) is None
    (request,) = receiver.requests
    assert (request.method, request.path, request.headers["Content-Type"]) == ("POST", "/hook", "application/json")
    assert request.headers["webhook-id"] == event_id(delivery_id) == request.event["id"]
    assert request.headers["X-Webhook-Signature"].startswith("sha256=")
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 30
    assert Webhook(SECRET).verify(request.body, dict(request.headers)) == request.event
    assert verify_webhook(request.body, request.headers, secret=SECRET)["data"]["note"] == "größe"
    delivery = await place.delivery()
    assert (delivery.status, delivery.attempt_count) == (DeliveryStatus.DELIVERED, 1)
    (attempt,) = delivery.attempts
    assert (attempt.status_code, attempt.error, attempt.response_body) == (200, None, "ok")
    assert 0 < attempt.seconds < 5


async def test_without_a_secret_nothing_is_signed(
    sessions: SessionFactory, receiver: Receiver, make_sender: MakeSender
) -> None:
    place = await make_place(sessions, receiver.url("hooks.example"), None)
    await place.emit()
    assert await place.advance(make_sender(secrets=None)) is None
    assert "webhook-id" in receiver.requests[0].headers
    assert "webhook-signature" not in receiver.requests[0].headers
    assert "X-Webhook-Signature" not in receiver.requests[0].headers


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 302, 307])
async def test_other_answers_are_tried_again_with_the_same_bytes(
    place: Place, receiver: Receiver, make_sender: MakeSender, status: int
) -> None:
    await place.emit()
    async with Receiver() as inside:
        receiver.statuses, receiver.location = [status], inside.url()
        sender = make_sender()
        assert await place.advance(sender) == pytest.approx(3600, abs=5)
        assert await place.advance(sender) == pytest.approx(3600, abs=5)
        assert (len(receiver.requests), inside.requests) == (1, [])
    delivery = await place.delivery()
    assert (delivery.status, delivery.attempts[0].error) == (
        DeliveryStatus.PENDING,
        f"The receiver answered {status}.",
    )


async def test_an_attempt_in_time_is_needed(place: Place, receiver: Receiver, make_sender: MakeSender) -> None:
    await place.emit()
    receiver.hold.clear()
    assert await place.advance(make_sender()) == pytest.approx(3600, abs=5)
    attempt = (await place.delivery()).attempts[0]
    assert (attempt.status_code, attempt.error) == (None, "No answer within 1 s.")
    assert attempt.seconds == pytest.approx(1, abs=0.7)


async def test_ten_megabytes_of_answer_leave_one_kilobyte(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    await place.emit()
    receiver.huge_bytes = 10 * 1024 * 1024
    assert await place.advance(make_sender()) is None
    delivery = await place.delivery()
    assert delivery.status is DeliveryStatus.DELIVERED
    assert delivery.attempts[0].response_body == "x" * 1024


async def test_answers_that_cannot_be_stored_as_they_are(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    await place.emit()
    receiver.body = b"\x00\xff ok"
    assert await place.advance(make_sender()) is None
    assert (await place.delivery()).attempts[0].response_body == "\ufffd\ufffd ok"


async def test_gone_disables_and_later_events_are_abandoned(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    await place.emit("queued")
    await place.emit("in_progress")
    receiver.status = 410
    assert await place.advance(make_sender()) is None
    await place.emit("completed")
    assert await place.advance(make_sender()) is None
    assert len(receiver.requests) == 1
    delivery = await place.delivery()
    assert (delivery.status, delivery.position) == (DeliveryStatus.ABANDONED, 3)
    assert delivery.reason == "The webhook is disabled: The receiver answered 410 Gone."


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fd00:ec2::254"]]
)
async def test_a_url_that_leads_inside_is_refused_recorded_and_not_sent(
    place: Place, receiver: Receiver, make_sender: MakeSender, found: list[str]
) -> None:
    await place.emit()
    assert await place.advance(make_sender(found, policy=OutboundPolicy())) == pytest.approx(3600, abs=5)
    assert receiver.requests == []
    attempt = (await place.delivery()).attempts[0]
    assert attempt.status_code is None
    assert attempt.error is not None
    assert "hooks.example leads to" in attempt.error


async def test_a_url_that_rebinds_is_refused_at_the_next_attempt(
    sessions: SessionFactory, place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    sender = make_sender(["127.0.0.1"], ["127.0.0.2"])
    await place.emit("queued")
    await place.emit("in_progress")
    async with Receiver(tls=receiver.tls, host="127.0.0.2", port=receiver.port) as inside:
        assert await place.advance(sender) == 0
        assert await place.advance(sender) == pytest.approx(3600, abs=5)
        assert (receiver.event_types, inside.requests) == (["eval.run.queued"], [])
    assert "127.0.0.2" in str((await place.delivery()).attempts[0].error)


async def test_a_payload_that_is_too_large_fails_at_once_and_the_next_goes_on(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    sender = make_sender()
    await place.emit("queued", text="x" * 300_000)
    await place.emit("completed")
    assert await place.advance(sender) == 0
    assert await place.advance(sender) is None
    assert receiver.event_types == ["eval.run.completed"]


@pytest.mark.parametrize("secrets", [None, SecretBox("another key than the one that encrypted")])
async def test_nothing_goes_out_unsigned_because_the_secret_cannot_be_opened(
    place: Place, receiver: Receiver, make_sender: MakeSender, secrets: SecretBox | None
) -> None:
    await place.emit()
    assert await place.advance(make_sender(secrets=secrets)) == pytest.approx(3600, abs=5)
    assert receiver.requests == []
    assert "ASSAY_SECRET_KEY" in str((await place.delivery()).attempts[0].error)


async def test_a_receiver_that_shows_the_secret_does_not_get_it_into_the_record(
    place: Place, receiver: Receiver, make_sender: MakeSender
) -> None:
    sender = make_sender()
    await place.emit("queued")
    receiver.status, receiver.body = 500, f"env: HOOK_SECRET={SECRET}".encode()
    await place.advance(sender)
    assert (await place.delivery()).attempts[0].response_body == "env: HOOK_SECRET=[secret]"


@pytest.mark.parametrize("kept", range(6, len(SECRET)))
def test_a_secret_cut_in_the_middle_is_hidden(kept: int) -> None:
    assert hide_secret("x" + SECRET[:kept], SECRET) == "x[secret]"
