"""Tune a prompt on simulated models: start `assay serve` in `examples`, then run this file in the same folder.

It needs Python alone. The pupil is right in 30 of 100 sums; it does better when it is told to work step by step, and
to give only the number. The analyst guesses. What is kept is what a paired test says is better; the gain that is told
at the end is measured on sums that nothing was chosen by.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PROMPT = "Add the two numbers."
CASES = [{"input": f"What is {n} + {3 * n % 17}?", "expected_output": str(n + 3 * n % 17)} for n in range(400)]
ENDED = ("completed", "failed", "cancelled")


def call(method: str, path: str, body: Any = None) -> Any:
    """Send a request; gives the answer's JSON."""
    home = Path(os.environ.get("ASSAY_HOME", ".assay"))
    credentials = json.loads((home / "credentials.json").read_text())
    request = urllib.request.Request(
        f"{credentials['base_url']}/api{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {credentials['api_key']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def main() -> dict[str, Any]:
    """Make an agent with a prompt and data, tune it, and print the report."""
    project = call("GET", "/projects/")["results"][0]["id"]
    models = {"model": "simulated-pupil", "analyzer_model": "simulated-analyst"}
    slug = f"adder-{int(time.time())}"
    agent = call("POST", "/agents/", {"name": "Adder", "slug": slug, "project": project, **models})["id"]
    call("POST", "/prompts/", {"agent": agent, "system_prompt": PROMPT})
    call("POST", "/datasets/", {"agent": agent, "datapoints": CASES})
    job = call("POST", "/jobs/", {"job_type": "prompt_tuning", "agent": agent, "num_iterations": 4})
    while job["status"] not in ENDED:
        time.sleep(0.5)
        job = call("GET", f"/jobs/{job['id']}/")
    sys.stdout.write(job["report_markdown"] + "\n")
    return job


if __name__ == "__main__":
    main()
