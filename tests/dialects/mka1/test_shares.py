"""Shares of suites, seen by both sides (M§2.2)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.dialects.mka1.conftest import Connect
from tests.support.agents import imported, make_tasks, trial
from tests.support.live import LiveServer
from tests.support.mka1 import Client, make_suite
from tests.support.tenants import Tenants

from assay.core.projects.service import create_organization
from assay.db.session import transaction


@pytest.fixture
async def recipient(connect: Connect, tenants: Tenants) -> Client:
    """A client of another organization."""
    return connect(tenants.other_organization)


async def org_of(client: Client) -> str:
    """The organization that a client belongs to."""
    return (await make_suite(client)).org_id


async def share(owner: Client, recipient: Client, suite: Any) -> Any:
    return await owner.call("evals.create_suite_share", suite_id=suite.id, org_id=await org_of(recipient))


async def test_a_share_and_its_end(client: Client, recipient: Client) -> None:
    suite = await make_suite(client)
    org = await org_of(recipient)
    await recipient.refused(404, "evals.get_suite", suite_id=suite.id)

    made = await client.call("evals.create_suite_share", suite_id=suite.id, org_id=org)

    assert (made.suite_id, made.org_id) == (suite.id, org)
    assert made.id.startswith("eval_share_")
    assert made.granted_by.startswith("user_")
    again = await client.call("evals.create_suite_share", suite_id=suite.id, org_id=org)
    assert again.model_dump() == made.model_dump()
    listed = await client.call("evals.list_suite_shares", suite_id=suite.id)
    assert [found.model_dump() for found in listed.data] == [made.model_dump()]
    await recipient.call("evals.get_suite", suite_id=suite.id)

    gone = await client.call("evals.delete_suite_share", suite_id=suite.id, org_id=org)

    assert gone.model_dump() == {"id": made.id, "object": "eval.suite.share.deleted", "deleted": True}
    await recipient.refused(404, "evals.get_suite", suite_id=suite.id)
    await client.refused(404, "evals.delete_suite_share", suite_id=suite.id, org_id=org)
    assert (await client.call("evals.list_suite_shares", suite_id=suite.id)).data == []


async def test_the_recipient_reads_all_of_it(client: Client, recipient: Client) -> None:
    suite = await make_suite(client)
    run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])
    run = await client.finished(run.id)
    assert len(run.artifact_file_ids) == 2
    await share(client, recipient, suite)

    found = await recipient.call("evals.get_suite", suite_id=suite.id)
    assert (found.access, found.org_id, found.team_id) == ("shared", suite.org_id, suite.team_id)
    assert suite.access == "owner"
    version = await recipient.call("evals.get_suite_version", suite_id=suite.id, version=1)
    assert (await recipient.call("evals.list_suite_versions", suite_id=suite.id)).data[0].id == version.id
    seen = await recipient.call("evals.get_run", run_id=run.id)
    assert (seen.org_id, seen.team_id, seen.metrics) == (run.org_id, run.team_id, run.metrics)
    assert seen.artifact_file_ids == []
    artifacts = await recipient.call("evals.get_artifacts", run_id=run.id)
    assert (artifacts.result_file_id, artifacts.samples_file_id, artifacts.artifact_file_ids) == (None, None, [])
    samples = await recipient.call("evals.list_samples", run_id=run.id)
    assert [sample.status for sample in samples.data] == ["completed"] * 3
    overview = await recipient.call("evals.get_run_overview", run_id=run.id, metric="exact_match")
    assert overview.avg_reward == 1
    board = await recipient.call("evals.list_suite_leaderboard_runs", suite_id=suite.id)
    assert [(found.id, found.artifact_file_ids) for found in board.data] == [(run.id, [])]


async def test_the_recipient_reads_agents_runs(client: Client, recipient: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a", scores={"reward": 1})])
    await client.call("evals.upload_sample_trajectory", run_id=run.id, sample_index=0, steps=[1])
    await share(client, recipient, suite)

    assert (await recipient.call("evals.get_suite_leaderboard", suite_id=suite.id)).data[0].run_ids == [run.id]
    assert (await recipient.call("evals.get_sample_trajectory", run_id=run.id, sample_index=0)).steps == [1]


async def test_the_recipient_changes_nothing(client: Client, recipient: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a", status="failed")])
    stream = await imported(client, suite.id, finalize=False, trials=[trial("a", 0)])
    await share(client, recipient, suite)
    manifest = (await client.call("evals.get_suite_version", suite_id=suite.id, version=1)).manifest
    body = manifest.model_dump(by_alias=True, exclude_unset=True)
    own = await make_suite(recipient)
    file_id = (await recipient.call("evals.get_suite_version", suite_id=own.id, version=1)).dataset_file_ids[0]
    body["tasks"][0]["dataset"]["file_id"] = file_id

    writes: list[tuple[str, dict[str, Any]]] = [
        ("create_suite_version", {"suite_id": suite.id, "manifest": body}),
        ("delete_suite", {"suite_id": suite.id}),
        ("create_run", {"suite_id": suite.id, "models": ["openai/m"]}),
        ("import_agent_run", {"suite_id": suite.id, "agent_name": "omp", "model": "m"}),
        ("measure_suite_tokens", {"suite_id": suite.id}),
        ("list_suite_shares", {"suite_id": suite.id}),
        ("create_suite_share", {"suite_id": suite.id, "org_id": suite.org_id}),
        ("delete_suite_share", {"suite_id": suite.id, "org_id": own.org_id}),
        ("delete_run", {"run_id": run.id}),
        ("cancel_run", {"run_id": stream.id}),
        ("retry_failed_run", {"run_id": run.id}),
        ("rerun_failed_samples", {"run_id": run.id}),
        ("append_agent_trials", {"run_id": stream.id}),
        ("upload_sample_trajectory", {"run_id": run.id, "sample_index": 0, "steps": []}),
    ]
    for operation, arguments in writes:
        await recipient.refused(404, f"evals.{operation}", **arguments)
    assert (await client.call("evals.get_run", run_id=stream.id)).status == "in_progress"


async def test_lists_mix_own_and_shared(client: Client, recipient: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id)
    await share(client, recipient, suite)
    own = await make_tasks(recipient, "a")
    own_run = await imported(recipient, own.id)

    async def ids(operation: str, **query: Any) -> list[str]:
        return [found.id for found in (await recipient.call(operation, **query)).data]

    assert set(await ids("evals.list_suites", limit=100)) >= {suite.id, own.id}
    owned = await ids("evals.list_suites", limit=100, owned_only=True)
    assert (own.id in owned, suite.id in owned) == (True, False)
    assert set(await ids("evals.list_runs", limit=100)) >= {run.id, own_run.id}
    owned = await ids("evals.list_runs", limit=100, owned_only=True)
    assert (own_run.id in owned, run.id in owned) == (True, False)
    assert await ids("evals.list_runs", suite_id=suite.id) == [run.id]
    page = await recipient.call("evals.list_suites", limit=1, after=own.id)
    assert page.data[0].org_id in {own.org_id, suite.org_id}
    assert await ids("evals.list_runs", suite_id=suite.id, after=run.id) == []


async def test_what_is_deleted_is_gone_for_the_recipient(client: Client, recipient: Client) -> None:
    suite = await make_tasks(client, "a")
    first, second = await imported(client, suite.id), await imported(client, suite.id)
    await share(client, recipient, suite)

    await client.call("evals.delete_run", run_id=first.id)
    await recipient.refused(404, "evals.get_run", run_id=first.id)
    await client.call("evals.delete_suite", suite_id=suite.id)

    await recipient.refused(404, "evals.get_suite", suite_id=suite.id)
    await recipient.refused(404, "evals.get_run", run_id=second.id)


async def test_other_teams_of_the_owner_are_no_recipients(
    client: Client, recipient: Client, connect: Connect, tenants: Tenants
) -> None:
    stranger = connect(tenants.other_project)
    suite = await make_suite(client)
    await share(client, recipient, suite)

    await stranger.refused(404, "evals.get_suite", suite_id=suite.id)
    error = await client.refused(400, "evals.create_suite_share", suite_id=suite.id, org_id=suite.org_id)
    assert error["param"] == "org_id"


@pytest.mark.parametrize("org_id", ["org_" + "0" * 32, "nonsense"])
async def test_recipients_must_exist(client: Client, org_id: str) -> None:
    suite = await make_suite(client)

    for operation in ("evals.create_suite_share", "evals.delete_suite_share"):
        error = await client.refused(404, operation, suite_id=suite.id, org_id=org_id)
        assert error["param"] == "org_id"


async def test_end_users_have_no_part_in_shares(
    client: Client, recipient: Client, connect: Connect, tenants: Tenants
) -> None:
    delegated = connect(tenants.delegating, on_behalf_of="ann")
    suite = await make_suite(delegated)
    org = await org_of(recipient)

    await delegated.refused(403, "evals.list_suite_shares", suite_id=suite.id)
    await delegated.refused(403, "evals.create_suite_share", suite_id=suite.id, org_id=org)
    await delegated.refused(403, "evals.delete_suite_share", suite_id=suite.id, org_id=org)
    await share(client, recipient, suite)
    for_a_user = connect(tenants.other_organization, on_behalf_of="bob")
    await for_a_user.refused(404, "evals.get_suite", suite_id=suite.id)


async def test_sharing_needs_an_admin(live: LiveServer, connect: Connect, recipient: Client) -> None:
    async def make_editor() -> str:
        async with transaction(live.runtime.sessions) as session:
            made = await create_organization(session, name="Editors")
            await session.execute(
                text("UPDATE memberships SET role = 'editor' WHERE organization_id = :id"),
                {"id": made.organization_id},
            )
            assert made.api_key is not None
            return made.api_key

    editor = connect(live.call(make_editor()))
    suite = await make_suite(editor)
    org = await org_of(recipient)

    await editor.refused(403, "evals.create_suite_share", suite_id=suite.id, org_id=org)
    await editor.refused(403, "evals.delete_suite_share", suite_id=suite.id, org_id=org)
    assert (await editor.call("evals.list_suite_shares", suite_id=suite.id)).data == []


async def test_scopes(client: Client, connect: Connect, tenants: Tenants) -> None:
    suite = await make_suite(client)
    reader = connect(tenants.read_only)

    await reader.call("evals.list_suite_shares", suite_id=suite.id)
    await reader.refused(403, "evals.create_suite_share", suite_id=suite.id, org_id=suite.org_id)
    await connect(tenants.no_scopes).refused(403, "evals.list_suite_shares", suite_id=suite.id)


async def test_at_most_a_hundred(live: LiveServer, client: Client) -> None:
    async def make_organizations() -> list[str]:
        async with transaction(live.runtime.sessions) as session:
            made = await session.scalars(
                text(
                    "INSERT INTO organizations (id, name, created_at) "
                    "SELECT gen_random_uuid(), 'Org ' || n, now() FROM generate_series(1, 101) AS n RETURNING id"
                )
            )
            return [f"org_{found.hex}" for found in made]

    suite = await make_suite(client)
    organizations = live.call(make_organizations())
    for org_id in organizations[:100]:
        answer = await client.raw("POST", f"/api/v1/llm/evals/suites/{suite.id}/shares", json={"org_id": org_id})
        assert answer.status == 200, answer.content

    error = await client.refused(409, "evals.create_suite_share", suite_id=suite.id, org_id=organizations[100])

    assert error["details"] == {"code": "share_limit", "limit": 100}
    await client.call("evals.create_suite_share", suite_id=suite.id, org_id=organizations[0])
    assert len((await client.call("evals.list_suite_shares", suite_id=suite.id)).data) == 100
