"""Every route of the application, found by walking it: who may not come in is told so, and nothing commits by itself.

A route that is added without a scope, outside the route class, or without an example of its path fails here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route
from tests.support.calibrations import calibrate, judged_run
from tests.support.live import LiveServer
from tests.support.mka1 import Answer, Client, Mode, check_envelope, make_suite, upload
from tests.support.tenants import Tenants

from assay.core.projects.types import Scope
from assay.dialects.edge.route import MUTATING, EdgeRoute
from assay.dialects.mka1.app import routers
from assay.dialects.overmind.app import routers as overmind_routers
from assay.dialects.posthog.app import capture_routers
from assay.dialects.posthog.app import routers as posthog_routers
from assay.ui.app import routes as page_routes

OPERATIONAL = frozenset(
    {"/healthz", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
    # What the overmind dialect shows to everybody.
    | {"/health", "/api/docs/", "/api/schema/"}
)
OPERATIONAL_PREFIX = "/openapi/"
WITHOUT_SCOPE = frozenset({"/api/v1/llm/models", "/api/v1/llm/models/{model_id:path}"})
"""The catalog belongs to the installation: every key may read it, and no key owns any of it."""

AGENTS = "/api/v1/agents"
RESPONSES = "/api/v1/llm/responses"
CONVERSATIONS = "/api/v1/llm/conversations"

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/llm/evals/suites"): {"json": {"name": "s", "manifest": {}}},
    ("POST", "/api/v1/llm/evals/suites/{suite_id}/versions"): {"json": {"manifest": {}}},
    ("POST", "/api/v1/llm/evals/runs"): {"json": {"suite_id": "{suite_id}", "models": ["openai/m"]}},
    ("POST", "/api/v1/llm/evals/suites/{suite_id}/shares"): {"json": {"org_id": f"org_{'0' * 32}"}},
    ("POST", "/api/v1/llm/evals/suites/{suite_id}/tokens/measure"): {"json": {}},
    ("POST", "/api/v1/llm/evals/runs/{run_id}/trials"): {"json": {"trials": []}},
    ("PUT", "/api/v1/llm/evals/runs/{run_id}/samples/{sample_index}/trajectory"): {"json": {"steps": []}},
    ("POST", "/api/v1/llm/evals/labels"): {
        "json": {"labels": [{"subject": {"kind": "event", "id": "0" * 32}, "metric": "score", "value": 1}]}
    },
    ("POST", "/api/v1/llm/evals/labels/import"): {"json": {"file_id": f"file_{'0' * 32}"}},
    ("POST", "/api/v1/llm/evals/calibrations"): {"json": {"judge_version": "v"}},
    ("PATCH", "/api/v1/llm/evals/schedules/{schedule_id}"): {"json": {}},
    ("POST", "/api/v1/llm/evals/imports/agent-run"): {
        "json": {"suite_id": "{suite_id}", "agent_name": "a", "model": "m"}
    },
    ("POST", "/api/v1/llm/evals/imports/huggingface-results"): {"json": {}, "headers": {"X-HuggingFace-Token": "t"}},
    ("POST", "/api/v1/llm/evals/schedules"): {
        "json": {"suite_id": "{suite_id}", "name": "s", "run": {"models": ["openai/m"]}, "interval_seconds": 86_400}
    },
    ("POST", AGENTS): {"json": {"name": "a", "model": "openai/m"}},
    ("POST", f"{AGENTS}/{{agent_id}}"): {"json": {"name": "b"}},
    ("POST", f"{AGENTS}/function-tools"): {"json": {"type": "function", "name": "f", "parameters": {}}},
    ("POST", f"{AGENTS}/function-tools/{{tool_id}}"): {"json": {"type": "function", "name": "f", "parameters": {}}},
    ("POST", f"{AGENTS}/{{agent_id}}/runs"): {"json": {"input": "hello"}},
    ("POST", f"{AGENTS}/{{agent_id}}/runs/{{run_id}}/wake"): {"json": {"input": "hello"}},
    ("POST", f"{AGENTS}/{{agent_id}}/runs/{{run_id}}/mcp-approvals"): {
        "json": {"approval_request_id": "mcpr_1", "approve": True}
    },
    ("POST", f"{AGENTS}/{{agent_id}}/schedules"): {
        "json": {"schedule": {"type": "interval", "interval_seconds": 86_400}, "input": "hello"}
    },
    ("POST", f"{AGENTS}/{{agent_id}}/schedules/{{schedule_id}}"): {"json": {"name": "b"}},
    ("POST", RESPONSES): {"json": {"model": "openai/m", "input": "hello"}},
    ("POST", f"{RESPONSES}/{{response_id}}"): {"json": {"metadata": {}}},
    ("POST", f"{RESPONSES}/{{response_id}}/wake"): {"json": {"input": "hello"}},
    ("POST", CONVERSATIONS): {"json": {}},
    ("POST", f"{CONVERSATIONS}/{{conversation_id}}"): {"json": {"metadata": {}}},
    ("POST", f"{CONVERSATIONS}/{{conversation_id}}/items"): {"json": {"items": [{"role": "user", "content": "x"}]}},
    ("POST", "/api/v1/llm/embeddings"): {"json": {"model": "simulator/embedding", "input": "hello"}},
    ("POST", "/api/v1/llm/files"): {"files": {"file": ("a.txt", b"x")}, "data": {"purpose": "evals"}},
}
"""Bodies that pass validation, so that what refuses a call is what the test is about."""


@dataclass(frozen=True, slots=True)
class Target:
    """One verb of one route."""

    method: str
    route: EdgeRoute

    @property
    def id(self) -> str:
        return f"{self.method} {self.route.path}"


def targets() -> Iterator[Target]:
    for router in routers():
        for route in router.routes:
            assert isinstance(route, EdgeRoute), f"{route} has neither transaction nor authentication"
            for method in sorted(route.methods or ()):
                yield Target(method, route)


TARGETS = list(targets())
SCOPED = [target for target in TARGETS if target.route.path not in WITHOUT_SCOPE]
OWNED = [target for target in SCOPED if "{" in target.route.path and target.route.name != "create_suite_version"]
"""Without the one route whose body, a whole manifest, is checked before the suite is looked up: see ``test_suites``."""
_READABLE = {target.route.path for target in OWNED if target.method == "GET"}
DELETIONS = [target for target in OWNED if target.method == "DELETE" and target.route.path in _READABLE]
ids = [target.id for target in TARGETS]


def all_routes(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Every (verb, path) that the application answers to, shown in the document or not."""
    for route in routes:
        included: APIRouter | None = getattr(route, "original_router", None)
        if included is not None:
            yield from all_routes(included.routes)
        elif isinstance(route, Route):
            yield from ((method, route.path_format) for method in route.methods or () if method != "HEAD")
        else:
            raise AssertionError(f"{route!r} is of a kind that this walk does not know")


