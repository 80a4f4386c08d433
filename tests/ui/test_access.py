"""Who may see and do what, by page and by crafted request. No browser is needed: these are plain requests."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from starlette.routing import Route
from tests.support.live import LiveServer
from tests.support.tenants import Tenants
from tests.ui.world import World

from assay.core.accounts import service as accounts
from assay.core.accounts.service import FREE_FAILURES
from assay.core.projects.service import authenticate, create_project
from assay.core.projects.types import Role, Scope
from assay.db.session import transaction
from assay.ui.app import routes

PASSWORD = "correct horse battery"
ID = "01a216de7e49725fb8122dead97490a7"
OPEN = {("GET", "/signin"), ("POST", "/signin"), ("GET", "/assets/{name}")}


@dataclass(slots=True)
class Visitor:
    """A signed-in client, with what its forms need."""

    http: httpx.AsyncClient
    csrf: str = ""

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as a page of ours would."""
        return await self.http.post(path, data={"csrf": self.csrf, **fields})


@asynccontextmanager
async def visiting(live: LiveServer, **sign_in: str) -> AsyncGenerator[Visitor]:
    """Sign in with ``key``, or with ``email`` and ``password``."""
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": live.url}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=30) as http:
        answer = await http.post("/signin", data={"way": "key" if "key" in sign_in else "email", **sign_in})
        assert answer.status_code == 303, answer.text
        page = await http.get("/settings/account")
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
        assert found is not None, page.text
        yield Visitor(http, found[1])


async def add_account(live: LiveServer, tenants: Tenants, role: Role, email: str) -> None:
    """A person of the first organization; again is harmless."""

    async def add() -> None:
        async with transaction(live.runtime.sessions) as session:
            owner = await authenticate(session, tenants.delegating)
            known = {member.email for member in await accounts.members.list_members(session, owner)}
            if email not in known:
                await accounts.add_account(session, owner, name=role.value, email=email, role=role, password=PASSWORD)

    live.call(add())


def all_forms() -> list[Route]:
    return [route for route in routes() if "POST" in (route.methods or ()) and route.path != "/signin"]


def filled(path: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", ID, path)


def test_every_route_names_its_scope() -> None:
    without = {
        (method, route.path)
        for route in routes()
        for method in route.methods or ()
        if method != "HEAD" and not hasattr(route.endpoint, "scope")
    }
    assert without == OPEN
    for route in all_forms():
        scope: Scope | None = getattr(route.endpoint, "scope", None)
        changes_nothing = route.path in {"/signout", "/project", "/settings/account", "/evaluators/try"}
        assert changes_nothing or (scope is not None and scope.writes), route.path


async def test_a_stranger_is_asked_to_sign_in(live: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live.url, verify=False, headers={"Origin": live.url}) as http:
        for route in routes():
            for method in {"GET", "POST"} & set(route.methods or ()):
                if (method, route.path) not in OPEN:
                    answer = await http.request(method, filled(route.path))
                    assert answer.status_code == 303, f"{method} {route.path}"
                    assert answer.headers["location"].startswith("/signin"), f"{method} {route.path}"


async def test_a_viewer_changes_nothing_by_crafted_requests(live: LiveServer, tenants: Tenants) -> None:
    await add_account(live, tenants, Role.VIEWER, "viewer@example.com")
    async with visiting(live, email="viewer@example.com", password=PASSWORD) as viewer:
        for route in all_forms():
            if route.path in {"/signout", "/project", "/settings/account", "/evaluators/try"}:
                continue
            answer = await viewer.post(filled(route.path))
            assert answer.status_code == 403, f"{route.path}: {answer.status_code}"
        answer = await viewer.post("/evaluators/try", kind="llm_judge", prompt="x", output_kind="boolean")
        assert answer.status_code == 422


async def test_a_viewer_is_offered_no_change(live: LiveServer, tenants: Tenants, world: World) -> None:
    await add_account(live, tenants, Role.VIEWER, "viewer@example.com")
    async with visiting(live, email="viewer@example.com", password=PASSWORD) as viewer:
        for name, path in world.pages.items():
            answer = await viewer.http.get(path)
            if answer.status_code == 403:
                assert re.search("new|edit|form|add|queue", name), name
                continue
            assert answer.status_code == 200, name
            forms = set(re.findall(r'method="post" action="([^"]+)"', answer.text))
            allowed = {"/signout", "/project", "/settings/account"}
            assert {form for form in forms if not re.match(r"/datasets/\w+/items/\w+$", form)} <= allowed, name


async def test_another_projects_objects_are_invisible(live: LiveServer, tenants: Tenants, world: World) -> None:
    for key in (tenants.other_project, tenants.other_organization):
        async with visiting(live, key=key) as neighbour:
            for name, path in world.pages.items():
                if re.search(r"[0-9a-f]{32}|trace-", path):
                    answer = await neighbour.http.get(path)
                    if name == "new-schedule":  # a form, in which nothing of the others is to choose
                        assert "Support assistant" not in answer.text
                    else:
                        assert answer.status_code == 404, f"{name}: {answer.status_code}"


async def test_a_form_must_come_from_here(live: LiveServer, tenants: Tenants) -> None:
    async with visiting(live, key=tenants.all_scopes) as visitor:
        form = {"csrf": visitor.csrf, "name": "Renamed"}
        for headers in (
            {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "same-origin"},
            {"Origin": live.url, "Sec-Fetch-Site": "same-site"},
        ):
            answer = await visitor.http.post("/settings/project", data=form, headers=headers)
            assert answer.status_code == 403
        assert (await visitor.http.post("/settings/project", data={"name": "Renamed"})).status_code == 403
        wrong = {"csrf": "0" * 64, "name": "Renamed"}
        assert (await visitor.http.post("/settings/project", data=wrong)).status_code == 403
        assert "Renamed" not in (await visitor.http.get("/settings")).text


async def test_the_cookie_is_out_of_reach_and_ends_with_the_session(live: LiveServer, tenants: Tenants) -> None:
    headers = {"Origin": live.url}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False) as http:
        answer = await http.post("/signin", data={"way": "key", "key": tenants.all_scopes, "next": "//evil.example"})
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        token = http.cookies["assay_session"]
        page = await http.get("/")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert token not in page.text
        csrf = re.findall(r'name="csrf" value="([0-9a-f]{64})"', page.text)[0]
        await http.post("/signout", data={"csrf": csrf})
        http.cookies.set("assay_session", token)
        assert (await http.get("/")).status_code == 303


