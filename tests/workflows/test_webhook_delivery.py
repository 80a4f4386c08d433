"""Webhooks of real runs, delivered by real workers to real receivers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Replayer
from tests.support.evals import Evals, kill, open_evals, question_rows, spawn_worker, working
from tests.support.model_server import ModelServer
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

from assay import verify_webhook
from assay.core.ownership import owner_columns
from assay.core.runs.types import RunStatus
from assay.core.webhooks import service
from assay.core.webhooks.types import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointOwner,
    OwnerKind,
    WebhookTools,
    event_id,
)
from assay.db.session import transaction
from assay.dialects.mka1 import mapping
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox
from assay.outbound.policy import OutboundPolicy
from assay.workflows.webhook_delivery.shared import WORKFLOW, WebhookDeliveryInput
from assay.workflows.webhook_delivery.workflow import WebhookDeliveryWorkflow

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SECRET_KEY = "a key that encrypts stored secrets"
HOST = "127.0.0.1"
FULL = ["queued", "in_progress", "finalizing", "completed"]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncGenerator[Evals]:
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        secret_key=SECRET_KEY,
        log_level="debug",
        allow_hosts=[HOST],
        webhook_retry_seconds=[0.1, 0.2, 0.3, 0.4, 3600],
    ) as opened:
        yield opened


async def make_endpoint(evals: Evals, url: str) -> Endpoint:
    async with transaction(evals.runtime.sessions) as session:
        endpoint = await service.save_endpoint(
            session,
            EndpointOwner(OwnerKind.SCHEDULE, new_id(), owner_columns(evals.principal)),
            tools=WebhookTools(OutboundPolicy.of([HOST], []), SecretBox(SECRET_KEY)),
            url=url,
            secret=SECRET,
        )
    assert endpoint is not None
    return endpoint


async def deliveries(evals: Evals, endpoint: Endpoint) -> list[Delivery]:
    """In the order of their events."""
    async with evals.runtime.sessions() as session:
        page = await service.list_deliveries(session, evals.principal, endpoint_id=endpoint.id, limit=100)
    return list(reversed(page.items))


async def settled(evals: Evals, endpoint: Endpoint, count: int, *, timeout: float = 60) -> list[Delivery]:
    """The endpoint's deliveries, once there are so many and none is pending."""

    async def check() -> list[Delivery]:
        found = await deliveries(evals, endpoint)
        assert len(found) >= count, found
        assert all(delivery.status is not DeliveryStatus.PENDING for delivery in found), found
        return found

    return await eventually(check, timeout=timeout)


def handle_of(evals: Evals, endpoint: Endpoint, run_id: UUID) -> WorkflowHandle[Any, Any]:
    return evals.runtime.temporal.get_workflow_handle(f"{WORKFLOW}/{endpoint.id}/{run_id}")


def statuses(receiver: Receiver) -> list[str]:
    return [kind.removeprefix("eval.run.") for kind in receiver.event_types]


async def test_a_receiver_that_failed_three_times_and_a_killed_worker(
    evals: Evals, receiver: Receiver, tmp_path: Path
) -> None:
    """The statuses arrive in order, none is missing, all verify, and the secret is nowhere."""
    endpoint = await make_endpoint(evals, receiver.url())
    receiver.statuses = [500, 503, 404]
    receiver.body = f"debug: {SECRET}".encode()
    log = tmp_path / "worker.log"
    run_id = await evals.start(await evals.suite(question_rows(5)), webhook_endpoint_id=endpoint.id)
    worker = await spawn_worker(evals.place, log=log)
    # Killed with a request in its hands: it has been received, and the answer will reach nobody.
    await eventually(lambda: len(receiver.requests) >= 3, timeout=30)
    receiver.hold.clear()
    await eventually(lambda: len(receiver.requests) >= 4, timeout=30)
    await kill(worker)
    receiver.hold.set()
    worker = await spawn_worker(evals.place, log=log)
    try:
        assert (await evals.until(run_id, timeout=60)).status is RunStatus.COMPLETED
        found = await settled(evals, endpoint, len(FULL))
        history = await handle_of(evals, endpoint, run_id).fetch_history()
    finally:
        await kill(worker)
    assert [delivery.type for delivery in found] == [f"eval.run.{status}" for status in FULL]
    assert [delivery.position for delivery in found] == [1, 2, 3, 4]
    assert {delivery.status for delivery in found} == {DeliveryStatus.DELIVERED}
    assert statuses(receiver)[:3] == ["queued"] * 3
    assert list(dict.fromkeys(statuses(receiver))) == FULL
    for request in receiver.requests:
        event = Webhook(SECRET).verify(request.body, dict(request.headers))
        assert event == verify_webhook(request.body, request.headers, secret=SECRET)
    same_event = {(request.headers["webhook-id"], request.body) for request in receiver.requests}
    assert len(same_event) == len(FULL)
    await check_secret_is_nowhere(
        evals, history.to_json(), log.read_text(), *(r.body.decode() for r in receiver.requests)
    )
    await Replayer(workflows=[WebhookDeliveryWorkflow]).replay_workflow(history)


async def check_secret_is_nowhere(evals: Evals, history: str, log: str, *bodies: str) -> None:
    assert "webhook_attempted" in log
    assert "webhook_delivery.advance" in history
    tables = ("webhook_endpoints", "webhook_deliveries", "outbox", "runs")
    async with evals.runtime.sessions() as session:
        rows = [(await session.execute(text(f"SELECT t::text FROM {table} t"))).all() for table in tables]
    assert "[secret]" in repr(rows)
    for place in (history, log, repr(rows), *bodies):
        assert SECRET not in place
        assert SECRET.removeprefix("whsec_") not in place
    assert HOST not in history
    assert '"run"' not in history


