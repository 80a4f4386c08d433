"""The dialect's OpenAPI document: served, committed, and kept to under fuzzing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks
from tests.dialects.posthog.conftest import ERROR_KEYS, Caller
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.dialects.posthog import openapi

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi" / "posthog.json"
EXAMPLES = 12
CHECKS: Any = [getattr(checks, "response_schema_conformance")]  # noqa: B009 - its type has unknown parts

SCHEMA: Any = schemathesis.openapi.from_dict(openapi.document())
# The second prefix has the same handlers, as the walk of all routes shows.
OPERATIONS: list[Any] = [
    operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
    if operation.path.startswith("/api/environments/")
]


def test_the_committed_document_is_up_to_date() -> None:
    assert COMMITTED.read_bytes() == openapi.render(), "run `make openapi`, and look at what changed"


def test_the_server_serves_it(live: LiveServer) -> None:
    served = httpx.get(f"{live.url}/openapi/posthog.json")

    assert served.status_code == 200
    assert served.json() == openapi.document()


@pytest.fixture(scope="module")
async def objects(live: LiveServer, tenants: Tenants, provider_url: str) -> dict[str, str]:
    """One object of each kind, so that what is fuzzed lies behind the first 404."""
    headers = {"Authorization": f"Bearer {tenants.other_organization}"}
    async with httpx.AsyncClient(base_url=live.url, headers=headers, verify=False) as http:
        caller = Caller(http)
        dataset = await caller.ok("POST", "/datasets/", {"name": "fuzzed"})
        item = await caller.ok("POST", "/dataset_items/", {"dataset": dataset["id"]})
        hog = {"evaluation_type": "hog", "evaluation_config": {"source": "return true"}, "output_type": "boolean"}
        evaluation = await caller.ok("POST", "/evaluations/", {"name": "fuzzed", **hog})
        secret = {"provider": "openai", "name": "fuzzed", "api_key": "sk-fuzzed", "base_url": provider_url}
        key = await caller.ok("POST", "/llm_analytics/provider_keys/", secret)
    return {
        "project_id": "@current",
        "dataset_id": dataset["id"],
        "item_id": item["id"],
        "evaluation_id": evaluation["id"],
        "key_id": key["id"],
        "backfill_id": str(uuid4()),
        "event_id": str(uuid4()),
        "trace_id": "t",
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_fuzzing_finds_no_fault(live: LiveServer, tenants: Tenants, objects: dict[str, str], operation: Any) -> None:
    """Whatever is sent is answered: with success as described, or with an error that is the sender's."""

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
        unknown = case.method == "DELETE" and "key_id" in case.path_parameters
        known = objects | ({"key_id": str(uuid4())} if unknown else {})
        case.path_parameters = {name: known[name] for name in case.path_parameters}
        response = case.call(base_url=live.url, headers={"Authorization": f"Bearer {tenants.other_organization}"})
        assert response.status_code < 500, response.text
        if response.status_code >= 400 and response.content:
            assert set(response.json()) >= ERROR_KEYS
        if response.status_code != 405:
            case.validate_response(response, checks=CHECKS)

    fuzz()
