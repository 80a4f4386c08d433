"""The published ``overclaw`` client reports one whole optimisation; called in a process of its own.

Its requests run in threads and an event loop that it never ends, so it is kept out of the tests' process. Reads where
to report from its own variables (``OVERMIND_API_URL``, ``OVERMIND_API_TOKEN``), writes what it sent as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

# The library carries no types.
CLIENT: Any = importlib.import_module("overclaw.client")
STORAGE: Any = importlib.import_module("overclaw.storage.api")

SPEC: dict[str, Any] = {
    "agent_description": "Adds numbers.",
    "input_schema": {"a": {"type": "number"}},
    "output_fields": {"sum": {"type": "number", "weight": 80, "tolerance": 0.5}},
    "structure_weight": 20,
    "total_points": 100,
    "optimizable_elements": ["system_prompt"],
    "fixed_elements": [],
}
CASES = [{"input": {"a": number, "b": 1}, "expected_output": {"sum": number + 1}} for number in range(12)]
REPORT = "# Report\n\n| Iteration | Score |\n|---|---|\n| 1 | 80.5 |\n"
CODE = '\nSYSTEM = """Add."""\n\n\ndef run(inputs):\n    return {"sum": inputs["a"] + inputs["b"]}\n'


def main(folder: Path) -> None:
    """Report everything, wait until it has arrived."""
    path = folder / "adder" / "agent.py"
    path.parent.mkdir(parents=True)
    path.write_text(CODE, encoding="utf-8")
    client = CLIENT.get_client()
    agent = CLIENT.upsert_agent(client, os.environ["OVERMIND_PROJECT_ID"], str(path), SPEC)
    storage = STORAGE.ApiBackend(agent_id=str(agent.id), agent_path=str(path), client=client)
    storage.save_spec(SPEC)
    storage.save_dataset(CASES)
    for text in ("# Policy one", "# Policy two"):
        storage.save_policy(text)
    reporter = CLIENT.ApiReporter.create(
        str(agent.id), "anthropic/claude-x", num_iterations=3, candidates_per_iteration=2
    )
    assert reporter is not None, "the job was not created"
    reporter.on_baseline(61.25)
    for number in range(6):
        span: dict[str, Any] = {
            "span_type": "tool_call" if number % 2 else "llm_call",
            "name": "call",
            "latency_ms": 1.5,
            "metadata": {},
        }
        reporter.on_trace(
            {
                "trace_id": f"iter_001_c0_{number:03d}",
                "trace_group": "iter_001_c0",
                "input_data": CASES[number]["input"],
                "output_data": {"sum": number},
                "total_latency_ms": 12.5,
                "total_tokens": 7,
                "total_cost": 0.001,
                "spans": [span],
            }
        )
    for order in (3, 1, 2):
        reporter.on_iteration(
            order,
            60.0 + order * 7.1,
            "keep" if order == 3 else "discard",
            CODE * order,
            f"Change {order}",
            {"avg_sum": 41.5},
        )
    CLIENT.flush_pending_api_updates(timeout=20)
    reporter.on_holdout({"holdout_score": 80.0, "reverted": False, "rollback_iteration": None})
    CLIENT.flush_pending_api_updates(timeout=20)
    reporter.on_complete(81.3, 61.25, REPORT, CODE)
    CLIENT.flush_pending_api_updates(timeout=20)
    told = {
        "agent": str(agent.id),
        "job": reporter.job_id,
        "dataset": storage.load_dataset(),
        "spec": storage.load_spec(),
        "policy": storage.load_policy(),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
