from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, check_envelope, make_suite
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

EVALS = "/api/v1/llm/evals"
UNKNOWN = "eval_sched_" + "0" * 32
SECRET = "whsec_example_signing_secret"

Connect = Callable[..., Client]

by_raw_requests = pytest.mark.parametrize("mode", [Mode.ASYNC], indirect=True, ids=["raw"])
"""For tests that send what the SDK would not, so that its halves make no difference."""

SEED_FIELDS: dict[str, Any] = {
    "name": "Nightly MMLU regression",
    "run": {"models": ["meetkai/model-a"]},
    "cron": "0 3 * * *",
    "timezone": "US/Pacific",
    "overlap_policy": "skip",
    "enabled": True,
    "webhook_url": "https://example.com/hooks/evals",
    "webhook_secret": SECRET,
    "metadata": {"team": "eval-ops"},
}


async def make_schedule(client: Client, suite_id: str, **fields: Any) -> Any:
    defaults: dict[str, Any] = {"name": "s", "run": {"models": ["openai/m"]}}
    if not fields.keys() & {"cron", "interval_seconds"}:
        defaults["interval_seconds"] = 86_400
    return await client.call("evals.create_schedule", suite_id=suite_id, **{**defaults, **fields})


async def history(client: Client, schedule_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await client.raw("GET", f"{EVALS}/schedules/{schedule_id}/history", params=query)
    assert answer.status == 200, answer
    return answer.json["data"]


async def test_the_published_request_gives_the_published_answer(client: Client) -> None:
    suite = await make_suite(client)
    before = int(time.time())
    schedule = await client.call("evals.create_schedule", suite_id=suite.id, **SEED_FIELDS)
    body = client.last.json
    created_at, next_run_at = body.pop("created_at"), body.pop("next_run_at")
    assert body == {
        "id": schedule.id,
        "object": "eval.schedule",
        "name": "Nightly MMLU regression",
        "description": None,
        "suite_id": suite.id,
        "suite_version": None,
        "cron": "0 3 * * *",
        "interval_seconds": None,
        "timezone": "US/Pacific",
        "overlap_policy": "skip",
        "enabled": True,
        "webhook_url": "https://example.com/hooks/evals",
        "webhook_configured": True,
        "run": {"models": ["meetkai/model-a"], "generation": {}},
        "metadata": {"team": "eval-ops"},
        "last_run_id": None,
        "last_run_at": None,
        "last_run_status": None,
        "updated_at": created_at,
    }
    assert schedule.id.startswith("eval_sched_")
    assert before <= created_at <= time.time()
    local = datetime.fromtimestamp(next_run_at, UTC)
    assert (local.minute, local.second) == (0, 0)
    assert local.hour in {10, 11}, "three o'clock in the Pacific zone"
    assert created_at < next_run_at <= created_at + 25 * 3600
    assert SECRET.encode() not in client.last.content


async def test_gives_what_was_made(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(
        client,
        suite.id,
        interval_seconds=60,
        description="d",
        suite_version=1,
        overlap_policy="buffer_one",
        run={
            "models": ["openai/m", "auto"],
            "task_ids": ["qa"],
            "judge_model": "openai/j",
            "generation": {"temperature": 0.5, "extra_body": {"x": None}},
            "concurrency": 3,
            "max_samples_per_task": 2,
        },
    )
    assert made.run.generation.temperature == 0.5
    body = client.last.json
    assert body["run"] == {
        "models": ["openai/m", "auto"],
        "task_ids": ["qa"],
        "judge_model": "openai/j",
        "generation": {"temperature": 0.5, "extra_body": {"x": None}},
        "concurrency": 3,
        "max_samples_per_task": 2,
    }
    got = await client.call("evals.get_schedule", schedule_id=made.id)
    assert client.last.json == body
    assert got.next_run_at == made.created_at + 60


async def test_keeps_unknown_keys_of_the_run(client: Client) -> None:
    suite = await make_suite(client)
    body = {"name": "n", "suite_id": suite.id, "cron": "0 0 * * *", "run": {"models": ["openai/m"], "later": {"x": 1}}}
    answer = await client.raw("POST", f"{EVALS}/schedules", json=body)
    assert answer.json["run"] == {"models": ["openai/m"], "later": {"x": 1}, "generation": {}}


async def test_temporal_says_when_it_fires_next(client: Client, live: LiveServer) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, cron="15 4 * * *", timezone="Asia/Kathmandu")
    handle = live.runtime.temporal.get_schedule_handle(
        f"live/eval_schedule/{UUID(made.id.removeprefix('eval_sched_'))}"
    )

    async def known() -> bool:
        try:
            return bool((await handle.describe()).info.next_action_times)
        except Exception as error:
            raise AssertionError(str(error)) from error

    async def next_of_temporal() -> int:
        await eventually(known)
        return int((await handle.describe()).info.next_action_times[0].timestamp())

    assert live.call(next_of_temporal()) == made.next_run_at
    assert (await client.call("evals.get_schedule", schedule_id=made.id)).next_run_at == made.next_run_at


async def test_created_paused(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, enabled=False)
    assert (made.enabled, made.next_run_at) == (False, None)
    assert (await client.call("evals.get_schedule", schedule_id=made.id)).next_run_at is None


@by_raw_requests
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": "x" * 10_001}, "description"),
        ({"interval_seconds": 59}, "interval_seconds"),
        ({"interval_seconds": 31_536_001}, "interval_seconds"),
        ({"cron": "0 3 * * *", "interval_seconds": 60}, "cron"),
        ({"interval_seconds": None}, "cron"),
        ({"interval_seconds": None, "cron": "0 0 3 * * *"}, "cron"),
        ({"interval_seconds": None, "cron": "@daily"}, "cron"),
        ({"interval_seconds": None, "cron": ""}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "x" * 65}, "timezone"),
        ({"overlap_policy": "terminate"}, "overlap_policy"),
        ({"suite_version": 0}, "suite_version"),
        ({"webhook_url": "http://example.com"}, "webhook_url"),
        ({"webhook_url": "https://"}, "webhook_url"),
        ({"webhook_url": "https://user:pw@example.com"}, "webhook_url"),
        ({"webhook_url": "https://example.com/" + "x" * 2048}, "webhook_url"),
        ({"webhook_secret": "short"}, "webhook_secret"),
        ({"webhook_secret": "x" * 257}, "webhook_secret"),
        ({"run": {"models": []}}, "run.models"),
        ({"run": {"models": ["m"], "task_ids": ["nope"]}}, "task_ids"),
        ({"run": {"models": ["m"], "generation": {"temperature": "hot"}}}, None),
        ({"run": {"models": ["m"], "concurrency": 0}}, "run.concurrency"),
        ({"metadata": {"k": "x" * 513}}, "metadata"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
async def test_refuses_what_is_wrong(client: Client, fields: dict[str, Any], param: str | None) -> None:
    suite = await make_suite(client)
    body = {"name": "n", "suite_id": suite.id, "run": {"models": ["m"]}, "interval_seconds": 60, **fields}
    answer = await client.raw("POST", f"{EVALS}/schedules", json=body)
    assert answer.status == 400, answer
    error = check_envelope(answer)
    if param is not None:
        assert error["param"] == param


async def test_needs_a_visible_suite_and_version(client: Client, outsider: Client) -> None:
    suite = await make_suite(client)
    fields: dict[str, Any] = {"name": "n", "run": {"models": ["m"]}, "interval_seconds": 60}
    await client.refused(404, "evals.create_schedule", suite_id="eval_suite_" + "0" * 32, **fields)
    await client.refused(404, "evals.create_schedule", suite_id="nonsense", **fields)
    await client.refused(404, "evals.create_schedule", suite_id=suite.id, suite_version=2, **fields)
    await outsider.refused(404, "evals.create_schedule", suite_id=suite.id, **fields)


async def test_is_nobody_elses(client: Client, outsider: Client) -> None:
    suite = await make_suite(client)
    schedule_id = (await make_schedule(client, suite.id)).id
    for operation in ("get_schedule", "delete_schedule", "trigger_schedule", "list_schedule_runs"):
        await outsider.refused(404, f"evals.{operation}", schedule_id=schedule_id)
    await outsider.refused(404, "evals.update_schedule", schedule_id=schedule_id, name="mine")
    assert check_envelope(await outsider.raw("GET", f"{EVALS}/schedules/{schedule_id}/history"))
    assert schedule_id not in [one.id for one in (await outsider.call("evals.list_schedules", limit=100)).data]
    assert (await client.call("evals.get_schedule", schedule_id=schedule_id)).name == "s"


async def test_keys_need_their_scopes(connect: Connect, client: Client, tenants: Tenants) -> None:
    suite = await make_suite(client)
    schedule_id = (await make_schedule(client, suite.id)).id
    reader, nobody, anonymous = connect(tenants.read_only), connect(tenants.no_scopes), connect(None)
    await reader.call("evals.get_schedule", schedule_id=schedule_id)
    await reader.refused(403, "evals.trigger_schedule", schedule_id=schedule_id)
    await reader.refused(403, "evals.update_schedule", schedule_id=schedule_id, name="x")
    await reader.refused(403, "evals.delete_schedule", schedule_id=schedule_id)
    await nobody.refused(403, "evals.get_schedule", schedule_id=schedule_id)
    await nobody.refused(403, "evals.list_schedules")
    assert (await anonymous.raw("GET", f"{EVALS}/schedules")).status == 401


async def test_end_users_see_their_own(connect: Connect, tenants: Tenants) -> None:
    direct = connect(tenants.delegating)
    ann, bob = (connect(tenants.delegating, on_behalf_of=name) for name in ("ann", "bob"))
    suite = await make_suite(ann)
    schedule = await make_schedule(ann, suite.id)
    await bob.refused(404, "evals.get_schedule", schedule_id=schedule.id)
    await ann.call("evals.trigger_schedule", schedule_id=schedule.id)
    [run] = (await ann.call("evals.list_schedule_runs", schedule_id=schedule.id)).data
    assert (await ann.call("evals.get_run", run_id=run.id)).suite_id == suite.id
    await bob.refused(404, "evals.get_run", run_id=run.id)
    assert (await direct.call("evals.get_schedule", schedule_id=schedule.id)).last_run_id == run.id


async def test_lists_newest_first_with_filters(client: Client) -> None:
    one, other = await make_suite(client), await make_suite(client)
    ids = [(await make_schedule(client, one.id, enabled=number != 1)).id for number in range(3)]
    await make_schedule(client, other.id)

    async def listed(**query: Any) -> list[str]:
        page = await client.call("evals.list_schedules", suite_id=one.id, **query)
        return [schedule.id for schedule in page.data]

    assert await listed() == ids[::-1]
    assert await listed(enabled="true") == await listed(enabled="1") == [ids[2], ids[0]]
    assert await listed(enabled="false") == await listed(enabled="0") == [ids[1]]
    page = await client.call("evals.list_schedules", suite_id=one.id, limit=2)
    assert (page.first_id, page.last_id, page.has_more) == (ids[2], ids[1], True)
    assert await listed(after=ids[1]) == [ids[0]]
    await client.refused(400, "evals.list_schedules", enabled="yes")
    await client.refused(400, "evals.list_schedules", after=UNKNOWN)
    await client.refused(400, "evals.list_schedules", limit=101)
    assert (await client.call("evals.list_schedules", suite_id="eval_suite_" + "0" * 32)).data == []


PATCHES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | str]] = [
    # (made with, changed by, fields that differ afterwards | the faulty field)
    ({"cron": "0 3 * * *"}, {}, {}),
    ({"cron": "0 3 * * *"}, {"name": "new"}, {"name": "new"}),
    ({"cron": "0 3 * * *"}, {"name": None}, "name"),
    ({"cron": "0 3 * * *", "description": "d"}, {"description": None}, {"description": None}),
    ({"cron": "0 3 * * *"}, {"interval_seconds": 60}, {"cron": None, "interval_seconds": 60}),
    ({"interval_seconds": 60}, {"cron": "0 3 * * *"}, {"cron": "0 3 * * *", "interval_seconds": None}),
    ({"cron": "0 3 * * *"}, {"cron": None, "interval_seconds": 90}, {"cron": None, "interval_seconds": 90}),
    ({"interval_seconds": 60}, {"cron": None}, {}),
    ({"cron": "0 3 * * *"}, {"cron": None}, "cron"),
    ({"interval_seconds": 60}, {"interval_seconds": None}, "cron"),
    ({"cron": "0 3 * * *"}, {"cron": "1 3 * * *", "interval_seconds": 60}, "cron"),
    ({"cron": "0 3 * * *"}, {"cron": "1 3 * * *", "interval_seconds": None}, {"cron": "1 3 * * *"}),
    ({"cron": "0 3 * * *"}, {"timezone": "Asia/Tokyo"}, {"timezone": "Asia/Tokyo"}),
    ({"cron": "0 3 * * *"}, {"timezone": None}, "timezone"),
    ({"interval_seconds": 60}, {"interval_seconds": 59}, "interval_seconds"),
    ({"interval_seconds": 60}, {"overlap_policy": "allow_all"}, {"overlap_policy": "allow_all"}),
    ({"interval_seconds": 60}, {"enabled": False}, {"enabled": False, "next_run_at": None}),
    ({"interval_seconds": 60}, {"suite_version": 1}, {"suite_version": 1}),
    ({"interval_seconds": 60, "suite_version": 1}, {"suite_version": None}, {"suite_version": None}),
    ({"interval_seconds": 60, "metadata": {"a": "1"}}, {"metadata": {"b": "2"}}, {"metadata": {"b": "2"}}),
    ({"interval_seconds": 60, "metadata": {"a": "1"}}, {"metadata": None}, "metadata"),
    (
        {"interval_seconds": 60, "run": {"models": ["a"], "concurrency": 2}},
        {"run": {"models": ["b"]}},
        {"run": {"models": ["b"], "generation": {}}},
    ),
    ({"interval_seconds": 60}, {"run": None}, "run"),
    ({"interval_seconds": 60}, {"run": {"models": ["b"], "task_ids": ["nope"]}}, "task_ids"),
    (
        {"interval_seconds": 60, "webhook_url": "https://a.example", "webhook_secret": SECRET},
        {"webhook_url": None},
        {"webhook_url": None},
    ),
    (
        {"interval_seconds": 60, "webhook_url": "https://a.example", "webhook_secret": SECRET},
        {"webhook_url": None, "webhook_secret": None},
        {"webhook_url": None, "webhook_configured": False},
    ),
    ({"interval_seconds": 60}, {"webhook_secret": SECRET}, {"webhook_configured": True}),
    ({"interval_seconds": 60}, {"webhook_url": "http://a.example"}, "webhook_url"),
    ({"interval_seconds": 60}, {"suite_id": "eval_suite_" + "0" * 32}, "suite_id"),
]


