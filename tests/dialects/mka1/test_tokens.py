"""Counting the tokens of stored answers (M§2.10)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.dialects.mka1.conftest import Connect
from tests.support.agents import imported, make_tasks, trial
from tests.support.live import LiveServer
from tests.support.mka1 import Client
from tests.support.tenants import Tenants

from assay.core.projects.authentication import Authenticator
from assay.core.runs.measurement import measure_tokens
from assay.db.session import transaction
from assay.dialects.mka1.identifiers import Prefix, read_id

PATH = "/api/v1/llm/evals/suites"


async def old_run(live: LiveServer, client: Client, suite: Any) -> Any:
    """A run from before tokens were counted: one answer of 1 token with 2 of reasoning to a prompt of 2 tokens, an
    answer that the provider counted, and a trial without any text.
    """
    run = await imported(
        client,
        suite.id,
        trials=[
            trial("a", prompt="hello world", output_text="hello"),
            trial("a", output_text="text", input_tokens=100, output_tokens=10),
            trial("b"),
        ],
    )

    async def forget() -> None:
        async with transaction(live.runtime.sessions) as session:
            await session.execute(
                text(
                    "UPDATE run_samples SET input_tokens = NULL, output_tokens = NULL, tokens_estimated = false, "
                    "reasoning = 'hello world' WHERE run_id = :run_id AND tokens_estimated"
                ),
                {"run_id": UUID(run.id.removeprefix("eval_run_"))},
            )

    live.call(forget())
    return run


async def test_measuring(live: LiveServer, client: Client) -> None:
    suite = await make_tasks(client, "a", "b")
    runs = [await old_run(live, client, suite) for _ in range(3)]
    await imported(client, suite.id, finalize=False, trials=[trial("a", 0)])

    first = await client.call("evals.measure_suite_tokens", suite_id=suite.id, limit=2)
    assert (first.suite_id, first.measured_runs, first.measured_samples, first.remaining_runs) == (suite.id, 2, 2, 1)
    second = await client.call("evals.measure_suite_tokens", suite_id=suite.id)
    assert (second.measured_runs, second.measured_samples, second.remaining_runs) == (1, 1, 0)
    third = await client.call("evals.measure_suite_tokens", suite_id=suite.id)
    assert (third.measured_runs, third.measured_samples, third.remaining_runs) == (0, 0, 0)

    for made in runs:
        run = await client.call("evals.get_run", run_id=made.id)
        assert run.tokens.model_dump() == {"input": 102, "output": 13, "cached": None, "reasoning": 2}
        tokens = {"input": 102, "output": 13, "cached": None, "reasoning": 2, "estimated": True}
        assert run.metrics["by_task"]["a"]["tokens"] == tokens
        assert run.metrics["by_task"]["a"]["by_model"]["m"]["tokens"] == tokens
        assert run.metrics["by_task"]["b"]["tokens"]["input"] is None
        samples = (await client.call("evals.list_samples", run_id=run.id)).data
        assert [sample.tokens_estimated for sample in samples] == [True, False, False]
        assert [sample.input_tokens for sample in samples] == [2, 100, None]


async def test_a_call_ends_in_time_and_the_next_goes_on(live: LiveServer, client: Client, tenants: Tenants) -> None:
    suite = await make_tasks(client, "a", "b")
    await old_run(live, client, suite)

    async def measure(patience_seconds: float) -> tuple[int, int, int]:
        async with transaction(live.runtime.sessions) as session:
            caller = await Authenticator().authenticate(session, tenants.all_scopes)
            suite_id = read_id(Prefix.SUITE, suite.id, param="suite_id")
            found = await measure_tokens(session, caller, suite_id=suite_id, patience_seconds=patience_seconds)
            return found.runs, found.samples, found.remaining_runs

    assert live.call(measure(0)) == (0, 0, 1)
    assert live.call(measure(5)) == (1, 1, 0)


@pytest.mark.parametrize("limit", [0, 51, "x"])
async def test_bad_limits(client: Client, limit: Any) -> None:
    suite = await make_tasks(client, "a")

    answer = await client.raw("POST", f"{PATH}/{suite.id}/tokens/measure", json={"limit": limit})

    assert (answer.status, answer.json["error"]["param"]) == (400, "limit")


async def test_who_may(client: Client, outsider: Client, connect: Connect, tenants: Tenants) -> None:
    suite = await make_tasks(client, "a")

    await outsider.refused(404, "evals.measure_suite_tokens", suite_id=suite.id)
    await connect(tenants.read_only).refused(403, "evals.measure_suite_tokens", suite_id=suite.id)
