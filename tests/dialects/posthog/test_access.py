"""Every route of the dialect, found by walking it: who may not come in is told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.core.projects.types import Scope
from assay.dialects.edge.route import MUTATING
from assay.dialects.posthog.app import routers
from assay.dialects.posthog.route import PREFIXES, PosthogRoute, ReadingRoute


@dataclass(frozen=True, slots=True)
class Target:
    """One verb of one route."""

    method: str
    route: PosthogRoute

    @property
    def id(self) -> str:
        return f"{self.method} {self.route.path}"

    @property
    def scope(self) -> Scope:
        found = (getattr(dependency.call, "scope", None) for dependency in self.route.dependant.dependencies)
        (scope,) = [scope for scope in found if isinstance(scope, Scope)]
        return scope


def _targets() -> list[Target]:
    found: list[Target] = []
    for router in routers():
        for route in router.routes:
            assert isinstance(route, PosthogRoute), f"{route} has neither transaction nor authentication"
            found += [Target(method, route) for method in sorted(route.methods or ())]
    return found


TARGETS = _targets()
OWNED = [target for target in TARGETS if target.route.path.count("{") > 1]
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants, provider_url: str) -> dict[str, str]:
    """One object of each kind in the first project, by the name of its path parameter."""
    headers = {"Authorization": f"Bearer {tenants.all_scopes}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False) as http:
        caller = Caller(http)
        dataset = await caller.ok("POST", "/datasets/", {"name": "d"})
        item = await caller.ok("POST", "/dataset_items/", {"dataset": dataset["id"]})
        hog = {"evaluation_type": "hog", "evaluation_config": {"source": "return true"}, "output_type": "boolean"}
        evaluation = await caller.ok("POST", "/evaluations/", {"name": "e", **hog})
        secret = {"provider": "openai", "name": "k", "api_key": "sk-walk", "base_url": provider_url}
        key = await caller.ok("POST", "/llm_analytics/provider_keys/", secret)
        path = f"/evaluations/{evaluation['id']}/backfills"
        backfill = await caller.ok("POST", path, {"after": "2026-01-01T00:00:00Z"})
        event_id, trace_id = str(uuid4()), uuid4().hex
        event = {"uuid": event_id, "event": "$ai_trace", "distinct_id": "ann", "properties": {"$ai_trace_id": trace_id}}
        sent = await http.post("/batch/", json={"api_key": tenants.capture_token, "batch": [event]})
        assert sent.status_code == 200, sent.text
    return {
        "project_id": "@current",
        "dataset_id": dataset["id"],
        "item_id": item["id"],
        "evaluation_id": evaluation["id"],
        "key_id": key["id"],
        "backfill_id": backfill["id"],
        "event_id": event_id,
        "trace_id": trace_id,
    }


def _path(target: Target, objects: dict[str, str]) -> str:
    return target.route.path.format(**objects)


def _body(target: Target) -> Any:
    return {} if target.method in MUTATING else None


def test_both_prefixes_have_every_route_with_and_without_a_slash() -> None:
    def under(prefix: str) -> set[tuple[str, str]]:
        paths = {(target.method, target.route.path) for target in TARGETS}
        return {(method, path.removeprefix(prefix)) for method, path in paths if path.startswith(prefix)}

    first, second = map(under, PREFIXES)
    assert first == second
    assert {(method, path.rstrip("/")) for method, path in first if path.endswith("/")} == {
        (method, path) for method, path in first if not path.endswith("/")
    }


@each_target
def test_each_route_asks_for_a_scope_that_fits(target: Target) -> None:
    assert isinstance(target.route, APIRoute)
    reads = target.method not in MUTATING or isinstance(target.route, ReadingRoute)
    assert target.scope.writes != reads


@pytest.mark.parametrize("token", [None, "phx_nobody_has_this_key_0123456789"])
@each_target
async def test_without_credentials(connect: Connect, objects: dict[str, str], target: Target, token: str) -> None:
    error = await connect(token).refused(401, target.method, _path(target, objects), _body(target))

    assert error["type"] == "authentication_error"
    assert error["code"] == ("not_authenticated" if token is None else "authentication_failed")


@each_target
async def test_without_the_scope(connect: Connect, tenants: Tenants, objects: dict[str, str], target: Target) -> None:
    error = await connect(tenants.no_scopes).refused(403, target.method, _path(target, objects), _body(target))

    assert error["code"] == "permission_denied"
    assert target.scope.value in error["detail"]
    if target.scope.writes:
        await connect(tenants.read_only).refused(403, target.method, _path(target, objects), _body(target))


@pytest.mark.parametrize("tenant", ["other_project", "other_organization"])
@pytest.mark.parametrize("target", OWNED, ids=lambda target: target.id)
async def test_objects_of_another_project(
    connect: Connect, tenants: Tenants, objects: dict[str, str], target: Target, tenant: str
) -> None:
    error = await connect(getattr(tenants, tenant)).refused(404, target.method, _path(target, objects), _body(target))

    assert error["code"] == "not_found"


@each_target
async def test_another_project_in_the_path(
    caller: Caller, stranger: Caller, objects: dict[str, str], target: Target
) -> None:
    number = (await stranger.ok("POST", "/datasets", {"name": "theirs"}))["team"]

    await caller.refused(403, target.method, _path(target, objects | {"project_id": str(number)}), _body(target))
    path = _path(target, objects | {"project_id": "999999999"})
    error = await caller.refused(404, target.method, path, _body(target))
    assert "Project not found" in error["detail"]


@pytest.mark.parametrize("project", ["99999999999999999999", "default", "-1", "1.0", "٣", "0"])
async def test_projects_that_no_number_names(caller: Caller, project: str) -> None:
    error = await caller.refused(404, "GET", f"/api/environments/{project}/datasets/")

    assert "Project not found" in error["detail"]
