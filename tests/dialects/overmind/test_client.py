"""The published ``overclaw`` client, unmodified, reports an optimisation; the job equals what was sent (O§5.2)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from tests.dialects.overmind.conftest import Caller
from tests.support import overclaw_run
from tests.support.live import LiveServer
from tests.support.overclaw_run import CASES, CODE, REPORT, SPEC
from tests.support.tenants import Tenants

pytestmark = pytest.mark.timeout(180)


async def test_a_whole_optimisation(live: LiveServer, tenants: Tenants, caller: Caller, tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "OVERMIND_API_URL": live.url + "/",
        "OVERMIND_API_TOKEN": tenants.other_organization,
        "OVERMIND_PROJECT_ID": await caller.project(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, overclaw_run.__file__, str(tmp_path), stdout=PIPE, stderr=PIPE, env=variables
    )
    output, errors = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, errors.decode()
    told = json.loads(output.splitlines()[-1])

    job = await caller.ok("GET", f"/jobs/{told['job']}/")
    assert job["agent"] == told["agent"]
    assert (job["status"], job["analyzer_model"], job["data_source"]) == ("completed", "anthropic/claude-x", "dataset")
    assert (job["num_iterations"], job["candidates_per_iteration"]) == (3, 2)
    assert (job["baseline_score"], job["best_score"], job["improvement"]) == (61.25, 81.3, 81.3 - 61.25)
    assert (job["report_markdown"], job["best_agent_code"]) == (REPORT, CODE)
    assert job["backtest_results"] == {
        "holdout": {"holdout_score": 80.0, "reverted": False, "rollback_iteration": None}
    }
    assert [
        (row["iteration_name"], row["avg_score"], row["status"], row["description"], row["agent_code"])
        for row in job["iterations"]
    ] == [
        (f"iter_{order:03d}", 60.0 + order * 7.1, "keep" if order == 3 else "discard", f"Change {order}", CODE * order)
        for order in (1, 2, 3)
    ]
    assert all(row["dimension_scores"] == {"avg_sum": 41.5} for row in job["iterations"])
    assert told["dataset"] == CASES
    assert told["spec"]["output_fields"] == SPEC["output_fields"]
    assert told["policy"] == "# Policy two"
    policies = await caller.ok("GET", "/prompts/", params={"agent": told["agent"]})
    assert policies["count"] == 1
    traces = await caller.ok("GET", "/traces/", params={"agent": told["agent"], "trace_group": "iter_001_c0"})
    assert traces["count"] == 6
    assert {row["job"] for row in traces["results"]} == {told["job"]}
    trace = await caller.ok("GET", f"/traces/{traces['results'][0]['id']}/")
    assert (trace["total_latency_ms"], trace["total_tokens"], trace["total_cost"]) == (12.5, 7, 0.001)
    spans = await caller.ok("GET", "/spans/", params={"trace": trace["id"]})
    assert spans["count"] == 1