async def test_wrong_passwords_lock_an_account_for_a_while(live: LiveServer, tenants: Tenants) -> None:
    await add_account(live, tenants, Role.EDITOR, "guessed@example.com")
    async with httpx.AsyncClient(base_url=live.url, headers={"Origin": live.url}, verify=False, timeout=30) as http:

        async def attempt(email: str, password: str) -> httpx.Response:
            return await http.post("/signin", data={"way": "email", "email": email, "password": password})

        unknown = await attempt("nobody@example.com", PASSWORD)
        wrong = await attempt("guessed@example.com", "wrong password")
        for _ in range(FREE_FAILURES):
            assert (await attempt("guessed@example.com", "wrong password")).status_code == 401
        assert re.sub(r'value="[^"]*"', "", wrong.text) == re.sub(r'value="[^"]*"', "", unknown.text)
        locked = await attempt("guessed@example.com", PASSWORD)
        assert locked.status_code == 401
        assert "Wait a while" in locked.text


async def test_a_session_goes_no_further_than_its_key(live: LiveServer, tenants: Tenants, world: World) -> None:
    async with visiting(live, key=tenants.no_scopes) as visitor:
        assert (await visitor.http.get("/runs")).status_code == 403
        assert (await visitor.http.get(world.pages["run"])).status_code == 403
        assert (await visitor.http.get("/")).status_code == 200
    async with visiting(live, key=tenants.read_only) as reader:
        assert (await reader.http.get(world.pages["run"])).status_code == 200
        assert (await reader.post(f"{world.pages['run']}/delete")).status_code == 403


async def test_people_switch_projects_and_keys_do_not(live: LiveServer, tenants: Tenants) -> None:
    await add_account(live, tenants, Role.EDITOR, "editor@example.com")

    async def another_project() -> str:
        async with transaction(live.runtime.sessions) as session:
            owner = await authenticate(session, tenants.delegating)
            return str((await create_project(session, owner, name="Switched to")).id)

    other = live.call(another_project())
    async with visiting(live, email="editor@example.com", password=PASSWORD) as editor:
        assert (await editor.post("/project", project=other)).status_code == 303
        assert re.search(rf'value="{other}" selected', (await editor.http.get("/")).text)
        stranger = await live_project(live, tenants.other_organization)
        assert (await editor.post("/project", project=stranger)).status_code == 404
    async with visiting(live, key=tenants.all_scopes) as visitor:
        assert (await visitor.post("/project", project=other)).status_code == 403


async def live_project(live: LiveServer, key: str) -> str:
    async def find() -> str:
        async with live.runtime.sessions() as session:
            return str((await authenticate(session, key)).project_id)

    return live.call(find())


async def test_a_deactivated_member_is_out_at_once(live: LiveServer, tenants: Tenants) -> None:
    await add_account(live, tenants, Role.EDITOR, "leaver@example.com")
    async with (
        visiting(live, key=tenants.all_scopes) as owner,
        visiting(live, email="leaver@example.com", password=PASSWORD) as leaver,
    ):
        members = (await owner.http.get("/settings/members")).text
        row = next(part for part in members.split("<tr>") if "leaver@example.com" in part)
        address = re.findall(r'action="(/settings/members/\w+)"', row)[0]
        assert (await leaver.http.get("/runs")).status_code == 200
        assert (await owner.post(address, wanted="deactivate")).status_code == 303
        assert (await leaver.http.get("/runs")).status_code == 303


@pytest.mark.parametrize("path", ["/runs/nonsense", f"/runs/{ID}", f"/suites/{ID}", "/traffic/traces/none"])
async def test_what_is_not_there_is_a_page(path: str, live: LiveServer, tenants: Tenants) -> None:
    async with visiting(live, key=tenants.all_scopes) as visitor:
        answer = await visitor.http.get(path)
        assert answer.status_code == 404
        assert "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize("path", ["/nope", "/api/v1/nope"])
async def test_the_apis_keep_their_404(path: str, live: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live.url, verify=False) as http:
        answer = await http.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "not_found_error"
