"""Evaluations: every row of the validation table P§2.4, their lines of the checklist P§2.5, and the fields of P§2.3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.tenants import Tenants

KEYS = {
    "id",
    "name",
    "description",
    "enabled",
    "status",
    "status_reason",
    "status_reason_detail",
    "evaluation_type",
    "evaluation_config",
    "output_type",
    "output_config",
    "conditions",
    "target",
    "target_config",
    "model_configuration",
    "directory_id",
    "user_access_level",
    "created_at",
    "updated_at",
    "created_by",
    "deleted",
}
MODEL = {"provider": "openai", "model": "gpt-5-mini"}
HOG = {"evaluation_type": "hog", "evaluation_config": {"source": "return true"}, "output_type": "boolean"}
JUDGE = {
    "evaluation_type": "llm_judge",
    "evaluation_config": {"prompt": "Is it polite?"},
    "output_type": "boolean",
    "model_configuration": MODEL,
}
SENTIMENT = {"evaluation_type": "sentiment", "output_type": "sentiment"}


def hog(**changes: Any) -> dict[str, Any]:
    return {"name": f"hog {uuid4().hex}", **HOG, **changes}


def judge(**changes: Any) -> dict[str, Any]:
    return {"name": f"judge {uuid4().hex}", **JUDGE, **changes}


def found(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["results"]]


@pytest.fixture
async def program(caller: Caller) -> dict[str, Any]:
    """A Hog evaluation of the first project."""
    return await caller.ok("POST", "/evaluations", hog())


@pytest.fixture
async def model_key(caller: Caller, provider_url: str) -> dict[str, Any]:
    """A working key for OpenAI."""
    secret = f"sk-{uuid4().hex}"
    body = {"provider": "openai", "name": "k", "api_key": secret, "base_url": provider_url}
    return await caller.ok("POST", "/llm_analytics/provider_keys/", body)


async def test_an_evaluation_has_every_field_and_belongs_to_its_caller(caller: Caller) -> None:
    body = hog(
        id=str(uuid4()),
        created_by={"id": 9},
        created_at="2001-01-01T00:00:00Z",
        status="error",
        user_access_level="none",
        unknown=1,
    )

    made = await caller.ok("POST", "/evaluations/", body)

    assert set(made) == KEYS
    assert made["id"] != body["id"]
    assert made["created_by"]["id"] != 9
    assert made["created_at"] > "2025"
    assert made["name"] == body["name"]
    assert made["user_access_level"] == "manager"
    defaults: dict[str, Any] = {
        "description": "",
        "enabled": False,
        "status": "paused",
        "status_reason": None,
        "status_reason_detail": None,
        "output_config": {"allows_na": False, "true_is_failure": False},
        "conditions": [],
        "target": "generation",
        "target_config": {},
        "model_configuration": None,
        "directory_id": None,
        "deleted": False,
    }
    assert {name: made[name] for name in defaults} == defaults
    assert await caller.ok("GET", f"/evaluations/{made['id']}") == made
    assert found(await caller.ok("GET", "/evaluations"))[0] == made["id"]


async def test_who_may_only_read_sees_it_so(connect: Connect, tenants: Tenants, program: dict[str, Any]) -> None:
    path = f"/evaluations/{program['id']}"

    assert (await connect(tenants.read_only).ok("GET", path))["id"] == program["id"]


async def test_everything_can_be_changed_and_only_what_was_sent_is(caller: Caller, program: dict[str, Any]) -> None:
    path = f"/evaluations/{program['id']}/"
    changes: dict[str, Any] = {
        "name": "Other",
        "description": "why",
        "enabled": True,
        "evaluation_config": {"source": " return false "},
        "output_config": {"allows_na": True},
        "conditions": [{"id": "c", "rollout_percentage": 10, "properties": []}],
        "target": "trace",
        "directory_id": str(uuid4()),
    }
    expected = program | {"status": "active", "target_config": {"strategy": "fixed_window", "window_seconds": 1800}}

    changed: dict[str, Any] = {}
    for name, value in changes.items():
        changed = await caller.ok("PATCH", path, {name: value})
        if name == "target":
            expected |= {"target": "trace"}
        elif name == "output_config":
            expected |= {"output_config": {"allows_na": True, "true_is_failure": False}}
        else:
            expected |= {name: value}
        assert {key: changed[key] for key in (name, "id", "created_at", "created_by")} == {
            key: expected[key] for key in (name, "id", "created_at", "created_by")
        }

    assert await caller.ok("GET", path) == expected | {"updated_at": changed["updated_at"]}
    assert changed["updated_at"] > program["updated_at"]
    replaced = await caller.ok("PUT", path, hog(name="Back"))
    assert (replaced["name"], replaced["evaluation_config"]) == ("Back", {"source": "return true"})


NORMAL_OUTPUTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("boolean", {}, {"allows_na": False, "true_is_failure": False}),
    ("boolean", {"true_is_failure": True, "odd": 1}, {"allows_na": False, "true_is_failure": True}),
    (
        "numeric",
        {"min": 0, "max": 1.5},
        {"min": 0, "max": 1.5, "step": None, "allows_na": False, "passing_rule": None},
    ),
    (
        "numeric",
        {"min": 1, "step": 0.5, "allows_na": True, "passing_rule": {"operator": "gte", "threshold": 3, "x": 1}},
        {
            "min": 1,
            "max": None,
            "step": 0.5,
            "allows_na": True,
            "passing_rule": {"operator": "gte", "threshold": 3},
        },
    ),
    (
        "categorical",
        {"options": [{"key": "good-1_b", "label": "Good", "color": "red"}]},
        {
            "options": [{"key": "good-1_b", "label": "Good"}],
            "selection_mode": "single",
            "allows_na": False,
            "passing_rule": None,
        },
    ),
    (
        "categorical",
        {
            "options": [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}],
            "selection_mode": "multiple",
            "passing_rule": {"categories": ["b"]},
        },
        {
            "options": [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}],
            "selection_mode": "multiple",
            "allows_na": False,
            "passing_rule": {"categories": ["b"]},
        },
    ),
]


@pytest.mark.parametrize(("output", "config", "normal"), NORMAL_OUTPUTS)
@pytest.mark.parametrize("make", [hog, judge])
async def test_outputs_are_normalized(
    caller: Caller, make: Any, output: str, config: dict[str, Any], normal: dict[str, Any]
) -> None:
    made = await caller.ok("POST", "/evaluations", make(output_type=output, output_config=config))

    assert made["output_config"] == normal


async def test_a_change_of_one_key_of_the_output_keeps_the_others(caller: Caller) -> None:
    made = await caller.ok("POST", "/evaluations", hog(output_config={"allows_na": True}))
    path = f"/evaluations/{made['id']}"

    both = await caller.ok("PATCH", path, {"output_config": {"true_is_failure": True}})
    assert both["output_config"] == {"allows_na": True, "true_is_failure": True}

    rule = {"operator": "lte", "threshold": 2}
    numeric = {"output_type": "numeric", "output_config": {"max": 4, "passing_rule": rule}}
    path = f"/evaluations/{(await caller.ok('POST', '/evaluations', hog(**numeric)))['id']}"
    without = await caller.ok("PATCH", path, {"output_config": {"passing_rule": None}})
    assert (without["output_config"]["passing_rule"], without["output_config"]["max"]) == (None, 4)


@pytest.mark.parametrize(
    ("body", "config"),
    [
        (judge(evaluation_config={"prompt": " \n Polite?\t", "x": 1}), {"prompt": "Polite?"}),
        (hog(evaluation_config={"source": " return true\n", "bytecode": ["_H", 1]}), {"source": " return true\n"}),
        ({"name": "s", **SENTIMENT}, {"source": "user_messages"}),
        ({"name": "s", **SENTIMENT, "evaluation_config": {"source": "user_messages"}}, {"source": "user_messages"}),
    ],
    ids=["judge", "hog", "sentiment", "sentiment with its source"],
)
async def test_configurations_are_normalized(caller: Caller, body: dict[str, Any], config: dict[str, Any]) -> None:
    assert (await caller.ok("POST", "/evaluations", body))["evaluation_config"] == config


@dataclass(frozen=True, slots=True)
class Refusal:
    """A body that is refused."""

    name: str
    body: dict[str, Any]
    attr: str
    code: str = "invalid"
    contains: str = ""


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def condition(**fields: Any) -> dict[str, Any]:
    return hog(conditions=[{"id": "first"}, {"id": "second", **fields}])


def numeric(**config: Any) -> dict[str, Any]:
    return hog(output_type="numeric", output_config=config)


def categorical(*options: Any, **config: Any) -> dict[str, Any]:
    return hog(output_type="categorical", output_config={"options": list(options), **config})


OPTION = {"key": "a", "label": "A"}
REFUSALS = [
    Refusal("no name", without(hog(), "name"), "name", "required"),
    Refusal("no type", without(hog(), "evaluation_type"), "evaluation_type", "required"),
    Refusal("no output", without(hog(), "output_type"), "output_type", "required"),
    Refusal("blank name", hog(name=" "), "name", "blank"),
    Refusal("long name", hog(name="x" * 401), "name", "max_length"),
    Refusal("null description", hog(description=None), "description", "null"),
    Refusal("type", hog(evaluation_type="python"), "evaluation_type", "invalid_choice"),
    Refusal("output", hog(output_type="text"), "output_type", "invalid_choice"),
    Refusal("enabled", hog(enabled="perhaps"), "enabled"),
    Refusal("hog with sentiment", hog(output_type="sentiment"), "config"),
    Refusal("sentiment with boolean", {"name": "s", **SENTIMENT, "output_type": "boolean"}, "config"),
    Refusal("empty prompt", judge(evaluation_config={"prompt": " "}), "config"),
    Refusal("missing prompt", judge(evaluation_config={}), "config"),
    Refusal("prompt no text", judge(evaluation_config={"prompt": 5}), "config"),
    Refusal("empty source", hog(evaluation_config={"source": ""}), "config"),
    Refusal("missing source", without(hog(), "evaluation_config"), "config"),
    Refusal("config no object", hog(evaluation_config="return true"), "evaluation_config"),
    Refusal("config null", hog(evaluation_config=None), "evaluation_config", "null"),
    Refusal("sentiment source", {"name": "s", **SENTIMENT, "evaluation_config": {"source": "all"}}, "config"),
    Refusal(
        "no program",
        hog(evaluation_config={"source": "let x := 1\nreturn x +"}),
        "evaluation_config",
        contains="(line 2, column 1",
    ),
    Refusal("judge without a model", without(judge(), "model_configuration"), "model_configuration"),
    Refusal("judge with null", judge(model_configuration=None), "model_configuration"),
    Refusal("model no object", judge(model_configuration=[1]), "model_configuration"),
    Refusal("no provider", judge(model_configuration={"model": "m"}), "model_configuration__provider", "required"),
    Refusal("no model", judge(model_configuration={"provider": "openai"}), "model_configuration__model", "required"),
    Refusal(
        "long model",
        judge(model_configuration={**MODEL, "model": "m" * 101}),
        "model_configuration__model",
        "max_length",
    ),
    Refusal(
        "provider",
        judge(model_configuration={**MODEL, "provider": "acme"}),
        "model_configuration__provider",
        "invalid_choice",
    ),
    Refusal(
        "key no uuid",
        judge(model_configuration={**MODEL, "provider_key_id": "{x}"}),
        "model_configuration__provider_key_id",
    ),
    Refusal(
        "unknown key",
        judge(model_configuration={**MODEL, "provider_key_id": str(uuid4())}),
        "model_configuration__provider_key_id",
    ),
    Refusal("hog with a model", hog(model_configuration=MODEL), "model_configuration"),
    Refusal("sentiment with a model", {"name": "s", **SENTIMENT, "model_configuration": MODEL}, "model_configuration"),
    Refusal("rollout below", condition(rollout_percentage=-1), "conditions__1__rollout_percentage"),
    Refusal("rollout above", condition(rollout_percentage=100.5), "conditions__1__rollout_percentage"),
    Refusal("rollout no number", condition(rollout_percentage=True), "conditions__1__rollout_percentage"),
    Refusal("condition id", condition(id="x" * 101), "conditions__1__id"),
    Refusal("filters no list", condition(properties={"key": "a"}), "conditions__1__properties"),
    Refusal("filter no object", condition(properties=["a"]), "conditions__1__properties"),
    Refusal("condition no object", hog(conditions=["x"]), "conditions__0"),
    Refusal("conditions no list", hog(conditions={"id": "x"}), "conditions", "not_a_list"),
    Refusal("conditions null", hog(conditions=None), "conditions", "null"),
    Refusal("target", hog(target="person"), "target", "invalid_choice"),
    Refusal("sentiment of traces", {"name": "s", **SENTIMENT, "target": "trace"}, "target"),
    Refusal("target config no object", hog(target="trace", target_config=[]), "target_config"),
    Refusal("no object for a generation", hog(target_config="x"), "target_config"),
    Refusal("unknown key of target", hog(target="trace", target_config={"seconds": 5}), "target_config"),
    Refusal("window too short", hog(target="trace", target_config={"window_seconds": 9}), "target_config"),
    Refusal("window too long", hog(target="trace", target_config={"window_seconds": 7201}), "target_config"),
    Refusal("window no number", hog(target="trace", target_config={"window_seconds": True}), "target_config"),
    Refusal("strategy", hog(target="session", target_config={"strategy": "never"}), "target_config"),
    Refusal(
        "key of another strategy",
        hog(target="trace", target_config={"strategy": "inactivity", "window_seconds": 60}),
        "target_config",
    ),
    Refusal(
        "quiet longer than age",
        hog(
            target="trace",
            target_config={"strategy": "inactivity", "quiet_period_seconds": 600, "max_age_seconds": 60},
        ),
        "target_config",
    ),
    Refusal("enabled without a key", judge(enabled=True), "enabled", contains="Add a provider API key"),
    Refusal("boolean with bounds", hog(output_config={"min": 0}), "config"),
    Refusal("numeric with a label", numeric(true_is_failure=True), "config"),
    Refusal("flag", hog(output_config={"allows_na": "yes"}), "config"),
    Refusal("output config no object", hog(output_config=[]), "output_config"),
    Refusal("bounds", numeric(min=2, max=1), "config"),
    Refusal("bound no number", numeric(min="0"), "config"),
    Refusal("step", numeric(step=0), "config"),
    Refusal("threshold outside", numeric(max=1, passing_rule={"operator": "gte", "threshold": 2}), "config"),
    Refusal("threshold missing", numeric(passing_rule={"operator": "gte"}), "config"),
    Refusal("operator", numeric(passing_rule={"operator": "eq", "threshold": 2}), "config"),
    Refusal("no options", categorical(), "config"),
    Refusal("option key", categorical({"key": "A b", "label": "x"}), "config"),
    Refusal("option key with two dashes", categorical({"key": "a--b", "label": "x"}), "config"),
    Refusal("option label", categorical({"key": "a", "label": ""}), "config"),
    Refusal("options twice", categorical(OPTION, OPTION), "config"),
    Refusal("selection", categorical(OPTION, selection_mode="all"), "config"),
    Refusal("rule's category", categorical(OPTION, passing_rule={"categories": ["b"]}), "config"),
    Refusal("directory", hog(directory_id="x"), "directory_id"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
async def test_refusals(caller: Caller, case: Refusal) -> None:
    error = await caller.refused(400, "POST", "/evaluations", case.body)

    assert (error["attr"], error["code"], error["type"]) == (case.attr, case.code, "validation_error")
    assert case.contains in error["detail"]
    if name := case.body.get("name", "").strip():
        assert found(await caller.ok("GET", "/evaluations", params={"search": name[:100], "limit": 1000})) == [] or (
            name == "s"
        )


async def test_a_judge_keeps_its_model_until_another_is_given(caller: Caller) -> None:
    made = await caller.ok("POST", "/evaluations", judge())
    path = f"/evaluations/{made['id']}"
    shown = {**MODEL, "provider_key_id": None, "provider_key_name": None}
    assert made["model_configuration"] == shown

    error = await caller.refused(400, "PATCH", path, {"model_configuration": None, "name": "lost"})
    assert error["attr"] == "model_configuration"
    kept = await caller.ok("PATCH", path, {"name": "kept"})
    assert (kept["name"], kept["model_configuration"]) == ("kept", shown)
    other = {"provider": "anthropic", "model": "claude-sonnet-4-5"}
    assert (await caller.ok("PATCH", path, {"model_configuration": other}))["model_configuration"] == shown | other


async def test_a_judge_can_become_a_program_and_back(caller: Caller) -> None:
    made = await caller.ok("POST", "/evaluations", judge())
    path = f"/evaluations/{made['id']}"

    changes = {**HOG, "model_configuration": None}
    assert (await caller.ok("PATCH", path, changes))["model_configuration"] is None
    back = {**JUDGE, "model_configuration": None}
    assert (await caller.refused(400, "PATCH", path, back))["attr"] == "model_configuration"
    assert (await caller.refused(400, "PATCH", path, without(back, "model_configuration")))["attr"] == (
        "model_configuration"
    )
    sentiment = await caller.ok("PATCH", path, {**SENTIMENT, "evaluation_config": {}})
    assert (sentiment["output_type"], sentiment["output_config"]) == ("sentiment", {})
    assert (await caller.ok("PATCH", path, JUDGE))["evaluation_type"] == "llm_judge"


@pytest.mark.parametrize(("before", "after"), [("boolean", "numeric"), ("numeric", "boolean")])
async def test_numbers_stay_numbers(caller: Caller, before: str, after: str) -> None:
    made = await caller.ok("POST", "/evaluations", hog(output_type=before))

    error = await caller.refused(400, "PATCH", f"/evaluations/{made['id']}", {"output_type": after})

    assert error["attr"] == "output_type"


async def test_keys_of_others_and_for_others_are_refused(
    caller: Caller, stranger: Caller, model_key: dict[str, Any]
) -> None:
    def with_key(**changes: Any) -> dict[str, Any]:
        return judge(model_configuration={**MODEL, "provider_key_id": model_key["id"], **changes})

    made = await caller.ok("POST", "/evaluations", with_key())
    assert made["model_configuration"]["provider_key_name"] == "k"
    assert made["model_configuration"]["provider_key_id"] == model_key["id"]
    for who, body in ((stranger, with_key()), (caller, with_key(provider="anthropic"))):
        error = await who.refused(400, "POST", "/evaluations", body)
        assert error["attr"] == "model_configuration__provider_key_id"


async def test_enabling_a_judge_needs_a_working_key(
    caller: Caller, model_key: dict[str, Any], live: Any, provider_url: str
) -> None:
    body = judge(model_configuration={**MODEL, "provider_key_id": model_key["id"]})
    made = await caller.ok("POST", "/evaluations", body)
    path = f"/evaluations/{made['id']}"
    enabled = await caller.ok("PATCH", path, {"enabled": True})
    assert (enabled["enabled"], enabled["status"]) == (True, "active")

    secret = f"sk-{uuid4().hex}"
    key = await caller.ok(
        "POST",
        "/llm_analytics/provider_keys",
        {"provider": "openai", "name": "gone", "api_key": secret, "base_url": provider_url},
    )
    live.models.behaviour.key_statuses[secret] = 401
    checked = await caller.send("POST", f"/llm_analytics/provider_keys/{key['id']}/validate/")
    assert checked.json()["state"] == "invalid"
    broken = {"model_configuration": {**MODEL, "provider_key_id": key["id"]}}
    assert (await caller.ok("PATCH", path, broken))["enabled"] is True, "no check of what is enabled already"
    assert (await caller.ok("PATCH", path, {"enabled": False}))["status"] == "paused"
    error = await caller.refused(400, "PATCH", path, {"enabled": True, "name": "lost"})
    assert error["attr"] == "enabled"
    assert "working provider API key" in error["detail"]
    assert (await caller.ok("GET", path))["name"] == made["name"]
    await caller.send("DELETE", f"/llm_analytics/provider_keys/{key['id']}")
    error = await caller.refused(400, "PATCH", path, {"enabled": True})
    assert "Add a provider API key" in error["detail"]


@pytest.mark.parametrize("body", [hog(enabled=True), {"name": "s", **SENTIMENT, "enabled": True}])
async def test_what_calls_no_model_needs_no_key(caller: Caller, body: dict[str, Any]) -> None:
    assert (await caller.ok("POST", "/evaluations", body))["status"] == "active"


FILTERS: list[Any] = [
    {"key": "$ai_model", "value": ["gpt-4", "gpt-5"], "operator": "exact", "type": "event"},
    {"z": 1, "key": "cost", "value": 1.0, "operator": "gt"},
    {"type": "cohort", "key": "id", "value": 5},
]


async def test_conditions_echo_their_filters(caller: Caller) -> None:
    conditions: list[dict[str, Any]] = [
        {"id": "a", "rollout_percentage": 0, "properties": FILTERS, "bytecode": None, "bytecode_error": "x"},
        {"id": "b", "rollout_percentage": 100},
        {"id": "c", "rollout_percentage": 12.5, "properties": []},
        {"id": "d"},
    ]

    made = await caller.ok("POST", "/evaluations", hog(conditions=conditions))

    assert made["conditions"] == [
        {"id": "a", "rollout_percentage": 0, "properties": FILTERS},
        {"id": "b", "rollout_percentage": 100, "properties": []},
        {"id": "c", "rollout_percentage": 12.5, "properties": []},
        {"id": "d", "rollout_percentage": 100, "properties": []},
    ]
    assert [list(item) for item in made["conditions"][0]["properties"]] == [list(item) for item in FILTERS]
    assert type(made["conditions"][0]["properties"][1]["value"]) is float
    named = await caller.ok("PATCH", f"/evaluations/{made['id']}", {"conditions": [{}]})
    assert named["conditions"][0]["id"]


TARGETS: list[tuple[str, dict[str, Any] | None, dict[str, Any]]] = [
    ("generation", {"window_seconds": 5}, {}),
    ("trace", None, {"strategy": "fixed_window", "window_seconds": 1800}),
    ("trace", {"window_seconds": 10}, {"strategy": "fixed_window", "window_seconds": 10}),
    (
        "trace",
        {"strategy": "inactivity", "quiet_period_seconds": 1800},
        {"strategy": "inactivity", "quiet_period_seconds": 1800, "max_age_seconds": 7200},
    ),
    ("session", None, {"strategy": "inactivity", "quiet_period_seconds": 3600, "max_age_seconds": 86400}),
    (
        "session",
        {"strategy": "fixed_window", "window_seconds": 604800},
        {"strategy": "fixed_window", "window_seconds": 604800},
    ),
]


@pytest.mark.parametrize(("target", "config", "normal"), TARGETS)
async def test_targets(caller: Caller, target: str, config: dict[str, Any] | None, normal: dict[str, Any]) -> None:
    body = hog(target=target) if config is None else hog(target=target, target_config=config)

    made = await caller.ok("POST", "/evaluations", body)

    assert (made["target"], made["target_config"]) == (target, normal)


async def test_switching_the_target(caller: Caller) -> None:
    made = await caller.ok("POST", "/evaluations", hog(target="trace", target_config={"window_seconds": 60}))
    path = f"/evaluations/{made['id']}"

    session = await caller.ok("PATCH", path, {"target": "session"})
    assert session["target_config"] == TARGETS[4][2]
    trace = await caller.ok("PATCH", path, {"target": "trace", "target_config": {"window_seconds": 90}})
    assert trace["target_config"] == {"strategy": "fixed_window", "window_seconds": 90}
    assert (await caller.ok("PATCH", path, {"target": "trace"}))["target_config"] == trace["target_config"]
    assert (await caller.ok("PATCH", path, {"target": "generation"}))["target_config"] == {}
    assert (await caller.ok("PATCH", path, {"target_config": {"x": 1}}))["target_config"] == {}


@dataclass(frozen=True, slots=True)
class Listed:
    """Three evaluations with a word of their own in their names."""

    caller: Caller
    word: str
    ids: list[str] = field(default_factory=list[str])

    async def positions(self, **params: Any) -> list[int]:
        page = await self.caller.ok("GET", "/evaluations", params={"search": self.word, **params})
        return [self.ids.index(identity) for identity in found(page)]


@pytest.fixture
async def listed(caller: Caller) -> Listed:
    word = uuid4().hex
    bodies = (hog(name=f"b {word}", enabled=True), judge(name=f"c {word}"), hog(name=f"a {word}"))
    return Listed(caller, word, [(await caller.ok("POST", "/evaluations", body))["id"] for body in bodies])


@pytest.mark.parametrize(
    ("params", "positions"),
    [
        ({}, [2, 1, 0]),
        ({"order_by": "created_at"}, [0, 1, 2]),
        ({"order_by": "-created_at"}, [2, 1, 0]),
        ({"order_by": "updated_at"}, [0, 1, 2]),
        ({"order_by": "-updated_at,name"}, [2, 1, 0]),
        ({"order_by": "name"}, [2, 0, 1]),
        ({"order_by": "-name"}, [1, 0, 2]),
        ({"enabled": "true"}, [0]),
        ({"enabled": "TRUE"}, [0]),
        ({"enabled": "1"}, [0]),
        ({"enabled": "false"}, [2, 1]),
        ({"enabled": "0"}, [2, 1]),
        ({"enabled": "perhaps"}, [2, 1, 0]),
        ({"evaluation_type": "llm_judge"}, [1]),
        ({"evaluation_type": "hog", "enabled": "false"}, [2]),
        ({"directory_id": str(uuid4())}, []),
        ({"directory_id__isnull": "true"}, [2, 1, 0]),
        ({"directory_id__isnull": "false"}, []),
        ({"limit": 1, "offset": 1}, [1]),
    ],
)
async def test_lists(listed: Listed, params: dict[str, Any], positions: list[int]) -> None:
    assert await listed.positions(**params) == positions


async def test_lists_by_id(listed: Listed) -> None:
    assert await listed.positions(id__in=listed.ids[1]) == [1]
    assert await listed.positions(id__in=f"{listed.ids[0]},{listed.ids[2]},{uuid4()}") == [2, 0]
    assert await listed.positions(id__in=str(uuid4())) == []


async def test_search_looks_at_name_and_description_but_not_at_the_prompt(caller: Caller) -> None:
    word = uuid4().hex
    named = await caller.ok("POST", "/evaluations", hog(name=f"x {word.upper()}"))
    described = await caller.ok("POST", "/evaluations", hog(description=f"Ü {word} 100%"))
    await caller.ok("POST", "/evaluations", judge(evaluation_config={"prompt": word}))

    assert found(await caller.ok("GET", "/evaluations", params={"search": word})) == [described["id"], named["id"]]
    assert found(await caller.ok("GET", "/evaluations", params={"search": f"{word} 100%"})) == [described["id"]]
    assert found(await caller.ok("GET", "/evaluations", params={"search": f"{word} 1_0"})) == []
    assert named["id"] in found(await caller.ok("GET", "/evaluations", params={"search": "", "limit": 1000}))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("id__in=x", "invalid"),
        ("order_by=description", "invalid_choice"),
        ("evaluation_type=python", "invalid_choice"),
        ("directory_id=x", "invalid"),
    ],
)
async def test_faulty_queries(caller: Caller, query: str, code: str) -> None:
    error = await caller.refused(400, "GET", f"/evaluations/?{query}")

    assert (error["attr"], error["code"]) == (query.partition("=")[0], code)


async def test_pages_neither_skip_nor_repeat(listed: Listed) -> None:
    caller = listed.caller
    page = await caller.ok("GET", "/evaluations/", params={"search": listed.word, "limit": 2})
    assert (page["count"], page["previous"]) == (3, None)

    rest = await caller.ok("GET", httpx.URL(page["next"]).raw_path.decode())

    assert found(page) + found(rest) == listed.ids[::-1]
    assert rest["next"] is None


async def test_a_compact_list(listed: Listed) -> None:
    params = {"search": listed.word}
    page = await listed.caller.ok("GET", "/evaluations", params=params, headers={"X-PostHog-Client": "mcp"})

    assert set(page["results"][0]) == KEYS - {
        "evaluation_config",
        "output_config",
        "conditions",
        "model_configuration",
        "created_by",
        "deleted",
    }


async def test_soft_deletion(caller: Caller, program: dict[str, Any]) -> None:
    path = f"/evaluations/{program['id']}"

    refused = await caller.send("DELETE", path)
    assert (refused.status_code, refused.content) == (405, b"")
    assert await caller.ok("GET", path) == program
    assert (await caller.ok("PATCH", path, {"deleted": True}))["deleted"] is True
    assert program["id"] not in found(await caller.ok("GET", "/evaluations", params={"limit": 1000}))
    assert (await caller.refused(404, "GET", path))["code"] == "not_found"
    assert (await caller.ok("PATCH", path, {"name": "while deleted"}))["deleted"] is True
    assert (await caller.ok("PATCH", path, {"deleted": False}))["deleted"] is False
    assert (await caller.ok("GET", path))["name"] == "while deleted"


async def test_another_project_sees_and_changes_nothing(
    caller: Caller, stranger: Caller, program: dict[str, Any]
) -> None:
    path = f"/evaluations/{program['id']}"
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        await stranger.refused(404, method, path, hog() if method in ("PATCH", "PUT") else None)

    assert program["id"] not in found(await stranger.ok("GET", "/evaluations", params={"limit": 1000}))
    assert await caller.ok("GET", path) == program


async def test_anonymous_and_foreign(connect: Connect, caller: Caller, tenants: Tenants) -> None:
    await connect(None).refused(401, "GET", "/evaluations")
    made = await connect(tenants.other_organization).ok("POST", "/datasets", {"name": "theirs"})

    await caller.refused(403, "POST", f"/api/projects/{made['team']}/evaluations", hog())


@pytest.mark.parametrize("identity", ["nonsense", "6a387366-9252-426c-bedd-6cbade667e08", "{x}", "%00", "a" * 300])
async def test_ids_that_name_nothing(caller: Caller, identity: str) -> None:
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        error = await caller.refused(404, method, f"/evaluations/{identity}", {} if method != "GET" else None)
        assert error["code"] == "not_found"
        if identity.isalnum():
            assert identity[:64] in error["detail"]


async def test_a_body_that_a_form_carries(caller: Caller) -> None:
    form = {
        "name": "from a form",
        "enabled": "true",
        "evaluation_type": "hog",
        "evaluation_config": '{"source": "return 1 = 1"}',
        "output_type": "boolean",
        "conditions": '[{"id": "a"}]',
    }

    made = await caller.ok("POST", "/evaluations/", data=form)

    assert (made["name"], made["enabled"]) == ("from a form", True)
    assert made["evaluation_config"] == {"source": "return 1 = 1"}
    assert made["conditions"] == [{"id": "a", "rollout_percentage": 100, "properties": []}]
    error = await caller.refused(400, "POST", "/evaluations", data=form | {"conditions": "[{"})
    assert (error["attr"], error["code"]) == ("conditions", "invalid")
    error = await caller.refused(400, "POST", "/evaluations", data={"name": "a\0b"})
    assert error["attr"] == "name"
