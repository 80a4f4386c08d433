"""Every route of the dialect, found by walking it: who may not come in is told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from tests.dialects.overmind.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.core.projects.types import Scope
from assay.dialects.edge.route import MUTATING
from assay.dialects.overmind.app import routers
from assay.dialects.overmind.route import OpenRoute, OvermindRoute


@dataclass(frozen=True, slots=True)
class Target:
    """One verb of one route."""

    method: str
    route: OvermindRoute

    @property
    def id(self) -> str:
        return f"{self.method} {self.route.path}"

    @property
    def scope(self) -> Scope:
        found = (getattr(dependency.call, "scope", None) for dependency in self.route.dependant.dependencies)
        (scope,) = [scope for scope in found if isinstance(scope, Scope)]
        return scope

    @property
    def kind(self) -> str:
        return self.route.path.split("/")[2]


def _targets() -> list[Target]:
    found: list[Target] = []
    for router in routers():
        for route in router.routes:
            if not isinstance(route, OvermindRoute):
                # What sends a path without its slash on does nothing else.
                assert isinstance(route, Route)
                assert not route.path.endswith("/")
                continue
            if isinstance(route, OpenRoute):
                assert route.path in OPEN
                continue
            found += [Target(method, route) for method in sorted(route.methods or ())]
    return found


OPEN = frozenset({"/api/auth/register/", "/api/auth/token/", "/api/auth/token/refresh/"})
"""Where nobody is known yet."""
TARGETS = _targets()
OWNED = [target for target in TARGETS if "{" in target.route.path]
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants) -> dict[str, str]:
    """One object of each kind, by the name of its resource."""
    headers = {"Authorization": f"Bearer {tenants.all_scopes}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=30.0) as http:
        caller = Caller(http)
        project = await caller.project()
        agent = (await caller.agent())["id"]
        job = (await caller.ok("POST", "/jobs/", {"status": "completed"}))["id"]
        made: dict[str, tuple[str, dict[str, Any]]] = {
            "job-iterations": ("/job-iterations/", {"job": job, "iteration_name": "a"}),
            "prompts": ("/prompts/", {"agent": agent}),
            "suggestions": ("/suggestions/", {"agent": agent, "title": "t"}),
            "datasets": ("/datasets/", {"agent": agent, "datapoints": []}),
            "traces": ("/traces/", {"agent": agent, "trace_id": "t"}),
            "spans": ("/spans/", {"name": "s", "span_type": "llm_call"}),
            "auth": ("/auth/api-keys/", {"project": project}),
        }
        found = {kind: (await caller.ok("POST", path, body))["id"] for kind, (path, body) in made.items()}
    return {**found, "projects": project, "agents": agent, "jobs": job}


def _path(target: Target, objects: dict[str, str]) -> str:
    return target.route.path.format(row_id=objects.get(target.kind), project_id=objects["projects"])


def _body(target: Target) -> Any:
    return {} if target.method in MUTATING else None


@each_target
def test_each_route_asks_for_a_scope_that_fits(target: Target) -> None:
    assert target.scope.writes == (target.method in MUTATING)


@pytest.mark.parametrize("token", [None, "ovr_nobody_has_this_key_0123456789"])
@each_target
async def test_without_credentials(connect: Connect, objects: dict[str, str], target: Target, token: str) -> None:
    error = await connect(token).refused(401, target.method, _path(target, objects), _body(target))

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

    assert error == {"detail": "Not found.", "code": "not_found"}


@pytest.mark.parametrize(
    "target", [target for target in TARGETS if target.method == "GET"], ids=lambda target: target.id
)
async def test_lists_hold_nothing_of_another_project(
    connect: Connect, tenants: Tenants, objects: dict[str, str], target: Target
) -> None:
    if "{" in target.route.path or target.route.path.endswith(("/me/", "/services/")):
        return
    listed = await connect(tenants.other_project).ok("GET", target.route.path, params={"page_size": 100})

    assert objects[target.kind] not in [row["id"] for row in listed["results"]]
