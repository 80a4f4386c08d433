"""A project in which something of everything has happened, for looking at all pages.

What it holds was made by the product itself: suites were run, traffic was judged, a prompt was tuned.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from typing import Any

import httpx
from tests.support.live import LiveServer
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

from assay.kit.clock import utc_now

TICKETS = "tickets.jsonl"
QUESTIONS = "questions.jsonl"
DESKS = ["delivery", "payment", "returns", "account", "product", "app"]
SKILL = {"strong": 0.93, "weak": 0.62}
BASELINE = "Answer the question."
BETTER = "Work carefully, step by step, and give only the number."
TERMINAL = ("completed", "failed", "cancelled")


@dataclass(slots=True)
class World:
    """Where things are: pages by name, in the order in which they are shown."""

    pages: dict[str, str] = field(default_factory=dict[str, str])


def rows_of(name: str) -> list[dict[str, Any]]:
    """Rows of the data that the demo brings."""
    text = resources.files("assay.demo").joinpath(name).read_text()
    return [json.loads(line) for line in text.splitlines() if line]


def answer(prompt: str, body: Mapping[str, Any]) -> str:
    """Plays every model: candidates that err as often as their skill says, a judge, and one that improves prompts."""
    model = str(body.get("model"))
    system = next((turn["content"] for turn in body.get("messages") or () if turn["role"] == "system"), "")
    if model == "analyzer":
        return json.dumps({"diagnosis": "careless", "change": "asked for care", "prompt": f"{BASELINE} {BETTER}"})
    if "judge" in model:
        polite = "sorry" in prompt.lower()
        return json.dumps({"reasoning": "It says that it is sorry." if polite else "It is curt.", "verdict": polite})
    draw = random.Random(f"{model}/{prompt}").random()
    right = _expected(prompt)
    if model == "candidate":
        return right if draw < (0.95 if BETTER in str(system) else 0.45) else "wrong"
    return right if draw < SKILL.get(model, 0.8) else DESKS[int(draw * 1000) % len(DESKS)]


def _expected(prompt: str) -> str:
    for name, asked, wanted in ((TICKETS, "ticket", "category"), (QUESTIONS, "question", "answer")):
        for row in rows_of(name):
            if row[asked] in prompt:
                return str(row[wanted])
    return prompt.rpartition("answer=")[2] or "I do not know."


def manifest(tickets: str, questions: str) -> dict[str, Any]:
    """The tasks of the suite."""
    return {
        "tasks": [
            {
                "id": "tickets",
                "type": "classification",
                "dataset": {"file_id": tickets},
                "prompt_template": "Which desk handles this message: {{choices}}? One word.\n\nMessage: {{ticket}}",
                "target_template": "{{category}}",
                "choices": DESKS,
                "output_extraction": {"type": "label_set", "labels": DESKS},
                "metrics": [{"id": "accuracy"}],
            },
            {
                "id": "questions",
                "type": "qa",
                "dataset": {"file_id": questions},
                "prompt_template": "Answer in as few words as possible.\n\n{{question}}",
                "target_template": "{{answer}}",
            },
        ]
    }


class Builder:
    """Makes the world, over HTTP as any client would."""

    def __init__(self, live: LiveServer, tenants: Tenants) -> None:
        self.live = live
        headers = {"Authorization": f"Bearer {tenants.delegating}"}
        self.http = httpx.Client(base_url=live.url, headers=headers, timeout=30, verify=False)
        self.world = World()
        self.capture_token = tenants.capture_token

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request that must succeed."""
        response = self.http.request(method, path, json=body, **more) if body is not None else None
        response = response or self.http.request(method, path, **more)
        assert response.status_code < 300, f"{method} {path}: {response.text}"
        return response.json() if response.content else None

    def upload(self, name: str, rows: list[dict[str, Any]]) -> str:
        """A dataset file; gives its id."""
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return self.send("POST", "/api/v1/llm/files", files={"file": (name, content)}, data={"purpose": "evals"})["id"]

    def until(self, path: str, statuses: tuple[str, ...] = TERMINAL) -> Any:
        """Wait for something to get one of these statuses."""
        import asyncio

        def look() -> Any:
            found = self.send("GET", path)
            assert found["status"] in statuses, found
            return found

        return asyncio.run(eventually(look, timeout=50))

    def build(self) -> World:
        """Everything."""
        with self.http:
            return self._build()

    def _build(self) -> World:
        suite = self.evaluate()
        self.schedule(suite)
        self.observe()
        self.improve()
        self.agents()
        return self.world

    def evaluate(self) -> str:
        """A suite with two versions, and runs of it."""
        files = self.upload(TICKETS, rows_of(TICKETS)[:60]), self.upload(QUESTIONS, rows_of(QUESTIONS)[:60])
        described = {"name": "Support assistant", "description": "Sorting tickets, and short answers."}
        suite = self.send("POST", "/api/v1/llm/evals/suites", {**described, "manifest": manifest(*files)})["id"]
        changed = manifest(*files)
        changed["tasks"][1]["prompt_template"] = "Answer briefly.\n\n{{question}}"
        self.send("POST", f"/api/v1/llm/evals/suites/{suite}/versions", {"manifest": changed})
        self.live.models.behaviour.refused = {
            f"Answer briefly.\n\n{row['question']}" for row in rows_of(QUESTIONS)[4:60:11]
        }
        both = self.run(suite, ["openai/strong", "openai/weak"])
        self.live.models.behaviour.refused = set()
        one = self.run(suite, ["openai/strong"])
        samples = self.send("GET", f"/api/v1/llm/evals/runs/{both}/samples", params={"status": "failed"})["data"]
        good = self.send("GET", f"/api/v1/llm/evals/runs/{both}/samples", params={"limit": 3})["data"]
        pages = self.world.pages
        pages["home"] = "/"
        pages["runs"] = "/runs"
        pages["run"] = f"/runs/{_hex(both)}"
        pages["failed-sample"] = f"/runs/{_hex(both)}/samples/{_hex(samples[0]['id'])}"
        pages["sample"] = f"/runs/{_hex(both)}/samples/{_hex(good[1]['id'])}"
        pages["samples"] = f"/runs/{_hex(both)}/samples?status=completed"
        pages["compare"] = f"/compare?run={_hex(both)}&model=openai/weak&baseline_model=openai/strong&common=1"
        pages["suites"] = "/suites"
        pages["new-suite"] = "/suites/new"
        pages["suite"] = f"/suites/{_hex(suite)}"
        pages["suite-edit"] = f"/suites/{_hex(suite)}/edit"
        pages["suite-diff"] = f"/suites/{_hex(suite)}/diff?old=1&new=2"
        pages["leaderboard"] = f"/suites/{_hex(suite)}/leaderboard"
        pages["run-form"] = f"/suites/{_hex(suite)}/run"
        assert one
        return suite

    def run(self, suite: str, models: list[str]) -> str:
        """A run, completed."""
        body = {"suite_id": suite, "models": models, "concurrency": 32}
        run = self.send("POST", "/api/v1/llm/evals/runs", body)["id"]
        self.until(f"/api/v1/llm/evals/runs/{run}")
        return run

    def schedule(self, suite: str) -> None:
        """A schedule that fired twice."""
        body = {
            "name": "Nightly",
            "suite_id": suite,
            "run": {"models": ["openai/weak"]},
            "cron": "0 3 * * *",
            "timezone": "Europe/Paris",
        }
        schedule = self.send("POST", "/api/v1/llm/evals/schedules", body)["id"]
        for _ in range(2):
            fired = self.send("POST", f"/api/v1/llm/evals/schedules/{schedule}/trigger", {})
            runs = self.send("GET", f"/api/v1/llm/evals/schedules/{schedule}/runs")["data"]
            assert fired
            self.until(f"/api/v1/llm/evals/runs/{runs[0]['id']}")
        self.world.pages["schedules"] = "/schedules"
        self.world.pages["schedule"] = f"/schedules/{_hex(schedule)}"
        self.world.pages["edit-schedule"] = f"/schedules/{_hex(schedule)}/edit"
        self.world.pages["new-schedule"] = f"/schedules/new?suite={_hex(suite)}"

    def observe(self) -> None:
        """Traffic, judged, and a dataset made of it."""
        place = "/api/environments/@current"
        program = {
            "name": "Not empty",
            "evaluation_type": "hog",
            "evaluation_config": {"source": "return not empty(trim(output))"},
            "output_type": "boolean",
            "conditions": [{"id": "all", "rollout_percentage": 100}],
            "enabled": True,
        }
        evaluator = self.send("POST", f"{place}/evaluations/", program)["id"]
        self.send("POST", f"{place}/evaluations/", {**program, "name": "Says sorry", "enabled": False})
        batch = [event for n in range(14) for event in trace(n)]
        self.send("POST", "/batch/", {"api_key": self.capture_token, "batch": batch})
        dataset = self.send("POST", f"{place}/datasets/", {"name": "Hard questions", "description": "From production"})
        for row in rows_of(QUESTIONS)[:5]:
            item = {"dataset": dataset["id"], "input": {"question": row["question"]}, "output": row["answer"]}
            self.send("POST", f"{place}/dataset_items/", item)
        self.settle(f"{place}/evaluations/{evaluator}")
        pages = self.world.pages
        pages["traffic"] = "/traffic"
        pages["trace"] = "/traffic/traces/trace-3"
        pages["evaluators"] = "/evaluators"
        pages["evaluator"] = f"/evaluators/{_hex(evaluator)}"
        pages["new-evaluator"] = "/evaluators/new"
        pages["datasets"] = "/datasets"
        pages["dataset"] = f"/datasets/{_hex(dataset['id'])}"
        pages["new-dataset"] = "/datasets/new"
        pages["labels"] = "/labels"
        events = self.send("GET", f"{place}/events/", params={"event": "$ai_generation", "limit": 1})["results"]
        items = self.send("GET", f"{place}/dataset_items/", params={"dataset": dataset["id"], "limit": 1})["results"]
        pages["event"] = f"/traffic/events/{_hex(events[0]['id'])}"
        pages["dataset-item"] = f"{pages['dataset']}/items/{_hex(items[0]['id'])}"
        pages["dataset-add"] = f"/datasets/add?event={_hex(events[0]['id'])}"
        pages["label-queue"] = f"/labels/queue?run={pages['run'].rpartition('/')[2]}"
        pages["edit-evaluator"] = f"{pages['evaluator']}/edit"

    def settle(self, evaluator: str) -> None:
        """Wait until an evaluator has judged what it was given."""
        import asyncio

        def look() -> bool:
            found = self.send("GET", f"{evaluator}/summary/")
            assert sum(one["count"] for one in found["counts"] if one["outcome"] == "scored") == 28, found
            return True

        asyncio.run(eventually(look, timeout=30))

    def improve(self) -> None:
        """A prompt, tuned."""
        place = "/api/environments/@current"
        dataset = self.send("POST", f"{place}/datasets/", {"name": "Sums"})["id"]
        for n in range(60):
            item = {"dataset": dataset, "input": f"What is {n} + {n}? answer={2 * n}", "output": str(2 * n)}
            self.send("POST", f"{place}/dataset_items/", item)
        parameters = {"dataset": dataset, "prompt": BASELINE, "models": ["openai/candidate"]}
        job = self.send(
            "POST",
            "/api/jobs/",
            {
                "job_type": "prompt_tuning",
                "num_iterations": 3,
                "analyzer_model": "openai/analyzer",
                "result": {"parameters": parameters},
            },
        )["id"]
        self.until(f"/api/jobs/{job}/")
        self.world.pages["jobs"] = "/jobs"
        self.world.pages["job"] = f"/jobs/{_hex(job)}"
        self.world.pages["new-job"] = "/jobs/new"

    def agents(self) -> None:
        """An agent that ran, and has two versions."""
        body = {"name": "Helper", "model": "openai/strong", "instructions": "Answer briefly."}
        agent = self.send("POST", "/api/v1/agents", body)["id"]
        self.send("POST", f"/api/v1/agents/{agent}", {"instructions": "Answer briefly, and kindly."})
        run = self.send("POST", f"/api/v1/agents/{agent}/runs", {"input": rows_of(QUESTIONS)[1]["question"]})["id"]
        self.until(f"/api/v1/agents/{agent}/runs/{run}")
        pages = self.world.pages
        pages["agents"] = "/agents"
        pages["agent"] = f"/agents/{_hex(agent)}"
        pages["agent-run"] = f"/agents/{_hex(agent)}/runs/{_hex(run)}"
        pages["new-agent"] = "/agents/new"
        pages["edit-agent"] = f"{pages['agent']}/edit"
        pages["agent-diff"] = f"{pages['agent']}/diff?version=2"
        for name in ("", "/models", "/keys", "/members", "/providers", "/webhooks", "/account"):
            pages[f"settings{name.replace('/', '-')}"] = f"/settings{name}"