@by_raw_requests
@pytest.mark.parametrize(("made_with", "changes", "expected"), PATCHES, ids=str)
async def test_merges_changes(
    client: Client, made_with: dict[str, Any], changes: dict[str, Any], expected: dict[str, Any] | str
) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, **made_with)
    before = client.last.json
    answer = await client.raw("PATCH", f"{EVALS}/schedules/{made.id}", json=changes)
    if isinstance(expected, str):
        assert answer.status == 400, answer
        assert check_envelope(answer)["param"] == expected
        await client.call("evals.get_schedule", schedule_id=made.id)
        assert client.last.json == before
        return
    assert answer.status == 200, answer
    after = answer.json
    moved = {"updated_at", *expected}
    if changes.keys() & {"cron", "interval_seconds", "timezone"}:
        moved.add("next_run_at")
    assert {key: after[key] for key in after if key not in moved} == {
        key: before[key] for key in before if key not in moved
    }
    assert {key: after[key] for key in expected} == expected


async def test_the_sdk_changes_and_clears(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, cron="0 3 * * *", description="d", webhook_secret=SECRET)
    changed = await client.call(
        "evals.update_schedule",
        schedule_id=made.id,
        cron=None,
        interval_seconds=60,
        description=None,
        webhook_secret=None,
        enabled=False,
    )
    assert (changed.cron, changed.interval_seconds, changed.description) == (None, 60, None)
    assert (changed.webhook_configured, changed.enabled, changed.next_run_at) == (False, False, None)
    again = await client.call("evals.update_schedule", schedule_id=made.id, enabled=True)
    assert again.next_run_at == again.updated_at + 60, "intervals count from the last enable"
    await client.refused(404, "evals.update_schedule", schedule_id=UNKNOWN, name="x")