def scopes_of(route: APIRoute) -> set[Scope]:
    """The scopes that a route's dependencies ask for."""
    found = (getattr(dependency.call, "scope", None) for dependency in route.dependant.dependencies)
    return {scope for scope in found if isinstance(scope, Scope)}


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants) -> dict[str, str]:
    """One object of each kind in the first project, by the name of its path parameter."""
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        suite = await make_suite(client)
        run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])
        await client.finished(run.id)
        file = await upload(client, b"x", purpose="user_data")
        schedule = await client.call(
            "evals.create_schedule",
            name="s",
            suite_id=suite.id,
            run={"models": ["openai/m"]},
            interval_seconds=86_400,
        )
        agent = await client.call("agents.create_agent", name="a", model="openai/m")
        tool = await client.call("agents.create_function_tool", type_="function", name="f", parameters={})
        agent_run = await client.call("agent_runs.create_agent_run", agent_id=agent.id, input="hello")
        agent_schedule = await client.call(
            "agent_schedules.create_agent_schedule",
            agent_id=agent.id,
            schedule={"type": "interval", "interval_seconds": 86_400},
            input="hello",
        )
        response = await client.ask("responses.create", model="openai/m", input="hello")
        conversation = await client.ask("conversations.create", items=[{"role": "user", "content": "x", "id": "msg_1"}])
        judged = await judged_run(client)
        calibration = await calibrate(client, judged)
    return {
        "agent_id": agent.id,
        "response_id": response.id,
        "conversation_id": conversation.id,
        "item_id": "msg_1",
        "tool_id": tool.id,
        f"{AGENTS}run_id": agent_run.id,
        f"{AGENTS}schedule_id": agent_schedule.id,
        "suite_id": suite.id,
        "run_id": run.id,
        "file_id": file.id,
        "version": "1",
        "model_id": "nobody/knows",
        "sample_index": "0",
        "org_id": f"org_{'0' * 32}",
        "schedule_id": schedule.id,
        "calibration_id": calibration["id"],
        "label_id": calibration["label_id"],
        "delivery_id": f"evt_{'0' * 32}",
    }


