"""What holds for all of the dialect: credentials, slashes, media types, forms of errors (O§1)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.dialects.overmind.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": "{key}"},
        {"Authorization": "Bearer {key}"},
        {"Authorization": "Api-Key {key}"},
        {"X-Api-Key": "{key}", "Authorization": "Bearer nonsense"},
    ],
    ids=str,
)
async def test_keys_in_both_headers(live: LiveServer, tenants: Tenants, headers: dict[str, str]) -> None:
    given = {name: value.format(key=tenants.other_organization) for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=live.url) as http:
        assert (await http.get("/api/jobs/", headers=given)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "not_authenticated"),
        ({"Authorization": "Basic abc"}, "not_authenticated"),
        ({"Authorization": "Bearer ovr_unknown"}, "authentication_failed"),
        ({"X-Api-Key": "ovr_unknown"}, "authentication_failed"),
    ],
    ids=str,
)
async def test_who_is_not_known(live: LiveServer, headers: dict[str, str], code: str) -> None:
    async with httpx.AsyncClient(base_url=live.url) as http:
        response = await http.get("/api/jobs/", headers=headers)

    assert response.status_code == 401
    assert response.json()["code"] == code
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_key_is_shown_once_and_can_be_revoked(caller: Caller, connect: Connect) -> None:
    project = await caller.project()
    made = await caller.ok("POST", "/auth/api-keys/", {"project": project, "name": "ci", "expires_in_days": 3})
    assert made["key"].startswith("ovr_")
    assert made["key"].startswith(made["prefix"])
    assert len(made["prefix"]) <= 12
    other = connect(made["key"])
    assert await other.project() == project

    listed = await caller.ok("GET", "/auth/api-keys/")
    (row,) = [row for row in listed["results"] if row["id"] == made["id"]]
    assert "key" not in row
    assert (row["is_active"], row["project"]) == (True, project)
    assert isinstance((await other.ok("GET", "/auth/me/"))["id"], int)
    await caller.ok("DELETE", f"/auth/api-keys/{made['id']}/")
    assert made["id"] not in [row["id"] for row in (await caller.ok("GET", "/auth/api-keys/"))["results"]]
    await caller.refused(404, "DELETE", "/auth/api-keys/00000000-0000-4000-8000-000000000000/")


@pytest.mark.parametrize("body", [{"project": "{other}"}, {}, {"project": "x"}], ids=str)
async def test_keys_are_of_the_keys_project(caller: Caller, stranger: Caller, body: dict[str, str]) -> None:
    other = await stranger.project()
    sent = {name: value.format(other=other) for name, value in body.items()}

    assert list(await caller.refused(400, "POST", "/auth/api-keys/", sent)) == ["project"]


async def test_paths_without_their_slash(caller: Caller) -> None:
    response = await caller.send("GET", "/jobs?page_size=3")
    assert response.status_code == 301
    assert response.headers["location"].endswith("/api/jobs/?page_size=3")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await caller.refused(404, method, "/jobs"))["detail"] == "Not found."


async def test_forms_of_errors(caller: Caller) -> None:
    json_headers = {"Content-Type": "application/json"}
    malformed = await caller.refused(400, "POST", "/jobs/", content=b'{"status": ', headers=json_headers)
    assert malformed["detail"].startswith("JSON parse error - ")
    for body in (b"[]", b"3", b'"x"', b"null"):
        fault = await caller.refused(400, "POST", "/jobs/", content=body, headers=json_headers)
        assert list(fault) == ["non_field_errors"]
    plain = await caller.refused(415, "POST", "/jobs/", content=b"{}", headers={"Content-Type": "text/plain"})
    assert "text/plain" in plain["detail"]
    response = await caller.send("DELETE", "/jobs/")
    assert response.status_code == 405
    assert "GET" in response.headers["allow"] or "POST" in response.headers["allow"]
    assert response.json()["detail"]
    assert (await caller.refused(404, "GET", "/jobs/nothing/of/the/kind/"))["detail"] == "Not found."
    several = await caller.refused(400, "POST", "/job-iterations/", {"order": "1"})
    assert set(several) == {"job", "iteration_name", "order"}


async def test_faults_in_lists_keep_their_nesting(caller: Caller) -> None:
    agent = await caller.agent()
    points: list[Any] = [{}, {"order": -1, "persona": "x" * 129}, 5]

    fault = await caller.refused(400, "POST", "/datasets/", {"agent": agent["id"], "datapoints": points})

    assert set(fault) == {"datapoints"}
    assert fault["datapoints"][0] == {}
    assert set(fault["datapoints"][1]) == {"order", "persona"}


async def test_open_routes(live: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live.url) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()) == (200, {"status": "healthy"})
        assert (await http.get("/api/schema/")).json()["openapi"].startswith("3")
        assert "text/html" in (await http.get("/api/docs/")).headers["content-type"]
