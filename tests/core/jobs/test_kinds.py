"""The five kinds of jobs, from creation to their end, on a mock provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.jobs import ANALYZER, BASELINE, BETTER, JUDGE, MODEL, Jobs, points, provider_reply

from assay.core.datasets.models import DatasetItemRow
from assay.core.targets.models import SuggestionRow, TargetPromptRow

CRITERIA = {"evaluation_criteria": {"correctness": ["The sum is right.", "Only the number is given."]}}


async def items(jobs: Jobs, dataset_id: str) -> list[DatasetItemRow]:
    async with jobs.evals.runtime.sessions() as session:
        statement = select(DatasetItemRow).where(DatasetItemRow.dataset_id == UUID(dataset_id))
        return list(await session.scalars(statement.order_by(DatasetItemRow.position)))


@pytest.mark.parametrize("proposer", ["analyzer", "gepa"])
async def test_a_better_prompt_is_found(jobs: Jobs, proposer: str) -> None:
    await jobs.agent(points(160))
    parameters = {"seed": 3, "proposer": proposer}

    job = await jobs.finished("prompt_tuning", parameters, num_iterations=3, candidates_per_iteration=2)

    result: Any = job.result
    assert job.status == "completed", result
    assert result["status"] == "improved"
    assert result["parameters"] == parameters
    sealed = result["sealed_test"]
    low, high = sealed["interval_95"]
    assert low <= 0.5 <= high
    assert job.best_code == f"{BASELINE} {BETTER}"
    assert None not in (job.improvement, job.best_score, job.baseline_score)
    assert job.improvement == (job.best_score or 0.0) - (job.baseline_score or 0.0)
    assert job.baseline_score == 100 * sealed["baseline"]
    iterations = await jobs.iterations(job.id)
    assert [(row.name, row.status) for row in iterations[:2]] == [("baseline", "keep"), ("iter_001", "keep")]
    assert iterations[1].code == job.best_code
    assert "**A better prompt was found.**" in job.report_markdown
    assert "| 0 |" in job.report_markdown
    async with jobs.evals.runtime.sessions() as session:
        prompt = await session.get(TargetPromptRow, UUID(result["prompt_id"]))
        suggestion = await session.get(SuggestionRow, UUID(result["suggestion_id"]))
    assert prompt is not None
    assert (prompt.version, prompt.label, prompt.system_prompt) == (2, "tuned", job.best_code)
    assert suggestion is not None
    assert (suggestion.job_id, suggestion.score_after) == (job.id, job.best_score)


async def test_no_improvement_is_a_plain_result(jobs: Jobs) -> None:
    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        # A model that does not listen to its prompt.
        turns = [turn for turn in body["messages"] if turn["role"] != "system"]
        return provider_reply(prompt, body if body["model"] == "analyzer" else {**body, "messages": turns})

    jobs.evals.models.behaviour.reply = reply
    await jobs.agent(points(60))

    job = await jobs.finished("prompt_tuning", num_iterations=2, candidates_per_iteration=1)

    result: Any = job.result
    assert (job.status, result["status"]) == ("completed", "no_improvement")
    assert (job.best_code, job.improvement) == (BASELINE, 0.0)
    assert "**No improvement found.**" in job.report_markdown
    assert "sealed_test" not in result
    assert {row.status for row in (await jobs.iterations(job.id))[1:]} == {"discard"}


@pytest.mark.parametrize("proposer", ["analyzer", "gepa"])
async def test_an_analyzer_that_answers_rubbish_degrades_the_job(jobs: Jobs, proposer: str) -> None:
    def reply(prompt: str, body: Mapping[str, Any]) -> str:
        return "{ not JSON \x01" if body["model"] == "analyzer" else provider_reply(prompt, body)

    jobs.evals.models.behaviour.reply = reply
    await jobs.agent(points(20))

    job = await jobs.finished("prompt_tuning", {"proposer": proposer}, num_iterations=5, candidates_per_iteration=2)

    logs: Any = job.logs
    assert job.status == "completed"
    assert "no JSON object with a prompt" in str(logs)
    assert len(await jobs.iterations(job.id)) == 1
    assert "nothing new was proposed" in job.report_markdown


async def test_inference_stores_its_answers_and_judge_scoring_scores_them(jobs: Jobs) -> None:
    jobs.evals.models.behaviour.refused = {"What is 3 + 3? answer=6"}
    await jobs.agent(points(8), **CRITERIA)

    made = await jobs.finished("inference")

    result: Any = made.result
    assert (result["total"], result["succeeded"], result["failed"], result["partial"]) == (8, 7, 1, True)
    assert made.baseline_score is None
    assert "7 of 8 inputs were answered" in made.report_markdown
    outputs = await items(jobs, result["dataset"])
    assert len(outputs) == 7
    details: Any = outputs[0].details
    assert details["output"] in ("0", "wrong")
    assert details["model"] == MODEL

    scored = await jobs.finished("judge_scoring", {"dataset": result["dataset"], "judge_model": JUDGE})

    told: Any = scored.result
    assert scored.status == "completed", told
    assert (told["spans_evaluated"], told["avg_correctness"], told["score_scale"]) == (7, 0.75, "fraction")
    assert scored.baseline_score == 75.0
    assert [row.name for row in await jobs.iterations(scored.id)] == ["baseline"]
    details = (await items(jobs, result["dataset"]))[0].details
    assert (details["correctness"], "correctness_reason" in details) == (0.75, False)


async def test_uploaded_outputs_become_a_dataset(jobs: Jobs) -> None:
    await jobs.agent()
    rows: list[Any] = [
        {"input": {"q": "1 + 1"}, "output": "2", "expected_output": "2", "metadata": {"source": "app"}},
        {"input": "x", "output": ""},
        {"output": "y"},
        "rubbish",
    ]

    job = await jobs.finished("uploaded_outputs_setup", {"rows": rows})

    result: Any = job.result
    assert (result["rows_received"], result["rows_imported"], result["rows_rejected"]) == (4, 1, 3)
    assert [row["index"] for row in result["rejections"]] == [1, 2, 3]
    (item,) = await items(jobs, result["dataset"])
    assert item.details == {"output": "2", "metadata": {"source": "app"}}
    scored = await jobs.finished("judge_scoring", {"dataset": result["dataset"]})
    assert scored.baseline_score == 100.0


async def test_models_are_ranked_and_a_worse_one_is_never_recommended(jobs: Jobs) -> None:
    await jobs.agent(points(120), prompt="")

    job = await jobs.finished("model_backtesting", {"models": ["openai/strong", "openai/weak"], "max_items": 120})

    result: Any = job.result
    assert job.status == "completed", result
    recommendations = result["recommendations"]
    assert recommendations["verdict"] == "switch_recommended"
    assert recommendations["best_overall"]["model"] == "openai/strong"
    assert "openai/weak" not in str({**recommendations, "current_model": ""})
    weak, strong = result["models"]["openai/weak"], result["models"]["openai/strong"]
    assert weak["quality_interval_95"][1] < 0 < strong["quality_interval_95"][0]
    stored: Any = job.backtest_results
    assert set(stored) == {MODEL, "openai/strong", "openai/weak", "baseline", "recommendations"}
    assert len(stored["openai/strong"]["individual_scores"]) == 120
    assert [(row.name, row.status) for row in await jobs.iterations(job.id)] == [
        ("baseline", "discard"),
        ("openai/strong", "keep"),
        ("openai/weak", "discard"),
    ]
    assert (job.best_score or 0.0) > (job.baseline_score or 0.0)
    assert ANALYZER not in jobs.evals.models.stats.last_body["model"]
