"""Agents, prompts, suggestions, dataset versions and the project (O§2.3 to O§2.6)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.overmind.conftest import Caller


async def test_an_agent_keeps_its_eval_spec(caller: Caller) -> None:
    spec: dict[str, Any] = {
        "input_schema": {"question": "string"},
        "output_fields": {"answer": {"type": "text"}},
        "tool_config": None,
        "consistency_rules": [{"type": "ordering"}],
        "eval_dataset": {"cases": [{"input": {"q": 1}, "expected_output": {"a": 2}}]},
        "structure_weight": 25,
        "agent_description": {"description": "Answers questions."},
    }
    agent = await caller.agent(**spec)
    assert {name: agent[name] for name in spec} == spec
    assert (agent["status"], agent["is_deleted"], agent["active_dataset"]) == ("active", False, None)

    read = await caller.ok("GET", f"/agents/{agent['id']}/eval_spec/")

    assert set(read) == {
        "agent_description",
        "agent_path",
        "input_schema",
        "output_fields",
        "tool_config",
        "consistency_rules",
        "optimizable_elements",
        "fixed_elements",
        "structure_weight",
        "total_points",
        "tool_usage_weight",
    }
    assert read["agent_description"] == "Answers questions."
    assert read["structure_weight"] == 25.0
    patched = await caller.ok("PATCH", f"/agents/{agent['id']}/", {"description": "Mine.", "eval_dataset": None})
    assert patched["eval_dataset"] is None
    assert patched["output_fields"] == spec["output_fields"]
    assert (await caller.ok("GET", f"/agents/{agent['id']}/eval_spec/"))["agent_description"] == "Mine."


async def test_slugs_are_unique_until_an_agent_is_deleted(caller: Caller) -> None:
    agent = await caller.agent()
    other = await caller.agent()
    same = {"name": "Again", "slug": agent["slug"], "project": agent["project"]}
    assert list(await caller.refused(400, "POST", "/agents/", same)) == ["non_field_errors"]
    fault = await caller.refused(400, "PATCH", f"/agents/{other['id']}/", {"slug": agent["slug"]})
    assert list(fault) == ["non_field_errors"]
    assert list(await caller.refused(400, "POST", "/agents/", same | {"slug": "with spaces"})) == ["slug"]
    job = await caller.ok("POST", "/jobs/", {"status": "running", "agent": agent["id"]})

    await caller.ok("DELETE", f"/agents/{agent['id']}/")

    await caller.refused(404, "GET", f"/agents/{agent['id']}/")
    assert (await caller.ok("GET", "/agents/", params={"slug": agent["slug"]}))["count"] == 0
    again = await caller.ok("POST", "/agents/", same)
    assert again["id"] != agent["id"]
    assert (await caller.ok("GET", f"/jobs/{job['id']}/"))["agent"] == agent["id"]


async def test_filters_of_agents(caller: Caller) -> None:
    agent = await caller.agent(name="Zebra Finder", model="openai/gpt-x", status="idle")

    for params in (
        {"slug": agent["slug"]},
        {"name": "zebra", "model": "openai/gpt-x"},
        {"search": "finder ZEBRA", "status": "idle"},
    ):
        found = await caller.ok("GET", "/agents/", params={"project": agent["project"], "page_size": 100, **params})
        assert agent["id"] in [row["id"] for row in found["results"]]
        assert "eval_dataset" not in found["results"][0]


async def test_dataset_versions_count_up_and_stay(caller: Caller, stranger: Caller) -> None:
    agent = await caller.agent()
    points = [
        {"order": 1, "input": {"q": 2}, "expected_output": {"a": 2}, "persona": "p", "tags": ["t"]},
        {"order": 0, "input": {"q": 1, "more": True}, "expected_output": None},
    ]
    body = {"agent": agent["id"], "datapoints": points, "source": "synthetic", "metadata": {"k": [1]}, "name": ""}
    first = await caller.ok("POST", "/datasets/", body)
    second = await caller.ok("POST", "/datasets/", body | {"make_active": False, "datapoints": []})

    assert (first["version"], second["version"], second["num_datapoints"]) == (1, 2, 0)
    assert [point["order"] for point in first["datapoints"]] == [0, 1]
    assert points[0].items() <= first["datapoints"][1].items()
    found = await caller.ok("GET", f"/agents/{agent['id']}/")
    assert (found["active_dataset"], found["dataset_size"]) == (first["id"], 2)
    assert (found["dataset_has_expected_output"], set(found["dataset_input_keys"])) == (True, {"q", "more"})

    await caller.ok("POST", f"/datasets/{second['id']}/activate/", status=200)
    assert (await caller.ok("GET", f"/agents/{agent['id']}/"))["active_dataset"] == second["id"]
    listed = await caller.ok("GET", "/datasets/", params={"agent": agent["id"]})
    assert [row["version"] for row in listed["results"]] == [2, 1]
    assert "datapoints" not in listed["results"][0]
    assert (await caller.ok("GET", "/datasets/", params={"agent": agent["id"], "version_max": 1}))["count"] == 1
    page = await caller.ok("GET", f"/datasets/{first['id']}/datapoints/", params={"page_size": 1, "page": 2})
    assert (page["count"], page["results"][0]["order"]) == (2, 1)

    await caller.refused(404, "DELETE", "/datasets/" + "0" * 32 + "/")
    await caller.ok("DELETE", f"/datasets/{second['id']}/")
    assert (await caller.ok("GET", f"/agents/{agent['id']}/"))["active_dataset"] is None
    assert (await caller.ok("POST", "/datasets/", body))["version"] == 3


async def test_a_dataset_version_is_a_dataset_of_every_api(caller: Caller) -> None:
    agent = await caller.agent()
    point = {"input": {"q": 1}, "expected_output": "a", "persona": "p"}
    made = await caller.ok("POST", "/datasets/", {"agent": agent["id"], "datapoints": [point], "name": "Shared"})

    seen = await caller.ok("GET", "/api/environments/@current/datasets/", params={"id__in": made["id"]})
    items = await caller.ok("GET", "/api/environments/@current/dataset_items/", params={"dataset": made["id"]})

    assert seen["results"][0]["name"] == "Shared"
    (item,) = items["results"]
    assert (item["input"], item["output"], item["metadata"]) == ({"q": 1}, "a", {"persona": "p"})


async def test_prompts_are_numbered_by_agent(caller: Caller) -> None:
    agent = await caller.agent()
    first = await caller.ok("POST", "/prompts/", {"agent": agent["id"], "label": "policy", "system_prompt": " A "})
    second = await caller.ok("POST", "/prompts/", {"agent": agent["id"], "tools_json": [], "full_agent_code": "x"})

    assert (first["version"], second["version"], first["system_prompt"]) == (1, 2, " A ")
    listed = await caller.ok("GET", f"/agents/{agent['id']}/prompts/")
    assert [row["version"] for row in listed["results"]] == [2, 1]
    await caller.ok("DELETE", f"/prompts/{first['id']}/")
    assert (await caller.ok("GET", "/prompts/", params={"agent": agent["id"]}))["count"] == 1
    assert (await caller.ok("PATCH", f"/prompts/{second['id']}/", {"label": "l"}))["label"] == "l"


async def test_suggestions(caller: Caller) -> None:
    agent = await caller.agent()
    made = await caller.ok("POST", "/suggestions/", {"agent": agent["id"], "title": "T", "score_before": 1})
    assert (made["status"], made["score_before"], made["score_after"]) == ("proposed", 1.0, None)

    await caller.ok("PATCH", f"/suggestions/{made['id']}/", {"status": "applied"})

    found = await caller.ok("GET", "/suggestions/", params={"agent": agent["id"], "status": "applied"})
    assert [row["id"] for row in found["results"]] == [made["id"]]


async def test_the_project_of_the_key(caller: Caller, stranger: Caller) -> None:
    project = await caller.project()
    path = f"/projects/{project}/"
    before = await caller.ok("GET", path)
    await stranger.refused(404, "GET", path)
    await stranger.refused(404, "PATCH", path, {"name": "theirs"})

    changed = await caller.ok("PATCH", path, {"description": "d", "settings": [1], "slug": "mine"})
    assert (changed["description"], changed["settings"], changed["slug"]) == ("d", [1], "mine")
    assert changed["name"] == before["name"]
    assert (await caller.ok("PATCH", path, {"is_active": False}))["is_active"] is False
    assert (await caller.ok("PATCH", path, {"is_active": True}))["is_active"] is True
    assert (await caller.ok("GET", "/projects/", params={"slug": "other"}))["count"] == 0
    assert (await caller.refused(400, "PUT", path, {"name": "n"})) == {"slug": ["This field is required."]}
    refused = await caller.refused(403, "POST", "/projects/", {"name": "n", "slug": "s"})
    assert "assay projects create" in refused["detail"]


@pytest.mark.parametrize("path", ["/agents/", "/prompts/", "/suggestions/", "/datasets/"])
async def test_required_fields(caller: Caller, path: str) -> None:
    fault = await caller.refused(400, "POST", path, {})

    assert fault
    assert all(messages == ["This field is required."] for messages in fault.values())