def objects_for(path: str, objects: dict[str, str]) -> dict[str, str]:
    """Runs and schedules of agents are other objects than those of suites, by the same parameters' names."""
    if not path.startswith(AGENTS):
        return objects
    return objects | {name.removeprefix(AGENTS): value for name, value in objects.items() if name.startswith(AGENTS)}


async def send(url: str, target: Target, objects: dict[str, str], token: str | None) -> Answer:
    path = target.route.path.replace(":path", "")
    arguments = BODIES.get((target.method, target.route.path), {})
    if arguments.get("json", {}).get("suite_id"):
        arguments = {"json": {**arguments["json"], "suite_id": objects["suite_id"]}}
    async with Client(url, token, mode=Mode.ASYNC) as client:
        return await client.raw(target.method, path.format(**objects_for(path, objects)), **arguments)


def test_no_route_is_forgotten(live: LiveServer) -> None:
    known = {(target.method, target.route.path_format) for target in TARGETS}
    # These have a walk of their own, in their dialect's tests.
    elsewhere = (*posthog_routers(), *capture_routers(), *overmind_routers())
    known |= {endpoint for router in elsewhere for endpoint in all_routes(router.routes)}
    known |= set(all_routes(page_routes()))

    others = {path for verb, path in all_routes(live.app.routes) if (verb, path) not in known}

    assert known <= set(all_routes(live.app.routes))
    assert {path for path in others if not path.startswith(OPERATIONAL_PREFIX)} <= OPERATIONAL


@pytest.mark.parametrize("target", SCOPED, ids=lambda target: target.id)
def test_each_route_asks_for_one_scope_that_fits(target: Target) -> None:
    scopes = scopes_of(target.route)

    assert len(scopes) == 1, "give the route a caller with a scope"
    assert scopes.pop().writes == (target.method in MUTATING)


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_no_route_commits_by_itself(target: Target) -> None:
    source = inspect.getsource(target.route.endpoint)

    assert ".commit(" not in source
    assert ".rollback(" not in source


@pytest.mark.parametrize("token", [None, "mk-nobody-has-this-key-0123456789"])
@pytest.mark.parametrize("target", TARGETS, ids=ids)
async def test_without_credentials(live: LiveServer, objects: dict[str, str], target: Target, token: str) -> None:
    answer = await send(live.url, target, objects, token)

    assert answer.status == 401
    check_envelope(answer)


@pytest.mark.parametrize("target", SCOPED, ids=lambda target: target.id)
async def test_without_the_scope(live: LiveServer, tenants: Tenants, objects: dict[str, str], target: Target) -> None:
    answer = await send(live.url, target, objects, tenants.no_scopes)

    assert answer.status == 403
    scope = scopes_of(target.route).pop()
    assert scope.value in check_envelope(answer)["message"]
    if scope.writes:
        assert (await send(live.url, target, objects, tenants.read_only)).status == 403


@pytest.mark.parametrize("tenant", ["other_project", "other_organization"])
@pytest.mark.parametrize("target", OWNED, ids=lambda target: target.id)
async def test_objects_of_another_project(
    live: LiveServer, tenants: Tenants, objects: dict[str, str], target: Target, tenant: str
) -> None:
    answer = await send(live.url, target, objects, getattr(tenants, tenant))

    assert answer.status == 404
    check_envelope(answer)


async def test_operational_routes_need_no_key(live: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live.url) as http:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi/mka1.json"):
            assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("target", DELETIONS, ids=lambda target: target.id)
async def test_a_refused_deletion_deletes_nothing(
    live: LiveServer, tenants: Tenants, objects: dict[str, str], target: Target
) -> None:
    for token in (tenants.read_only, tenants.other_project):
        await send(live.url, target, objects, token)

    assert (await send(live.url, Target("GET", target.route), objects, tenants.all_scopes)).status == 200
