"""The dialect's OpenAPI document: served, committed, and kept to under fuzzing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.dialects.overmind.conftest import Caller
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.dialects.overmind import openapi

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi" / "overmind.json"
EXAMPLES = 15
# Deleting the project would take the key from all that follows; its route is tested by the walk.
_PROJECT = {"DELETE /api/projects/{row_id}/", "PATCH /api/projects/{row_id}/", "PUT /api/projects/{row_id}/"}
# Protobuf, which `test_otlp` damages in its own way.
SPARED = _PROJECT | {"POST /api/v1/traces", "POST /api/otlp/v1/traces"}

SCHEMA: Any = schemathesis.openapi.from_dict(openapi.document())
OPERATIONS: list[Any] = [found for result in SCHEMA.get_all_operations() if (found := result.ok()).label not in SPARED]


def test_the_committed_document_is_up_to_date() -> None:
    assert COMMITTED.read_bytes() == openapi.render(), "run `make openapi`, and look at what changed"


def test_the_server_serves_it(live: LiveServer) -> None:
    for path in ("/openapi/overmind.json", "/api/schema/"):
        served = httpx.get(f"{live.url}{path}")
        assert served.json() == openapi.document()


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants) -> dict[str, str]:
    """Objects that bodies and paths may name, by field or resource."""
    headers = {"Authorization": f"Bearer {tenants.other_organization}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False, timeout=30.0) as http:
        caller = Caller(http)
        agent = await caller.agent()
        job = await caller.ok("POST", "/jobs/", {"status": "running"})
        dataset = await caller.ok("POST", "/datasets/", {"agent": agent["id"], "datapoints": [{}]})
    return {
        "project": agent["project"],
        "agent": agent["id"],
        "agents": agent["id"],
        "job": job["id"],
        "jobs": job["id"],
        "datasets": dataset["id"],
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_fuzzing_finds_no_fault(live: LiveServer, tenants: Tenants, objects: dict[str, str], operation: Any) -> None:
    """Whatever is sent is answered: with success, or with an error that is the sender's."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
        database=None,
    )
    def fuzz(case: Any) -> None:
        kind = case.path.split("/")[2]
        if case.method != "DELETE":
            case.path_parameters = {name: objects.get(kind, value) for name, value in case.path_parameters.items()}
        body: Any = case.body
        if isinstance(body, dict):
            case.body = {**body, **{name: value for name, value in objects.items() if name in body}}
        response = case.call(base_url=live.url, headers={"Authorization": f"Bearer {tenants.other_organization}"})
        assert response.status_code in {200, 201, 204, 301, 400, 401, 403, 404, 405, 413, 415}, response.text

    fuzz()
