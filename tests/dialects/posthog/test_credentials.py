"""Keys in the places where older clients put them (P§1.2)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.posthog.conftest import Connect
from tests.support.tenants import Tenants

from assay.dialects.edge.bodies import MAX_JSON_BYTES


async def test_a_key_in_the_query(connect: Connect, tenants: Tenants) -> None:
    nobody = connect(None)
    key = {"personal_api_key": tenants.all_scopes}

    made = await nobody.ok("POST", "/datasets/", {"name": "by query"}, params=key)
    await nobody.ok("POST", "/datasets/", {"name": "another"}, params=key)

    assert (await nobody.ok("GET", f"/datasets/{made['id']}/", params=key))["name"] == "by query"
    for path in ("/datasets/", "/events/"):
        page = await nobody.ok("GET", path, params=key | {"limit": 1})
        assert tenants.all_scopes not in str(page)


async def test_a_key_in_the_body(connect: Connect, tenants: Tenants) -> None:
    nobody = connect(None)
    body = {"name": "by body", "personal_api_key": tenants.all_scopes}

    made = await nobody.ok("POST", "/datasets/", body)
    changed = await nobody.send(
        "PATCH", f"/datasets/{made['id']}/", {"name": "changed", "personal_api_key": tenants.all_scopes}
    )

    assert (changed.status_code, changed.json()["name"]) == (200, "changed")
    assert tenants.all_scopes not in str(made)


async def test_the_header_counts_first(connect: Connect, tenants: Tenants) -> None:
    body = {"name": "d", "personal_api_key": tenants.all_scopes}
    error = await connect("phx_wrong").refused(401, "POST", "/datasets/", body)
    assert error["code"] == "authentication_failed"
    await connect(tenants.no_scopes).refused(403, "GET", "/datasets/", params={"personal_api_key": tenants.all_scopes})


@pytest.mark.parametrize(
    "arguments",
    [
        {"params": {"personal_api_key": ""}},
        {"json": {"personal_api_key": ""}},
        {"json": {"personal_api_key": 7}},
        {"json": [1]},
        {"content": b"{"},
        {"content": b"\xff"},
        {},
    ],
)
async def test_no_key_anywhere(connect: Connect, arguments: dict[str, Any]) -> None:
    error = await connect(None).refused(401, "POST", "/datasets/", **arguments)
    assert error["code"] == "not_authenticated"


async def test_keys_that_are_wrong(connect: Connect, tenants: Tenants) -> None:
    nobody = connect(None)
    for arguments in (
        {"params": {"personal_api_key": "phx_wrong"}},
        {"content": b'{"name": "d", "personal_api_key": "\\u0000"}'},
        {"content": b'{"name": "d", "personal_api_key": "\\ud800"}'},
        {"json": {"name": "d", "personal_api_key": tenants.capture_token}},
    ):
        error = await nobody.refused(401, "POST", "/datasets/", **arguments)
        assert error["code"] in ("authentication_failed", "not_authenticated")
    await nobody.refused(413, "POST", "/datasets/", content=b" " * (MAX_JSON_BYTES + 1))
