"""Endpoints and deliveries against PostgreSQL: order, outcomes, rounds, visibility, secrets."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.outbox.models import OutboxRow
from assay.core.ownership import owner_columns
from assay.core.projects.service import authenticate, create_organization
from assay.core.projects.types import Principal
from assay.core.webhooks import sending, service
from assay.core.webhooks.errors import (
    DeliveryNotFoundError,
    EndpointInactiveError,
    EndpointNotFoundError,
    WebhookSecretError,
)
from assay.core.webhooks.models import DeliveryRow, EndpointRow
from assay.core.webhooks.sending import Outgoing, Verdict, Waiting
from assay.core.webhooks.types import (
    Attempt,
    Delivery,
    DeliveryCounts,
    DeliveryFilter,
    DeliveryStatus,
    Endpoint,
    EndpointOwner,
    OwnerKind,
    WebhookTools,
    event_id,
)
from assay.db.paging import UnknownCursorError
from assay.kit.clock import utc_now
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox
from assay.outbound.errors import UrlRefusedError
from assay.outbound.policy import OutboundPolicy

SECRET = "whsec_a-shared-secret-of-the-tests"
URL = "https://hooks.example/assay"
SECRETS = SecretBox("a key that encrypts stored secrets")
POLICY = OutboundPolicy()
TOOLS = WebhookTools(POLICY, SECRETS)
DELAYS = (timedelta(seconds=5), timedelta(seconds=30))
RUN = new_id()


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await new_principal(session)


async def new_principal(session: AsyncSession) -> Principal:
    issued = await create_organization(session, name="Acme")
    assert issued.api_key is not None
    return await authenticate(session, issued.api_key)


def schedule_of(principal: Principal, schedule_id: UUID | None = None) -> EndpointOwner:
    return EndpointOwner(OwnerKind.SCHEDULE, schedule_id or new_id(), owner_columns(principal))


@pytest.fixture
async def endpoint(session: AsyncSession, owner: Principal) -> Endpoint:
    return await new_endpoint(session, owner)


async def new_endpoint(session: AsyncSession, principal: Principal) -> Endpoint:
    saved = await service.save_endpoint(session, schedule_of(principal), tools=TOOLS, url=URL, secret=SECRET)
    assert saved is not None
    return saved


async def emit(session: AsyncSession, endpoint: Endpoint, *statuses: str, run: UUID = RUN) -> list[UUID]:
    return [
        await service.emit(
            session,
            endpoint_id=endpoint.id,
            event_type=f"eval.run.{status}",
            subject_id=run,
            snapshot={"status": status},
        )
        for status in statuses
    ]


async def take(session: AsyncSession, endpoint: Endpoint, run: UUID = RUN) -> Outgoing | Waiting | None:
    return await sending.take_next(session, endpoint_id=endpoint.id, subject_id=run)


async def taken(session: AsyncSession, endpoint: Endpoint) -> Outgoing:
    outgoing = await take(session, endpoint)
    assert isinstance(outgoing, Outgoing)
    return outgoing


async def attempted(session: AsyncSession, outgoing: Outgoing, verdict: Verdict, status: int | None = 500) -> None:
    row = await session.get_one(DeliveryRow, outgoing.event.id)
    error = None if verdict is Verdict.ACCEPTED else f"The receiver answered {status}."
    await sending.record_attempt(
        session,
        endpoint_id=row.endpoint_id,
        delivery_id=outgoing.event.id,
        round_no=outgoing.round_no,
        attempt=Attempt(utc_now(), 0.25, status, error, "said"),
        verdict=verdict,
        delays=DELAYS,
    )


async def make_due(session: AsyncSession) -> None:
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.next_attempt_at.is_not(None))
        .values(next_attempt_at=utc_now())
        .execution_options(synchronize_session="fetch")
    )


async def listed(session: AsyncSession, owner: Principal, endpoint: Endpoint) -> list[Delivery]:
    return list(reversed((await service.list_deliveries(session, owner, endpoint_id=endpoint.id, limit=100)).items))


async def outbox(session: AsyncSession) -> list[OutboxRow]:
    return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


async def test_an_event_stands_with_its_command_or_not_at_all(session: AsyncSession, owner: Principal) -> None:
    endpoint = await new_endpoint(session, owner)
    await session.commit()
    await emit(session, endpoint, "queued")
    await session.rollback()
    assert await outbox(session) == []
    assert await listed(session, owner, endpoint) == []
    await emit(session, endpoint, "queued")
    await session.commit()
    (command,) = await outbox(session)
    assert (command.action, command.workflow) == ("signal_with_start", "webhook_delivery")
    assert command.workflow_id == f"webhook_delivery/{endpoint.id}/{RUN}"
    assert command.arguments == {"endpoint_id": str(endpoint.id), "subject_id": str(RUN)}


async def test_events_of_a_run_go_out_in_the_order_they_happened(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    ids = await emit(session, endpoint, "queued", "in_progress", "completed")
    await emit(session, endpoint, "queued", run=new_id())
    for position, status in enumerate(("queued", "in_progress", "completed"), start=1):
        outgoing = await taken(session, endpoint)
        assert outgoing.event.id == ids[position - 1]
        assert outgoing.event.type == f"eval.run.{status}"
        assert outgoing.event.snapshot == {"status": status}
        assert (outgoing.event.owner_id, outgoing.url) == (endpoint.owner_id, URL)
        await attempted(session, outgoing, Verdict.ACCEPTED, 204)
    assert await take(session, endpoint) is None
    deliveries = [delivery for delivery in await listed(session, owner, endpoint) if delivery.subject_id == RUN]
    assert [delivery.position for delivery in deliveries] == [1, 2, 3]
    assert {delivery.status for delivery in deliveries} == {DeliveryStatus.DELIVERED}
    assert event_id(ids[0]) == f"evt_{ids[0].hex}"


async def test_later_events_wait_while_an_earlier_one_is_tried_again(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    first, second = await emit(session, endpoint, "queued", "in_progress")
    waits: list[float] = []
    for _ in DELAYS:
        await attempted(session, await taken(session, endpoint), Verdict.TRY_AGAIN)
        waiting = await take(session, endpoint)
        assert isinstance(waiting, Waiting)
        waits.append(waiting.seconds)
        await make_due(session)
    assert waits == [pytest.approx(5, abs=1), pytest.approx(30, abs=1)]
    outgoing = await taken(session, endpoint)
    assert outgoing.event.id == first
    await attempted(session, outgoing, Verdict.TRY_AGAIN)
    assert (await taken(session, endpoint)).event.id == second
    failed = (await listed(session, owner, endpoint))[0]
    assert (failed.status, failed.attempt_count, failed.next_attempt_at) == (DeliveryStatus.FAILED, 3, None)
    assert failed.reason == "Given up after 3 attempts. The receiver answered 500."
    assert [attempt.status_code for attempt in failed.attempts] == [500, 500, 500]
    assert failed.attempts[0].response_body == "said"


async def test_what_cannot_heal_is_not_tried_again(session: AsyncSession, owner: Principal, endpoint: Endpoint) -> None:
    await emit(session, endpoint, "completed")
    await attempted(session, await taken(session, endpoint), Verdict.HOPELESS, None)
    (failed,) = await listed(session, owner, endpoint)
    assert (failed.status, failed.attempt_count) == (DeliveryStatus.FAILED, 1)


async def test_gone_disables_the_endpoint_and_abandons_what_waits(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    await emit(session, endpoint, "queued", "in_progress")
    await emit(session, endpoint, "queued", run=new_id())
    await attempted(session, await taken(session, endpoint), Verdict.GONE, 410)
    await emit(session, endpoint, "completed")
    deliveries = await listed(session, owner, endpoint)
    assert {delivery.status for delivery in deliveries} == {DeliveryStatus.ABANDONED}
    assert {delivery.reason for delivery in deliveries} == {"The webhook is disabled: The receiver answered 410 Gone."}
    assert [delivery.attempt_count for delivery in deliveries] == [1, 0, 0, 0]
    assert await take(session, endpoint) is None
    now = await service.get_endpoint(session, owner, owner_kind=OwnerKind.SCHEDULE, owner_id=endpoint.owner_id)
    assert (now.is_active, now.disabled_reason) == (False, "The receiver answered 410 Gone.")
    counts = await service.count_deliveries(session, owner, endpoint_id=endpoint.id)
    assert counts == DeliveryCounts(abandoned=4)
    with pytest.raises(EndpointInactiveError, match="410"):
        await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=deliveries[0].id)
    enabled = await service.enable_endpoint(session, owner, endpoint_id=endpoint.id)
    assert enabled.is_active
    again = await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=deliveries[1].id)
    assert (again.status, again.reason) == (DeliveryStatus.PENDING, None)
    assert (await taken(session, endpoint)).event.id == deliveries[1].id


async def test_an_event_that_was_pending_when_the_endpoint_went_is_abandoned_when_its_turn_comes(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    await emit(session, endpoint, "queued")
    # As if the event had been written by a transaction that had not committed yet when the endpoint was removed.
    await session.execute(update(EndpointRow).values(deleted_at=utc_now()))
    assert await take(session, endpoint) is None
    row = (await session.scalars(select(DeliveryRow))).one()
    assert (row.status, row.reason) == ("abandoned", "The webhook was removed.")


async def test_a_delivery_can_be_asked_for_again_even_while_it_is_under_way(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    (delivery_id,) = await emit(session, endpoint, "completed")
    under_way = await taken(session, endpoint)
    await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=delivery_id)
    await attempted(session, under_way, Verdict.ACCEPTED, 200)
    again = await taken(session, endpoint)
    assert (again.event.id, again.round_no) == (delivery_id, 2)
    await attempted(session, again, Verdict.ACCEPTED, 200)
    assert await take(session, endpoint) is None
    (delivery,) = await listed(session, owner, endpoint)
    assert (delivery.status, delivery.attempt_count) == (DeliveryStatus.DELIVERED, 2)
    assert len(await outbox(session)) == 2


async def test_a_new_round_has_all_its_attempts(session: AsyncSession, owner: Principal, endpoint: Endpoint) -> None:
    (delivery_id,) = await emit(session, endpoint, "completed")
    for round_no in (1, 2):
        for _ in range(1 + len(DELAYS)):
            await make_due(session)
            outgoing = await taken(session, endpoint)
            assert outgoing.round_no == round_no
            await attempted(session, outgoing, Verdict.TRY_AGAIN)
        assert await take(session, endpoint) is None
        if round_no == 1:
            await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=delivery_id)
    (delivery,) = await listed(session, owner, endpoint)
    assert (delivery.status, delivery.attempt_count) == (DeliveryStatus.FAILED, 6)


async def test_only_the_latest_attempts_are_kept(session: AsyncSession, owner: Principal, endpoint: Endpoint) -> None:
    (delivery_id,) = await emit(session, endpoint, "completed")
    for _ in range(sending.KEPT_ATTEMPTS + 3):
        await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=delivery_id)
        await attempted(session, await taken(session, endpoint), Verdict.ACCEPTED, 200)
    (delivery,) = await listed(session, owner, endpoint)
    assert (delivery.attempt_count, len(delivery.attempts)) == (sending.KEPT_ATTEMPTS + 3, sending.KEPT_ATTEMPTS)


async def test_clearing_the_url_keeps_the_secret_and_setting_it_enables(
    session: AsyncSession, owner: Principal
) -> None:
    schedule = schedule_of(owner)

    async def save(**fields: str | None) -> Endpoint | None:
        return await service.save_endpoint(session, schedule, tools=TOOLS, **fields)

    assert await save() is None
    assert await save(url=None, secret=None) is None
    made = await save(url=URL, secret=SECRET)
    assert made is not None
    assert (made.url, made.has_secret, made.is_active) == (URL, True, True)
    cleared = await save(url=None)
    assert cleared is not None
    assert (cleared.id, cleared.url, cleared.has_secret, cleared.is_active) == (made.id, None, True, False)
    await service.disable_endpoint(session, owner, endpoint_id=made.id, reason="Too many errors.")
    moved = await save(url=URL + "/2")
    assert moved is not None
    assert (moved.url, moved.has_secret, moved.is_active) == (URL + "/2", True, True)
    unsigned = await save(secret=None)
    assert unsigned is not None
    assert (unsigned.url, unsigned.has_secret) == (URL + "/2", False)
    found = await service.find_endpoints(session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[schedule.id, new_id()])
    assert found == {schedule.id: unsigned}
    await service.remove_endpoint(session, owner_kind=OwnerKind.SCHEDULE, owner_id=schedule.id)
    assert await service.find_endpoints(session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[schedule.id]) == {}
    assert await save(url=URL) is not None


@pytest.mark.parametrize("secret", ["", "x" * 15, "x" * 257, "x" * 20 + "\x00", "x" * 20 + "\ud800"])
async def test_secrets_out_of_bounds_are_refused(session: AsyncSession, owner: Principal, secret: str) -> None:
    with pytest.raises(WebhookSecretError) as refused:
        await service.save_endpoint(session, schedule_of(owner), tools=TOOLS, url=URL, secret=secret)
    assert refused.value.param == "webhook_secret"
    assert len(secret) < 2 or secret not in refused.value.message


@pytest.mark.parametrize(
    "url", ["http://hooks.example/", "https://u:p@hooks.example/", "nonsense", "https://h/" + "a" * 2048]
)
async def test_urls_out_of_bounds_are_refused(session: AsyncSession, owner: Principal, url: str) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        await service.save_endpoint(session, schedule_of(owner), tools=TOOLS, url=url)
    assert refused.value.param == "webhook_url"
    development = OutboundPolicy.of([], [ip_network("127.0.0.0/8")])
    assert await service.save_endpoint(
        session, schedule_of(owner), tools=WebhookTools(development, SECRETS), url="http://127.0.0.1:1/"
    )


async def test_the_secret_is_stored_sealed(session: AsyncSession, endpoint: Endpoint) -> None:
    await emit(session, endpoint, "queued")
    rows = await session.execute(text("SELECT e::text, d::text FROM webhook_endpoints e, webhook_deliveries d"))
    commands = await session.execute(text("SELECT o::text FROM outbox o"))
    stored = repr(rows.all()) + repr(commands.all())
    assert SECRET not in stored
    assert SECRET.encode().hex() not in stored
    sealed = (await taken(session, endpoint)).sealed_secret
    assert sealed is not None
    assert SECRETS.decrypt(sealed) == SECRET


async def test_strangers_and_other_end_users_see_nothing(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    (delivery_id,) = await emit(session, endpoint, "queued")
    stranger = await new_principal(session)
    for caller in (stranger, owner.delegate("somebody")):
        with pytest.raises(EndpointNotFoundError):
            await service.list_deliveries(session, caller, endpoint_id=endpoint.id)
        with pytest.raises(EndpointNotFoundError):
            await service.redeliver(session, caller, endpoint_id=endpoint.id, delivery_id=delivery_id)
        with pytest.raises(EndpointNotFoundError):
            await service.disable_endpoint(session, caller, endpoint_id=endpoint.id, reason="x")
        with pytest.raises(EndpointNotFoundError):
            await service.get_endpoint(session, caller, owner_kind=OwnerKind.SCHEDULE, owner_id=endpoint.owner_id)
    other = await new_endpoint(session, owner)
    for unknown in (new_id(), (await emit(session, other, "queued"))[0]):
        with pytest.raises(DeliveryNotFoundError):
            await service.redeliver(session, owner, endpoint_id=endpoint.id, delivery_id=unknown)


async def test_deliveries_are_listed_by_page_and_filter(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    other_run = new_id()
    ids = await emit(session, endpoint, "queued", "in_progress", "completed")
    ids += await emit(session, endpoint, "queued", run=other_run)
    await attempted(session, await taken(session, endpoint), Verdict.ACCEPTED, 200)
    first = await service.list_deliveries(session, owner, endpoint_id=endpoint.id, limit=3)
    assert ([item.id for item in first.items], first.has_more) == (ids[:0:-1], True)
    second = await service.list_deliveries(session, owner, endpoint_id=endpoint.id, after=ids[1], limit=3)
    assert ([item.id for item in second.items], second.has_more) == (ids[:1], False)
    for delivery_filter, expected in (
        (DeliveryFilter(status=DeliveryStatus.DELIVERED), ids[:1]),
        (DeliveryFilter(subject_id=other_run), ids[3:]),
        (DeliveryFilter(status=DeliveryStatus.FAILED), []),
    ):
        page = await service.list_deliveries(
            session, owner, endpoint_id=endpoint.id, delivery_filter=delivery_filter, limit=10
        )
        assert [item.id for item in page.items] == expected
    with pytest.raises(UnknownCursorError):
        await service.list_deliveries(session, owner, endpoint_id=endpoint.id, after=new_id())
    counts = await service.count_deliveries(session, owner, endpoint_id=endpoint.id)
    assert counts == DeliveryCounts(pending=3, delivered=1)


async def test_deliveries_that_are_long_overdue_are_woken_and_old_ones_forgotten(
    session: AsyncSession, owner: Principal, endpoint: Endpoint
) -> None:
    lost, waiting, fresh = new_id(), new_id(), new_id()
    for run in (lost, waiting, fresh):
        await emit(session, endpoint, "queued", "in_progress", run=run)
    long_ago = utc_now() - timedelta(hours=1)
    for run in (lost, waiting):
        await session.execute(update(DeliveryRow).where(DeliveryRow.subject_id == run).values(next_attempt_at=long_ago))
    # Its second event has been due for an hour, but the first waits for its next attempt: nothing is wrong.
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.subject_id == waiting, DeliveryRow.position == 1)
        .values(next_attempt_at=utc_now() + timedelta(hours=1))
    )
    before = len(await outbox(session))
    assert await sending.wake_stalled(session) == 1
    assert (await outbox(session))[before].workflow_id == f"webhook_delivery/{endpoint.id}/{lost}"
    ended = utc_now() - sending.KEPT_FOR - timedelta(hours=1)
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.subject_id == lost)
        .values(status="delivered", ended_at=ended, next_attempt_at=None)
    )
    await sending.forget_ended(session)
    left = await service.list_deliveries(session, owner, endpoint_id=endpoint.id, limit=10)
    assert {item.subject_id for item in left.items} == {waiting, fresh}