async def test_trigger_makes_a_run(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, metadata={"team": "a"})
    fired = await client.call("evals.trigger_schedule", schedule_id=made.id)
    assert fired.id == made.id
    assert fired.last_run_status == "queued"
    run = await client.finished(fired.last_run_id)
    assert (run.status, run.suite_version, run.metadata) == ("completed", 1, {"team": "a"})
    after = await client.call("evals.get_schedule", schedule_id=made.id)
    assert (after.last_run_status, after.last_run_at) == ("completed", run.created_at)
    assert after.next_run_at == made.next_run_at
    await client.refused(404, "evals.trigger_schedule", schedule_id=UNKNOWN)


async def test_trigger_resolves_the_version_at_each_fire(client: Client) -> None:
    suite = await make_suite(client)
    moving, pinned = [await make_schedule(client, suite.id, suite_version=version) for version in (None, 1)]
    await client.call("evals.get_suite_version", suite_id=suite.id, version=1)
    await client.call("evals.create_suite_version", suite_id=suite.id, manifest=client.last.json["manifest"])
    for schedule, expected in ((moving, 2), (pinned, 1)):
        fired = await client.call("evals.trigger_schedule", schedule_id=schedule.id)
        assert (await client.call("evals.get_run", run_id=fired.last_run_id)).suite_version == expected


