"""``X-On-Behalf-Of`` (M§1.3, M§7 R36): a delegated call sees and makes one end user's objects only."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.mka1 import make_suite
from tests.support.tenants import Tenants


async def test_an_end_user_sees_their_own_objects_only(connect: Connect, tenants: Tenants) -> None:
    ann, ben = f"ann-{uuid4().hex}", f"ben {uuid4().hex}"
    for_ann, for_ben = [connect(tenants.delegating, on_behalf_of=user) for user in (ann, ben)]
    direct = connect(tenants.all_scopes)

    suite = await make_suite(for_ann)
    run = await for_ann.call("evals.create_run", suite_id=suite.id, models=["openai/m"])
    done = await for_ann.finished(run.id)
    unowned = await make_suite(direct)

    assert [found.id for found in (await for_ann.call("evals.list_suites")).data] == [suite.id]
    assert [found.id for found in (await for_ann.call("evals.list_runs")).data] == [run.id]
    files = {found.id for found in (await for_ann.call("files.list")).data}
    assert files >= set(done.artifact_file_ids)
    for operation in ("evals.list_suites", "evals.list_runs", "files.list"):
        assert (await for_ben.call(operation)).data == []
    await for_ann.refused(404, "evals.get_suite", suite_id=unowned.id)
    await for_ben.refused(404, "evals.get_suite", suite_id=suite.id)
    await for_ben.refused(404, "evals.create_run", suite_id=suite.id, models=["openai/m"])
    await for_ben.refused(404, "evals.delete_run", run_id=run.id)
    await for_ben.refused(404, "files.content", file_id=done.artifact_file_ids[0])
    assert (await direct.call("evals.get_run", run_id=run.id)).id == run.id


async def test_forbidden_without_the_flag(connect: Connect, tenants: Tenants) -> None:
    for token in (tenants.all_scopes, tenants.read_only):
        await connect(token, on_behalf_of="ann").refused(403, "evals.list_suites")


@pytest.mark.parametrize("name", ["", "*", "x" * 151, "tab\there"])
async def test_invalid_names(connect: Connect, tenants: Tenants, name: str) -> None:
    client = connect(tenants.delegating)

    answer = await client.raw("GET", "/api/v1/llm/evals/suites", headers={"X-On-Behalf-Of": name})

    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


async def test_names_beyond_ascii(connect: Connect, tenants: Tenants) -> None:
    client = connect(tenants.delegating)

    for header in (b"X-On-Behalf-Of", b"Authorization"):
        value = "Bearer é".encode() if header == b"Authorization" else "é".encode()
        answer = await client.raw("GET", "/api/v1/llm/evals/suites", headers={header.decode(): value})
        assert answer.status == (401 if header == b"Authorization" else 400)


async def test_scopes_still_count(connect: Connect, tenants: Tenants) -> None:
    longest = connect(tenants.delegating, on_behalf_of="x" * 150)

    assert (await longest.call("evals.list_suites")).data == []