async def test_the_payload_is_the_run_as_it_was(evals: Evals, receiver: Receiver) -> None:
    endpoint = await make_endpoint(evals, receiver.url())
    async with working(evals):
        run_id = await evals.start(await evals.suite(question_rows(3)), webhook_endpoint_id=endpoint.id)
        run = await evals.until(run_id)
        found = await settled(evals, endpoint, len(FULL))
    assert statuses(receiver) == FULL
    events = [request.event for request in receiver.requests]
    for event, delivery in zip(events, found, strict=True):
        assert set(event) == {"id", "object", "type", "created_at", "data"}
        assert (event["object"], event["id"]) == ("event", event_id(delivery.id))
        assert abs(event["created_at"] - time.time()) < 60
        assert set(event["data"]) == {"schedule_id", "run"}
        assert event["data"]["schedule_id"] == f"eval_sched_{endpoint.owner_id.hex}"
        assert event["data"]["run"]["status"] == event["type"].removeprefix("eval.run.")
    queued, in_progress, finalizing, completed = (event["data"]["run"] for event in events)
    assert (queued["started_at"], queued["request_counts"]["total"]) == (None, 0)
    assert (in_progress["request_counts"]["total"], in_progress["metrics"]) == (3, None)
    assert (finalizing["request_counts"]["completed"], finalizing["completed_at"]) == (3, None)
    assert completed == mapping.to_run(run).model_dump(mode="json")
    assert completed["metrics"]["overall"]


async def cancelled(evals: Evals, run_id: UUID) -> None:
    await evals.until(run_id, RunStatus.IN_PROGRESS)
    await evals.cancel(run_id)
    await evals.until(run_id)


async def retried(evals: Evals, run_id: UUID) -> None:
    await cancelled(evals, run_id)
    evals.models.behaviour.latency_seconds = 0
    await evals.retry(run_id)
    await evals.until(run_id)


async def ended(evals: Evals, run_id: UUID) -> None:
    await evals.until(run_id)


@dataclass(frozen=True, slots=True)
class Case:
    act: Callable[[Evals, UUID], Awaitable[None]]
    statuses: list[str]
    latency_seconds: float = 0
    broken: bool = False

    @property
    def name(self) -> str:
        return self.act.__name__


STOPPED = ["queued", "in_progress", "cancelling", "cancelled"]
CASES = [
    Case(ended, ["queued", "failed"], broken=True),
    Case(cancelled, STOPPED, latency_seconds=0.3),
    Case(retried, [*STOPPED, *FULL], latency_seconds=0.3),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_every_change_of_status_is_told_once_and_in_order(case: Case, evals: Evals, receiver: Receiver) -> None:
    endpoint = await make_endpoint(evals, receiver.url())
    evals.models.behaviour.latency_seconds = case.latency_seconds
    rows = [{"question": "a"}, {"other": "b"}] if case.broken else question_rows(40)
    async with working(evals):
        run_id = await evals.start(await evals.suite(rows), webhook_endpoint_id=endpoint.id, concurrency=2)
        await case.act(evals, run_id)
        await settled(evals, endpoint, len(case.statuses))
    assert statuses(receiver) == case.statuses


async def test_a_run_without_a_webhook_tells_nobody(evals: Evals) -> None:
    async with working(evals):
        await evals.finished(await evals.suite(question_rows(2)))
    async with evals.runtime.sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM webhook_deliveries"))).scalar_one() == 0


async def test_gone_ends_the_webhook_and_not_the_run(evals: Evals, receiver: Receiver) -> None:
    endpoint = await make_endpoint(evals, receiver.url())
    receiver.status = 410
    async with working(evals):
        run_id = await evals.start(await evals.suite(question_rows(2)), webhook_endpoint_id=endpoint.id)
        assert (await evals.until(run_id)).status is RunStatus.COMPLETED
        found = await settled(evals, endpoint, len(FULL))
    assert {delivery.status for delivery in found} == {DeliveryStatus.ABANDONED}
    assert len(receiver.requests) == 1


async def test_asking_again_cuts_a_long_pause_short(evals: Evals, receiver: Receiver) -> None:
    endpoint = await make_endpoint(evals, receiver.url())
    receiver.statuses = [500] * 5
    run_id = await evals.start(await evals.suite(question_rows(2)), webhook_endpoint_id=endpoint.id)
    async with working(evals):
        # Five attempts in vain, and an hour until the next.
        await eventually(lambda: receiver.statuses == [], timeout=30)
        await evals.until(run_id)
        first = (await deliveries(evals, endpoint))[0]
        async with transaction(evals.runtime.sessions) as session:
            await service.redeliver(session, evals.principal, endpoint_id=endpoint.id, delivery_id=first.id)
        found = await settled(evals, endpoint, len(FULL))
    assert found[0].attempt_count == 6
    assert statuses(receiver) == ["queued"] * 6 + FULL[1:]


async def test_a_long_delivery_continues_as_new(evals: Evals, receiver: Receiver) -> None:
    endpoint = await make_endpoint(evals, receiver.url())
    run_id = await evals.start(await evals.suite(question_rows(1)), webhook_endpoint_id=endpoint.id)
    # Something is left after the first step, however quick the run is.
    receiver.statuses = [500]
    client, place = evals.runtime.temporal, evals.place
    handle = await client.start_workflow(
        WORKFLOW,
        WebhookDeliveryInput(str(endpoint.id), str(run_id), max_steps=1),
        id=f"{WORKFLOW}/{endpoint.id}/{run_id}",
        task_queue=place.task_queue,
    )
    async with working(evals):
        await settled(evals, endpoint, len(FULL))
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    assert (await first.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert statuses(receiver) == [FULL[0], *FULL]