def trace(number: int) -> list[dict[str, Any]]:
    """The events of one request of an application: a trace, a span, and two calls of a model within it."""
    row = rows_of(QUESTIONS)[number]
    at = utc_now() - timedelta(minutes=3 * number)
    ids = {"$ai_trace_id": f"trace-{number}"}
    common = {"distinct_id": f"user-{number % 4}"}

    def event(name: str, seconds: float, **properties: Any) -> dict[str, Any]:
        moment = (at + timedelta(seconds=seconds)).isoformat()
        return {"event": name, **common, "timestamp": moment, "properties": {**ids, **properties}}

    asked = [{"role": "user", "content": row["question"]}]
    said = "" if number == 5 else f"{row['answer']}"
    call = {
        "$ai_model": "strong",
        "$ai_provider": "openai",
        "$ai_input": asked,
        "$ai_output_choices": [{"role": "assistant", "content": said}],
        "$ai_input_tokens": 40 + number,
        "$ai_output_tokens": 5,
        "$ai_latency": 0.42,
        "$ai_total_cost_usd": 0.0004,
    }
    return [
        event("$ai_trace", 0, **{"$ai_span_name": "answer a question", "$ai_latency": 1.3}),
        event(
            "$ai_span",
            0.1,
            **{
                "$ai_span_id": f"s{number}",
                "$ai_parent_id": f"trace-{number}",
                "$ai_span_name": "look things up",
                "$ai_latency": 0.3,
            },
        ),
        event("$ai_generation", 0.2, **call, **{"$ai_span_id": f"g{number}", "$ai_parent_id": f"s{number}"}),
        event("$ai_generation", 0.7, **call, **{"$ai_span_id": f"h{number}", "$ai_parent_id": f"trace-{number}"}),
    ]


def _hex(identifier: str) -> str:
    return identifier.rsplit("_", 1)[-1].replace("-", "")


PAGES = (
    *("home", "runs", "run", "failed-sample", "sample", "compare", "suites", "new-suite", "suite", "suite-edit"),
    *("suite-diff", "leaderboard", "run-form", "schedules", "schedule", "new-schedule", "traffic", "trace"),
    *("evaluators", "evaluator", "new-evaluator", "datasets", "dataset", "new-dataset", "labels", "jobs", "job"),
    *("new-job", "agents", "agent", "agent-run", "new-agent", "settings", "settings-models", "settings-keys"),
    *("settings-members", "settings-providers", "settings-webhooks", "settings-account", "event", "dataset-item"),
    *("dataset-add", "label-queue", "edit-schedule", "edit-evaluator", "edit-agent", "agent-diff", "samples"),
)
"""Names of all pages: constants, so that every process of a test session collects the same tests."""