async def test_trigger_of_an_unknown_model_is_refused(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id, run={"models": ["meetkai/model-a"]})
    error = await client.refused(400, "evals.trigger_schedule", schedule_id=made.id)
    assert "meetkai/model-a" in error["message"]
    assert await history(client, made.id) == []


async def test_lists_the_runs_of_a_schedule(client: Client) -> None:
    suite, other = await make_suite(client), await make_suite(client)
    made = await make_schedule(client, suite.id, overlap_policy="allow_all")
    runs = [(await client.call("evals.trigger_schedule", schedule_id=made.id)).last_run_id for _ in range(3)]
    await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])

    async def listed(**query: Any) -> list[str]:
        page = await client.call("evals.list_schedule_runs", schedule_id=made.id, **query)
        return [run.id for run in page.data]

    assert await listed() == runs[::-1]
    assert await listed(suite_id=suite.id) == await listed(suite_version=1) == runs[::-1]
    assert await listed(suite_version=2) == []
    assert await listed(limit=1, after=runs[2]) == [runs[1]]
    for run_id in runs:
        await client.finished(run_id)
    assert await listed(status="completed") == runs[::-1]
    assert await listed(status="failed") == []
    await client.refused(400, "evals.list_schedule_runs", schedule_id=made.id, suite_id=other.id)
    await client.refused(400, "evals.list_schedule_runs", schedule_id=made.id, after="eval_run_" + "0" * 32)
    await client.refused(404, "evals.list_schedule_runs", schedule_id=UNKNOWN)


