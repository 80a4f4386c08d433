"""Deliveries of a schedule's webhook over HTTP and at the command line."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, check_envelope, make_suite
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

from assay.core.ownership import owner_columns
from assay.core.projects.authentication import Authenticator
from assay.core.webhooks import service
from assay.core.webhooks.types import EndpointOwner, OwnerKind, WebhookTools
from assay.db.session import transaction
from assay.kit.ids import new_id
from assay.kit.secrets import SecretBox
from assay.outbound.policy import OutboundPolicy

SECRET = "a-secret-of-the-webhook"


@dataclass(frozen=True, slots=True)
class Told:
    """A schedule with a webhook that leads nowhere, and two events of a run."""

    schedule: str
    run: str
    events: list[str]
    endpoint_id: UUID

    @property
    def path(self) -> str:
        return f"/api/v1/llm/evals/schedules/{self.schedule}/deliveries"


@pytest.fixture
def mode() -> Mode:
    """These paths are not in the SDK, so one half of it is enough."""
    return Mode.ASYNC


@pytest.fixture
async def told(client: Client, live: LiveServer, tenants: Tenants) -> Told:
    suite = await make_suite(client)
    run = {"models": ["openai/m"]}
    schedule = await client.call(
        "evals.create_schedule", name="Told", suite_id=suite.id, run=run, interval_seconds=3600, enabled=False
    )
    return live.call(_tell(live, tenants.all_scopes, UUID(schedule.id.removeprefix("eval_sched_"))))


async def _tell(live: LiveServer, token: str, schedule_id: UUID) -> Told:
    run_id = new_id()
    async with transaction(live.runtime.sessions) as session:
        principal = await Authenticator().authenticate(session, token)
        endpoint = await service.save_endpoint(
            session,
            EndpointOwner(OwnerKind.SCHEDULE, schedule_id, owner_columns(principal)),
            tools=WebhookTools(OutboundPolicy(), SecretBox("a key that encrypts stored secrets")),
            url="https://hooks.invalid/",
            secret=SECRET,
        )
        assert endpoint is not None
        events = [
            await service.emit(
                session,
                endpoint_id=endpoint.id,
                event_type=f"eval.run.{status}",
                subject_id=run_id,
                snapshot={"status": status},
            )
            for status in ("queued", "in_progress")
        ]
    names = [f"evt_{event.hex}" for event in events]
    return Told(f"eval_sched_{schedule_id.hex}", f"eval_run_{run_id.hex}", names, endpoint.id)


async def disable(live: LiveServer, token: str, told: Told) -> None:
    async with transaction(live.runtime.sessions) as session:
        principal = await Authenticator().authenticate(session, token)
        await service.disable_endpoint(session, principal, endpoint_id=told.endpoint_id, reason="Not wanted.")


async def test_deliveries_are_listed_newest_first_with_their_attempts(client: Client, told: Told) -> None:
    async def attempted() -> dict[str, Any]:
        answer = await client.raw("GET", told.path)
        assert answer.status == 200, answer.content
        assert answer.json["data"][1]["attempt_count"] >= 1
        return answer.json

    page = await eventually(attempted)
    later, first = page["data"]
    assert ([first["id"], later["id"]], page["has_more"]) == (told.events, False)
    assert (first["schedule_id"], first["run_id"], first["position"]) == (told.schedule, told.run, 1)
    assert (first["object"], first["type"]) == ("eval.schedule.delivery", "eval.run.queued")
    assert (first["status"], later["status"], later["attempts"]) == ("pending", "pending", [])
    assert first["next_attempt_at"] > first["created_at"]
    assert first["attempts"][0]["status_code"] is None
    assert "ASSAY_SECRET_KEY" in first["attempts"][0]["error"]
    assert SECRET not in str(page)


async def test_lists_are_paged_and_filtered(client: Client, told: Told) -> None:
    async def ids(query: str) -> list[str]:
        answer = await client.raw("GET", f"{told.path}?{query}")
        assert answer.status == 200, answer.content
        return [delivery["id"] for delivery in answer.json["data"]]

    newest_first = told.events[::-1]
    assert await ids("limit=1") == newest_first[:1]
    assert await ids(f"after={newest_first[0]}") == newest_first[1:]
    assert await ids(f"run_id={told.run}&status=pending") == newest_first
    assert await ids(f"run_id=eval_run_{new_id().hex}") == []
    assert await ids("status=delivered") == []
    for query in ("limit=0", "limit=101", "status=lost", f"after=evt_{new_id().hex}", "after=nonsense"):
        answer = await client.raw("GET", f"{told.path}?{query}")
        assert answer.status == 400, query
        check_envelope(answer)


async def test_an_event_is_sent_again_unless_the_webhook_is_disabled(
    client: Client, told: Told, live: LiveServer, tenants: Tenants
) -> None:
    answer = await client.raw("POST", f"{told.path}/{told.events[1]}/redeliver")
    assert (answer.status, answer.json["id"], answer.json["status"]) == (200, told.events[1], "pending")
    live.call(disable(live, tenants.all_scopes, told))
    listed = (await client.raw("GET", told.path)).json["data"]
    assert {delivery["status"] for delivery in listed} == {"abandoned"}
    assert {delivery["reason"] for delivery in listed} == {"The webhook is disabled: Not wanted."}
    refused = await client.raw("POST", f"{told.path}/{told.events[1]}/redeliver")
    assert refused.status == 409
    assert "Not wanted." in check_envelope(refused)["message"]


async def test_outsiders_find_nothing(outsider: Client, told: Told) -> None:
    for method, path in (("GET", told.path), ("POST", f"{told.path}/{told.events[0]}/redeliver")):
        answer = await outsider.raw(method, path)
        assert answer.status == 404
        check_envelope(answer)


async def test_what_is_not_there_is_404(client: Client, told: Told) -> None:
    nowhere = told.path.replace(told.schedule, f"eval_sched_{new_id().hex}")
    for method, path in (
        ("GET", nowhere),
        ("GET", told.path.replace(told.schedule, "nonsense")),
        ("POST", f"{told.path}/evt_{new_id().hex}/redeliver"),
        ("POST", f"{told.path}/nonsense/redeliver"),
    ):
        answer = await client.raw(method, path)
        assert answer.status == 404, path
        check_envelope(answer)


async def test_reading_is_not_sending(connect: Connect, tenants: Tenants, told: Told) -> None:
    reader = connect(tenants.read_only)
    assert (await reader.raw("GET", told.path)).status == 200
    assert (await reader.raw("POST", f"{told.path}/{told.events[0]}/redeliver")).status == 403
    assert (await connect(tenants.no_scopes).raw("GET", told.path)).status == 403
    assert (await connect(None).raw("GET", told.path)).status == 401


async def test_the_command_line_lists_and_sends_again(live: LiveServer, tenants: Tenants, told: Told) -> None:
    async def assay(*arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-c", "from assay.cli import main; main()", "webhooks", *arguments]
        server = {"ASSAY_SERVER": live.url, "ASSAY_API_KEY": tenants.all_scopes, "COLUMNS": "300"}
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env={**os.environ, **server})
        output, complaint = await process.communicate()
        assert (process.returncode != 0) is fails, complaint.decode()
        return (complaint if fails else output).decode()

    listed = orjson.loads(await assay("list", told.schedule, "--json"))
    assert [delivery["id"] for delivery in listed] == told.events[::-1]
    assert told.events[0] in await assay("list", told.schedule, "--status", "pending", "--run", told.run)
    assert await assay("redeliver", told.schedule, told.events[0]) == f"{told.events[0]} is pending.\n"
    assert "No such delivery." in await assay("redeliver", told.schedule, f"evt_{new_id().hex}", fails=True)
