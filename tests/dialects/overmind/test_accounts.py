"""Signing in with a password, and what a person may see (O§1.1, O§2.5, O§2.8)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import update
from tests.dialects.overmind.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.core.accounts.models import SessionRow
from assay.core.accounts.service import FREE_FAILURES, add_account
from assay.core.projects import members
from assay.core.projects.authentication import Authenticator
from assay.core.projects.types import Role
from assay.db.session import transaction
from assay.kit.clock import utc_now

PASSWORD = "correct horse"
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Person:
    """Somebody of the other organization."""

    live: LiveServer
    anonymous: Caller
    email: str
    key: str

    async def sign_in(self, **more: Any) -> dict[str, str]:
        return await self.anonymous.ok(
            "POST", "/auth/token/", {"email": self.email, "password": PASSWORD, **more}, status=200
        )

    def change(self, **changes: Any) -> None:
        """Change the person as an owner would."""
        self.live.call(_change(self.live, self.key, self.email, **changes))


async def _change(live: LiveServer, key: str, email: str, *, role: Role | None = None) -> None:
    async with transaction(live.runtime.sessions) as session:
        owner = await Authenticator().authenticate(session, key)
        user_id = await members.find_user_by_email(session, email)
        assert user_id is not None
        if role is None:
            await members.deactivate_member(session, owner, user_id=user_id)
        else:
            await members.change_role(session, owner, user_id=user_id, role=role)


async def _add(live: LiveServer, key: str, email: str, role: Role) -> None:
    async with transaction(live.runtime.sessions) as session:
        owner = await Authenticator().authenticate(session, key)
        await add_account(session, owner, name="Bo", email=email, role=role, password=PASSWORD)


@pytest.fixture
def person(live: LiveServer, connect: Connect, tenants: Tenants) -> Person:
    """An admin with a password."""
    email = f"{uuid4().hex}@example.com"
    live.call(_add(live, tenants.other_organization, email, Role.ADMIN))
    return Person(live, connect(None), email, tenants.other_organization)


@pytest.fixture
async def registration(live: LiveServer) -> AsyncIterator[None]:
    """Registration is open while the test runs."""
    state = live.app.state.api
    live.app.state.api = replace(state, accounts=replace(state.accounts, registration=True))
    yield
    live.app.state.api = state


async def test_an_access_token_does_what_a_key_does(person: Person, connect: Connect) -> None:
    tokens = await person.sign_in()
    assert set(tokens) == {"access", "refresh"}
    caller = connect(tokens["access"])

    agent = await caller.agent()
    job = await caller.ok("POST", "/jobs/", {"agent": agent["id"], "status": "running"})
    assert (await caller.ok("PATCH", f"/jobs/{job['id']}/", {"status": "completed"}))["status"] == "completed"
    me = await caller.ok("GET", "/auth/me/")
    assert (me["email"], job["user"]) == (person.email, me["id"])


async def test_lifetimes(person: Person) -> None:
    tokens = await person.sign_in()
    claims = {name: jwt.decode(token, options={"verify_signature": False}) for name, token in tokens.items()}
    days = {name: (claim["exp"] - claim["iat"]) / 86_400 for name, claim in claims.items()}
    assert days == {"access": 1, "refresh": 7}


async def test_a_refresh_token_works_once_and_gives_both(person: Person, connect: Connect) -> None:
    first = await person.sign_in()
    second = await person.anonymous.ok("POST", "/auth/token/refresh/", {"refresh": first["refresh"]}, status=200)
    assert set(second) == {"access", "refresh"}
    assert second["refresh"] != first["refresh"]
    await connect(second["access"]).ok("GET", "/jobs/")

    error = await person.anonymous.refused(401, "POST", "/auth/token/refresh/", {"refresh": first["refresh"]})
    assert "used before" in error["detail"]
    for token in (first["access"], second["access"]):
        await connect(token).refused(401, "GET", "/jobs/")
    await person.anonymous.refused(401, "POST", "/auth/token/refresh/", {"refresh": second["refresh"]})


async def test_what_is_no_token_of_ours(person: Person, connect: Connect) -> None:
    tokens = await person.sign_in()
    header, body, signature = tokens["access"].split(".")
    claims = jwt.decode(tokens["access"], options={"verify_signature": False})
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    forged = [
        tokens["refresh"],
        f"{header}.{body}.{signature[::-1]}",
        f"{unsigned}.{body}.",
        jwt.encode(claims, "another key of thirty-two bytes or more"),
        "a.b.c",
        "..",
    ]
    for token in forged:
        error = await connect(token).refused(401, "GET", "/jobs/")
        assert error["code"] == "authentication_failed"
    for token in (tokens["access"], *forged[1:]):
        await person.anonymous.refused(401, "POST", "/auth/token/refresh/", {"refresh": token})


async def test_an_expired_token(person: Person, connect: Connect) -> None:
    tokens = await person.sign_in()
    session_id = jwt.decode(tokens["access"], options={"verify_signature": False})["sid"]

    async def expire() -> None:
        async with transaction(person.live.runtime.sessions) as session:
            past = utc_now() - timedelta(seconds=1)
            await session.execute(update(SessionRow).where(SessionRow.id == session_id).values(expires_at=past))

    person.live.call(expire())
    await connect(tokens["access"]).refused(401, "GET", "/jobs/")
    await person.anonymous.refused(401, "POST", "/auth/token/refresh/", {"refresh": tokens["refresh"]})


async def test_wrong_passwords_lock_an_account(person: Person) -> None:
    wrong = {"email": person.email, "password": "wrong password"}
    for _ in range(FREE_FAILURES + 1):
        error = await person.anonymous.refused(401, "POST", "/auth/token/", wrong)
        assert error["detail"] == "No active account found with the given credentials."
    error = await person.anonymous.refused(401, "POST", "/auth/token/", {**wrong, "password": PASSWORD})
    assert "Wait" in error["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "password"]),
        ({"email": 1, "password": None}, ["email", "password"]),
        ({"email": "a@example.com", "password": "x" * 129}, ["password"]),
        ({"email": "a\0@example.com", "password": "x"}, ["email"]),
    ],
    ids=str,
)
async def test_malformed_sign_ins(connect: Connect, body: dict[str, Any], fields: list[str]) -> None:
    assert sorted(await connect(None).refused(400, "POST", "/auth/token/", body)) == fields


async def test_a_large_body_of_nobody(connect: Connect) -> None:
    response = await connect(None).send("POST", "/auth/token/", {"email": "x" * 70_000, "password": "x"})
    assert response.status_code == 413


async def test_a_lowered_role_and_a_deactivated_person_are_felt_at_once(person: Person, connect: Connect) -> None:
    caller = connect((await person.sign_in())["access"])
    agent = await caller.agent()
    person.change(role=Role.VIEWER)
    await caller.ok("GET", f"/agents/{agent['id']}/")
    await caller.refused(403, "DELETE", f"/agents/{agent['id']}/")
    person.change()
    await caller.refused(401, "GET", f"/agents/{agent['id']}/")
    await person.anonymous.refused(401, "POST", "/auth/token/", {"email": person.email, "password": PASSWORD})


async def test_a_person_sees_all_projects_of_theirs(person: Person, connect: Connect, tenants: Tenants) -> None:
    caller = connect((await person.sign_in())["access"])
    name = f"Beta {uuid4().hex[:8]}"
    sent = {"name": name, "slug": "beta", "description": "d", "settings": {"a": 1}}
    made = await caller.ok("POST", "/projects/", sent)
    again = await caller.ok("POST", "/projects/", {"name": f"{name} 2", "slug": made["slug"]})
    assert {key: made[key] for key in ("name", "description", "settings")} == {
        key: sent[key] for key in ("name", "description", "settings")
    }
    assert again["slug"] not in ("", made["slug"])
    first = await connect(tenants.other_organization).project()
    listed = (await caller.ok("GET", "/projects/", params={"page_size": "100"}))["results"]
    assert {first, made["id"], again["id"]} <= {row["id"] for row in listed}
    assert [row["name"] for row in listed] == sorted(row["name"] for row in listed)
    found = await caller.ok("GET", "/projects/", params={"search": name, "ordering": "-name"})
    assert [row["id"] for row in found["results"]] == [again["id"], made["id"]]

    await caller.ok("PATCH", f"/projects/{again['id']}/", {"description": "other"})
    await caller.ok("DELETE", f"/projects/{again['id']}/")
    await caller.refused(404, "GET", f"/projects/{again['id']}/")

    there = {"X-Project-Id": made["id"]}
    agent = await caller.ok("POST", "/agents/", {"name": "a", "slug": "a", "project": made["id"]}, headers=there)
    await caller.ok("GET", f"/agents/{agent['id']}/", headers=there)
    await caller.refused(404, "GET", f"/agents/{agent['id']}/")
    chosen = connect((await person.sign_in(project=made["id"]))["access"])
    await chosen.ok("GET", f"/agents/{agent['id']}/")


async def test_another_organization_is_out_of_reach(person: Person, connect: Connect, tenants: Tenants) -> None:
    foreign = await connect(tenants.all_scopes).project()
    caller = connect((await person.sign_in())["access"])
    await caller.refused(404, "GET", "/jobs/", headers={"X-Project-Id": foreign})
    assert set(await caller.refused(400, "GET", "/jobs/", headers={"X-Project-Id": "x"})) == {"X-Project-Id"}
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "memberships/")):
        await caller.refused(404, method, f"/projects/{foreign}/{path}", None if method == "GET" else {})
    body = {"email": person.email, "password": PASSWORD, "project": foreign}
    assert set(await person.anonymous.refused(400, "POST", "/auth/token/", body)) == {"project"}


async def test_members(person: Person, connect: Connect, tenants: Tenants) -> None:
    caller = connect((await person.sign_in())["access"])
    project, me = await connect(tenants.other_organization).project(), await caller.ok("GET", "/auth/me/")
    path = f"/projects/{project}/memberships/"
    page = await caller.ok("GET", path, params={"page_size": "100"})
    (own,) = [row for row in page["results"] if row["user"] == me["id"]]
    assert set(own) == {"id", "project", "user", "user_email", "created_at", "updated_at"}
    assert (own["project"], own["user_email"]) == (project, person.email)

    assert await caller.ok("POST", path, {"user_id": me["id"]}) == own
    assert set(await caller.refused(400, "POST", path, {"user_id": 2**40})) == {"user_id"}
    stranger = await connect(tenants.all_scopes).ok("GET", "/auth/me/")
    assert set(await caller.refused(400, "POST", path, {"user_id": stranger["id"]})) == {"user_id"}
    assert "Settings" in (await caller.refused(403, "DELETE", f"{path}{own['id']}/"))["detail"]
    await caller.refused(404, "DELETE", f"{path}{NOBODY}/")
    person.change()
    listed = await connect(tenants.other_organization).ok("GET", path, params={"page_size": "100"})
    assert me["id"] not in [row["user"] for row in listed["results"]]


async def test_two_people_are_two_callers(live: LiveServer, connect: Connect, tenants: Tenants) -> None:
    """Equal requests of two people at once are two wishes, also with the same key."""
    made: list[str] = []
    for _ in range(2):
        email = f"{uuid4().hex}@example.com"
        live.call(_add(live, tenants.other_organization, email, Role.EDITOR))
        tokens = await connect(None).ok("POST", "/auth/token/", {"email": email, "password": PASSWORD}, status=200)
        headers = {"Idempotency-Key": "the same"}
        made.append(
            (await connect(tokens["access"]).ok("POST", "/jobs/", {"status": "running"}, headers=headers))["id"]
        )
    assert len(set(made)) == 2


async def test_registration_is_closed_unless_opened(connect: Connect) -> None:
    body = {"email": "a@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    error = await connect(None).refused(403, "POST", "/auth/register/", body)
    assert "ASSAY_ACCOUNTS_REGISTRATION" in error["detail"]


@pytest.mark.usefixtures("registration")
async def test_who_registers_has_an_organization_of_their_own(connect: Connect) -> None:
    email = f"{uuid4().hex}@Example.com"
    body = {"email": email, "password": "12345678", "password_confirm": "12345678"}
    made = await connect(None).ok("POST", "/auth/register/", body)
    assert set(made) == {"access", "refresh", "user"}
    assert made["user"] == {"id": made["user"]["id"], "email": email.lower(), "email_verified": False}
    caller = connect(made["access"])
    project = await caller.project()
    key = await caller.ok("POST", "/auth/api-keys/", {"project": project, "name": "ci"})
    assert await connect(key["key"]).project() == project
    assert [row["id"] for row in (await caller.ok("GET", "/auth/api-keys/"))["results"]] == [key["id"]]
    assert (await caller.ok("GET", "/jobs/"))["count"] == 0
    assert set(await connect(None).refused(400, "POST", "/auth/register/", body)) == {"email"}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"password": "1234567", "password_confirm": "1234567"}, ["password"]),
        ({"password_confirm": "another"}, ["password_confirm"]),
        ({"email": "no address"}, ["email"]),
        ({"email": None}, ["email"]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("registration")
async def test_malformed_registrations(connect: Connect, changes: dict[str, Any], fields: list[str]) -> None:
    body = {"email": "a@example.com", "password": PASSWORD, "password_confirm": PASSWORD, **changes}
    assert sorted(await connect(None).refused(400, "POST", "/auth/register/", body)) == fields