async def test_deletion_keeps_the_runs(client: Client) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id)
    run_id = (await client.call("evals.trigger_schedule", schedule_id=made.id)).last_run_id
    deleted = await client.call("evals.delete_schedule", schedule_id=made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    await client.refused(404, "evals.get_schedule", schedule_id=made.id)
    await client.refused(404, "evals.delete_schedule", schedule_id=made.id)
    await client.refused(404, "evals.trigger_schedule", schedule_id=made.id)
    assert (await client.finished(run_id)).status == "completed"


async def test_deleting_a_suite_takes_its_schedules(client: Client, live: LiveServer) -> None:
    suite = await make_suite(client)
    made = await make_schedule(client, suite.id)
    name = f"live/eval_schedule/{UUID(made.id.removeprefix('eval_sched_'))}"

    async def exists() -> bool:
        try:
            await live.runtime.temporal.get_schedule_handle(name).describe()
        except Exception:
            return False
        return True

    async def gone() -> bool:
        return not await exists()

    live.call(eventually(exists))
    await client.call("evals.delete_suite", suite_id=suite.id)
    await client.refused(404, "evals.get_schedule", schedule_id=made.id)
    live.call(eventually(gone))


async def test_history_compares_runs(client: Client, live: LiveServer) -> None:
    rows = [{"question": f"q{n} answer=a{n}", "answer": f"a{n}"} for n in range(4)]
    suite = await make_suite(client, rows)
    made = await make_schedule(client, suite.id, overlap_policy="allow_all")
    worse = {**rows[0], "answer": "something else"}
    first = await client.finished((await client.call("evals.trigger_schedule", schedule_id=made.id)).last_run_id)
    other = await make_suite(client, [worse, *rows[1:]])
    await client.call("evals.get_suite_version", suite_id=other.id, version=1)
    await client.call("evals.create_suite_version", suite_id=suite.id, manifest=client.last.json["manifest"])
    second = await client.finished((await client.call("evals.trigger_schedule", schedule_id=made.id)).last_run_id)
    newer, older = await history(client, made.id)
    assert (older["run_id"], older["metrics"]["exact_match"], older["change"]) == (first.id, 1.0, None)
    assert (newer["run_id"], newer["run_status"], newer["suite_version"]) == (second.id, "completed", 2)
    assert newer["previous_run_id"] == first.id
    assert newer["change"]["exact_match"] == -0.25
    assert (newer["kind"], newer["outcome"], newer["reason"]) == ("manual", "run", None)
    [only] = await history(client, made.id, limit=1, after=newer["id"])
    assert only == older
    assert (await client.raw("GET", f"{EVALS}/schedules/{UNKNOWN}/history")).status == 404


async def test_secrets_stay_inside(client: Client, live: LiveServer) -> None:
    suite = await make_suite(client)
    secret = "a secret that nobody may see"
    made = await make_schedule(client, suite.id, webhook_secret=secret)
    await client.call("evals.trigger_schedule", schedule_id=made.id)
    await history(client, made.id)

    async def stored() -> list[str]:
        async with live.runtime.sessions() as session:
            query = "SELECT to_jsonb(t)::text FROM {} t"
            tables = ("schedules", "schedule_fires", "outbox", "runs", "remembered_requests")
            return [row for table in tables for row in await session.scalars(text(query.format(table)))]

    rows = live.call(stored())
    assert any(str(UUID(made.id.removeprefix("eval_sched_"))) in row for row in rows)
    assert not any(secret in row or secret.encode().hex() in row for row in rows)
    assert not any(secret.encode() in answer.content for answer in client.answers)
