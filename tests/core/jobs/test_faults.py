"""Jobs that cannot be carried out say why, and nothing hangs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from tests.support.jobs import Jobs, points, provider_reply

from assay.core.targets.service import delete_agent
from assay.db.session import transaction

CRITERIA = {"evaluation_criteria": {"correctness": ["It is right."]}}
KINDS = ("inference", "uploaded_outputs_setup", "judge_scoring", "prompt_tuning", "model_backtesting")
WITHOUT_EXPECTED: list[dict[str, Any]] = [{"input": f"q{n}"} for n in range(4)]


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    kind: str
    code: str
    says: str
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    agent: dict[str, Any] = field(default_factory=dict[str, Any])
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])


CASES = [
    Case("no prompt", "prompt_tuning", "no_target", "no prompt to tune", points(4), {"prompt": ""}),
    Case("no cases to tune on", "prompt_tuning", "not_enough_data", "There are 0 cases"),
    Case("too few cases", "prompt_tuning", "not_enough_data", "needs 30", points(4), parameters={"min_items": 30}),
    Case("nothing says what is right", "prompt_tuning", "no_criteria", "what a good answer is", WITHOUT_EXPECTED),
    Case("no such candidate", "prompt_tuning", "no_model", "Model 'nobody/x'", points(4), {"model": "nobody/x"}),
    Case(
        "no such analyzer", "prompt_tuning", "no_model", "Model 'nobody/x'", points(4), {"analyzer_model": "nobody/x"}
    ),
    Case(
        "no such judge",
        "prompt_tuning",
        "no_model",
        "Model 'nobody/x'",
        WITHOUT_EXPECTED,
        CRITERIA,
        {"judge_model": "nobody/x"},
    ),
    Case("no inputs", "inference", "not_enough_data", "no inputs to run"),
    Case(
        "items without an input",
        "inference",
        "not_enough_data",
        "2 items without an input were left out",
        [{"expected": "x"}, {"input": ""}],
    ),
    Case(
        "cases that are no objects",
        "prompt_tuning",
        "not_enough_data",
        "3 items without an input were left out",
        agent={"eval_dataset": {"cases": ["x", [None], 5]}},
    ),
    Case(
        "cases that are no list",
        "model_backtesting",
        "not_enough_data",
        "There are 0 cases",
        agent={"eval_dataset": {"cases": "rubbish"}},
    ),
    Case(
        "no such model to compare with",
        "model_backtesting",
        "no_model",
        "Model 'nobody/x'",
        points(4),
        parameters={"models": ["nobody/x"]},
    ),
    Case("rows are no list", "uploaded_outputs_setup", "invalid_parameters", "rows", parameters={"rows": {"a": 1}}),
    Case(
        "the dataset is no id",
        "judge_scoring",
        "invalid_parameters",
        "parameters.dataset",
        parameters={"dataset": "latest"},
    ),
    Case("no such dataset", "inference", "no_target", "no dataset", parameters={"dataset": str(uuid4())}),
    Case("no such prompt", "inference", "no_target", "no prompt", points(1), parameters={"prompt_id": str(uuid4())}),
    Case("no outputs", "judge_scoring", "not_enough_data", "0 outputs to score", points(4)),
    Case("no rows", "uploaded_outputs_setup", "no_target", "There are no outputs"),
    Case(
        "no row is right",
        "uploaded_outputs_setup",
        "not_enough_data",
        "row 0: It has no `output`",
        parameters={"rows": [{"input": "x"}, 5]},
    ),
    Case("nothing to compare", "model_backtesting", "no_model", "no model to compare with", points(4)),
    Case("models are no list", "inference", "invalid_parameters", "parameters.models", parameters={"models": "x"}),
    Case("too many models", "inference", "invalid_parameters", "models", parameters={"models": ["m"] * 11}),
    Case("no budget", "inference", "invalid_parameters", "budget_usd", parameters={"budget_usd": 0}),
    Case(
        "a budget without prices",
        "inference",
        "unpriced_model",
        "price of openai/candidate is not known",
        points(1),
        parameters={"budget_usd": 1},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_why_a_job_fails(jobs: Jobs, case: Case) -> None:
    await jobs.agent(case.rows, **case.agent)

    job = await jobs.finished(case.kind, case.parameters)

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", case.code), result
    assert case.says in result["error"]
    assert result["error"] in job.report_markdown
    assert result["parameters"] == case.parameters


@pytest.mark.parametrize("kind", KINDS)
async def test_jobs_without_a_target(jobs: Jobs, kind: str) -> None:
    job = await jobs.finished(kind)

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", "no_target")


async def test_a_candidate_that_never_answers_ends_the_job(jobs: Jobs) -> None:
    jobs.evals.models.behaviour.hanging = "answer="
    await jobs.agent(points(40))

    job = await jobs.finished("inference", {"timeout_seconds": 0.2})

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", "no_model")
    assert "never answered" in result["error"]


async def test_a_judge_that_never_answers_ends_the_job(jobs: Jobs) -> None:
    jobs.evals.models.behaviour.hanging = "impartial evaluator"
    await jobs.agent(WITHOUT_EXPECTED, **CRITERIA)

    job = await jobs.finished("prompt_tuning", {"timeout_seconds": 0.2, "judge_model": "openai/judge"})

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", "not_enough_data")
    assert "judge could not be asked" in result["error"]


@pytest.mark.parametrize(
    ("kind", "code"), [("judge_scoring", "no_model"), ("model_backtesting", "not_enough_data")], ids=str
)
@pytest.mark.parametrize("silent", [True, False], ids=["never answers", "answers rubbish"])
async def test_a_judge_that_is_of_no_use_ends_the_job(jobs: Jobs, kind: str, code: str, silent: bool) -> None:
    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        return "{ not JSON" if body["model"] == "judge" else provider_reply(prompt, body)

    behaviour = jobs.evals.models.behaviour
    behaviour.reply = reply
    behaviour.hanging = "impartial evaluator" if silent else None
    rows = [{"input": f"q{n}", "details": {"output": "a"}} for n in range(4)]
    await jobs.agent(rows, **CRITERIA)

    parameters = {"timeout_seconds": 0.2, "judge_model": "openai/judge", "models": ["openai/strong"]}
    job = await jobs.finished(kind, parameters)

    result: Any = job.result
    assert (job.status, result["error_code"]) == ("failed", code), result
    assert ("judge could not be asked" if silent else "judge's reply could not be read") in result["error"]


async def test_an_analyzer_that_never_answers_degrades_the_job(jobs: Jobs) -> None:
    jobs.evals.models.behaviour.hanging = "You improve the system prompt"
    await jobs.agent(points(20))

    job = await jobs.finished("prompt_tuning", {"timeout_seconds": 0.2}, num_iterations=2, candidates_per_iteration=1)

    result: Any = job.result
    logs: Any = job.logs
    assert (job.status, result["status"]) == ("completed", "no_improvement")
    assert "1 of 1 proposals could not be had" in str(logs)
    assert "nothing new was proposed" in job.report_markdown


async def test_a_deleted_agent(jobs: Jobs) -> None:
    agent_id = await jobs.agent(points(4))
    job_id = await jobs.start("inference")
    async with transaction(jobs.evals.runtime.sessions) as session:
        await delete_agent(session, jobs.principal, agent_id)

    await jobs.carry_out(job_id)

    job = await jobs.get(job_id)
    result: Any = job.result
    assert (job.status, result["error_code"], result["error"]) == (
        "failed",
        "no_target",
        "The job's agent has been deleted.",
    )


async def test_items_without_an_input_are_left_out_and_told_of(jobs: Jobs) -> None:
    await jobs.agent([*points(3), {"expected": "x"}])

    job = await jobs.finished("inference")

    result: Any = job.result
    logs: Any = job.logs
    assert (job.status, result["total"]) == ("completed", 3)
    assert [line["msg"] for line in logs] == ["1 items without an input were left out."]


async def test_what_a_client_keeps_in_result_stays(jobs: Jobs) -> None:
    kept: list[Any] = [[1, {"a": None}], {"mine": 1}]
    failed = [await jobs.finished("inference", result=value, agent_id=None) for value in kept]

    assert failed[0].result == kept[0]
    assert "The job failed" in failed[0].report_markdown
    result: Any = failed[1].result
    assert (result["mine"], result["error_code"]) == (1, "no_target")
