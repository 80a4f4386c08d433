"""Suites and versions (M§2.1 rows 1 to 7, M§2.2, M§2.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.mka1 import Client, jsonl, make_suite, qa_task, questions, upload
from tests.support.tenants import Tenants

MANIFEST_PATH = "/api/v1/llm/evals/suites"


async def test_create_and_get(client: Client) -> None:
    file = await upload(client, jsonl(*questions(2)))
    manifest = {"tasks": [qa_task(file.id)], "metadata": {"origin": "test", "nested": {"null": None}}}

    suite = await client.call(
        "evals.create_suite", name="A suite ✓", manifest=manifest, description="What it is", metadata={"team": "qa"}
    )

    raw = client.last.json
    assert raw["id"].startswith("eval_suite_")
    assert raw["org_id"].startswith("org_")
    assert raw["team_id"].startswith("team_")
    assert raw == {
        "id": suite.id,
        "object": "eval.suite",
        "name": "A suite ✓",
        "description": "What it is",
        "org_id": suite.org_id,
        "team_id": suite.team_id,
        "access": "owner",
        "active_version": 1,
        "latest_version": 1,
        "metadata": {"team": "qa"},
        "created_at": suite.created_at,
        "updated_at": suite.created_at,
    }
    await client.call("evals.get_suite", suite_id=suite.id)
    assert client.last.json == raw


async def test_absent_description_is_null(client: Client) -> None:
    suite = await make_suite(client)

    assert client.last.json["description"] is None
    assert client.last.json["metadata"] == {}
    assert suite.description is None


async def test_versions_are_appended(client: Client) -> None:
    suite = await make_suite(client)
    file = await upload(client, jsonl(*questions(1)))
    manifest = {"tasks": [qa_task(file.id, name="second")]}

    second = await client.call(
        "evals.create_suite_version", suite_id=suite.id, manifest=manifest, metadata={"why": "better"}
    )
    third = await client.call("evals.create_suite_version", suite_id=suite.id, manifest=manifest, make_active=False)

    assert second.id.startswith("eval_sver_")
    assert (second.version, third.version) == (2, 3)
    assert second.dataset_file_ids == [file.id]
    assert second.metadata == {"why": "better"}
    after = await client.call("evals.get_suite", suite_id=suite.id)
    assert (after.active_version, after.latest_version) == (2, 3)
    listed = await client.call("evals.list_suite_versions", suite_id=suite.id)
    assert [version.version for version in listed.data] == [3, 2, 1]
    listed_first = client.last.json["data"][2]
    await client.call("evals.get_suite_version", suite_id=suite.id, version=1)
    assert client.last.json == listed_first


async def test_a_manifest_is_given_back_as_it_was_sent(client: Client) -> None:
    file = await upload(client, jsonl(*questions(1)))
    manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": {"file_id": file.id}}]}
    created = await client.raw("POST", MANIFEST_PATH, json={"name": "s", "manifest": manifest})

    found = await client.raw("GET", f"{MANIFEST_PATH}/{created.json['id']}/versions/1")

    assert found.json["manifest"] == manifest


async def test_parallel_versions_get_numbers_of_their_own(client: Client) -> None:
    suite = await make_suite(client)
    manifest = (await client.call("evals.get_suite_version", suite_id=suite.id, version=1)).manifest
    body = {"manifest": manifest.model_dump(by_alias=True, exclude_unset=True)}

    answers = await asyncio.gather(
        *(
            client.raw("POST", f"{MANIFEST_PATH}/{suite.id}/versions", json={**body, "metadata": {"n": str(n)}})
            for n in range(6)
        )
    )

    assert [answer.status for answer in answers] == [200] * 6, answers[0].content
    assert sorted(answer.json["version"] for answer in answers) == [2, 3, 4, 5, 6, 7]


async def test_delete_takes_the_runs_along(client: Client) -> None:
    suite = await make_suite(client)
    run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])

    await client.call("evals.delete_suite", suite_id=suite.id)

    assert client.last.json == {
        "id": suite.id,
        "object": "eval.suite.deleted",
        "deleted": True,
        "deleted_runs": 1,
    }
    await client.refused(404, "evals.get_suite", suite_id=suite.id)
    await client.refused(404, "evals.delete_suite", suite_id=suite.id)
    await client.refused(404, "evals.list_suite_versions", suite_id=suite.id)
    await client.refused(404, "evals.get_suite_version", suite_id=suite.id, version=1)
    await client.refused(404, "evals.get_run", run_id=run.id)
    await client.refused(404, "evals.create_run", suite_id=suite.id, models=["openai/m"])


async def test_list_by_cursor_neither_skips_nor_repeats(client: Client) -> None:
    """Suites that are made while a list is read come before its first page."""
    made = [(await make_suite(client)).id for _ in range(5)]

    seen: list[str] = []
    page = await client.call("evals.list_suites", limit=2)
    while True:
        seen += [suite.id for suite in page.data]
        assert (page.first_id, page.last_id) == (page.data[0].id, page.data[-1].id)
        if not page.has_more or len(seen) >= 6:
            break
        made.append((await make_suite(client)).id)
        page = await client.call("evals.list_suites", limit=2, after=page.last_id)

    assert seen[:5] == made[4::-1]
    assert len(set(seen)) == len(seen)


async def test_a_deleted_cursor_still_marks_its_place(client: Client) -> None:
    first, second, third = [await make_suite(client) for _ in range(3)]
    await client.call("evals.delete_suite", suite_id=second.id)

    page = await client.call("evals.list_suites", limit=1, after=second.id)

    assert [suite.id for suite in page.data] == [first.id]
    assert third.id not in [suite.id for suite in page.data]


async def test_owned_only_lists_the_same(client: Client) -> None:
    suite = await make_suite(client)

    page = await client.call("evals.list_suites", owned_only=True, limit=1)

    assert page.data[0].id == suite.id


async def test_an_empty_list_has_null_ends(client: Client) -> None:
    suite = await make_suite(client)
    version = (await client.call("evals.list_suite_versions", suite_id=suite.id)).data[0]

    await client.call("evals.list_suite_versions", suite_id=suite.id, after=version.id)

    assert client.last.json == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("owned_only=perhaps", "owned_only"),
        ("after=eval_suite_00000000000000000000000000000000", "after"),
        ("after=eval_run_00000000000000000000000000000000", "after"),
        ("after=%00", "after"),
        ("after=", "after"),
    ],
)
async def test_list_refuses_bad_queries(prober: Client, query: str, param: str) -> None:
    answer = await prober.raw("GET", f"{MANIFEST_PATH}?{query}")

    assert answer.status == 400, answer.content
    assert answer.json["error"]["param"] == param


MISSING: list[tuple[str, dict[str, Any]]] = [
    ("evals.get_suite", {}),
    ("evals.delete_suite", {}),
    ("evals.list_suite_versions", {}),
    ("evals.get_suite_version", {"version": 1}),
]


@pytest.mark.parametrize(
    "suite_id", ["eval_suite_" + "0" * 32, "eval_suite_x", "nonsense", "eval_run_" + "0" * 32, "é"]
)
@pytest.mark.parametrize(("operation", "arguments"), MISSING[:4])
async def test_not_found(client: Client, operation: str, arguments: dict[str, Any], suite_id: str) -> None:
    error = await client.refused(404, operation, suite_id=suite_id, **arguments)

    assert error["param"] == "suite_id"


async def test_others_suites_do_not_exist(client: Client, outsider: Client) -> None:
    suite = await make_suite(client)
    own_file = await upload(outsider, jsonl(*questions(1)))

    for operation, arguments in MISSING:
        await outsider.refused(404, operation, suite_id=suite.id, **arguments)
    manifest = {"tasks": [qa_task(own_file.id)]}
    await outsider.refused(404, "evals.create_suite_version", suite_id=suite.id, manifest=manifest)
    assert suite.id not in [found.id for found in (await outsider.call("evals.list_suites", limit=100)).data]


async def test_others_files_cannot_be_used(client: Client, outsider: Client) -> None:
    file = await upload(client, jsonl(*questions(1)))

    error = await outsider.refused(400, "evals.create_suite", name="s", manifest={"tasks": [qa_task(file.id)]})

    assert error["param"] == "tasks[0].dataset.file_id"


@pytest.mark.parametrize("version", [0, -1, 2, 2**31, 10**30])
async def test_no_such_version(prober: Client, version: int) -> None:
    suite = await make_suite(prober)

    answer = await prober.raw("GET", f"{MANIFEST_PATH}/{suite.id}/versions/{version}")

    assert answer.status == (404 if version == 2 else 400)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": None}, "name"),
        ({"name": "nul\0"}, "name"),
        ({"description": "d" * 10_001}, "description"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"unknown": 1}, "unknown"),
        ({"manifest": []}, "manifest"),
        ({"manifest": {"tasks": []}}, "tasks"),
        ({"manifest": {}}, "tasks"),
    ],
)
async def test_create_refuses(prober: Client, fields: dict[str, Any], param: str) -> None:
    file = await upload(prober, jsonl(*questions(1)))
    body = {"name": "s", "manifest": {"tasks": [qa_task(file.id)]}, **fields}

    answer = await prober.raw("POST", MANIFEST_PATH, json=body)

    assert answer.status == 400, answer.content
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize(
    ("bounds", "status"),
    [
        ({"name": "n" * 255}, 200),
        ({"description": "d" * 10_000}, 200),
        ({"metadata": {f"k{n}": "v" for n in range(16)}}, 200),
        ({"metadata": {"k" * 64: "v" * 512}}, 200),
    ],
)
async def test_create_accepts_the_bounds(prober: Client, bounds: dict[str, Any], status: int) -> None:
    file = await upload(prober, jsonl(*questions(1)))
    body = {"name": "s", "manifest": {"tasks": [qa_task(file.id)]}, **bounds}

    answer = await prober.raw("POST", MANIFEST_PATH, json=body)

    assert answer.status == status


async def test_a_fault_of_the_manifest_names_its_path(client: Client) -> None:
    file = await upload(client, jsonl(*questions(1)))
    broken = {"type": "python", "contract": "sample", "source": "def other():\n    return 1\n"}

    error = await client.refused(
        400, "evals.create_suite", name="s", manifest={"tasks": [qa_task(file.id, grader=broken)]}
    )

    assert error["param"] == "tasks[0].grader.source"
    assert "tasks[0].grader.source" in error["message"]


async def test_parts_not_carried_out_are_refused(client: Client) -> None:
    file = await upload(client, jsonl(*questions(1)))
    results = {"path": "org/name", "data_files": "samples_gsm8k_2025-03-04T05-06-07.jsonl"}
    task = qa_task(file.id) | {"dataset": results}

    error = await client.refused(400, "evals.create_suite", name="s", manifest={"tasks": [task]})

    assert error["details"]["code"] == "unsupported_manifest"
    assert error["param"] == "tasks[0].dataset.data_files"


async def test_a_hugging_face_dataset_is_named_as_the_client_names_it(client: Client) -> None:
    dataset = {"path": "org/name", "name": "en", "split": "test", "revision": "v1", "data_files": {"test": ["a.csv"]}}
    task = {"id": "t", "type": "qa", "dataset": dataset}

    suite = await client.call("evals.create_suite", name="s", manifest={"tasks": [task]})

    assert suite.active_version == 1


async def test_scopes(connect: Connect, tenants: Tenants, client: Client) -> None:
    suite = await make_suite(client)
    reader, nobody = connect(tenants.read_only), connect(tenants.no_scopes)

    assert (await reader.call("evals.get_suite", suite_id=suite.id)).id == suite.id
    await reader.refused(403, "evals.delete_suite", suite_id=suite.id)
    await nobody.refused(403, "evals.get_suite", suite_id=suite.id)
    await connect(None).refused(401, "evals.get_suite", suite_id=suite.id)
    await connect("mk-wrong").refused(401, "evals.get_suite", suite_id=suite.id)
