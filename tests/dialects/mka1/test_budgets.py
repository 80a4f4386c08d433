"""The ceiling of a run over HTTP: a field of ours, which published clients neither send nor see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.live import LiveServer
from tests.support.mka1 import Client, make_suite
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

RUNS = "/api/v1/llm/evals/runs"


@pytest.fixture
def http(live: LiveServer, tenants: Tenants) -> Iterator[httpx.Client]:
    """Plain requests of the client's key."""
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {tenants.all_scopes}"}) as http:
        yield http


async def test_a_budget_needs_prices_and_may_be_raised(client: Client, http: httpx.Client) -> None:
    suite = await make_suite(client)
    body: dict[str, Any] = {"suite_id": suite.id, "models": ["openai/m"]}

    made = http.post(RUNS, json={**body, "budget_usd": 2.5}).json()
    plain = http.post(RUNS, json=body).json()

    def failed() -> Any:
        found = http.get(f"{RUNS}/{made['id']}").json()
        return found if found["status"] == "failed" else None

    ended = await eventually(failed, timeout=30)

    assert (made["budget_usd"], "budget_usd" in plain) == (2.5, False)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "unpriced_model")
    assert "openai/m" in ended["error"]["message"]
    retried = http.post(f"{RUNS}/{made['id']}/retry", json={"budget_usd": 7}).json()
    assert retried["budget_usd"] == 7


@pytest.mark.parametrize("budget", [0, -1, "x", [], 1e12])
async def test_a_budget_that_is_none(client: Client, http: httpx.Client, budget: Any) -> None:
    suite = await make_suite(client)

    response = http.post(RUNS, json={"suite_id": suite.id, "models": ["openai/m"], "budget_usd": budget})

    assert response.status_code in (400, 422), response.text
    assert "budget_usd" in response.text
