"""Captured events are judged, each once, and what comes of them can be read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.evals import Evals, working
from tests.support.online import Traffic, generation, hog

from assay.core.evaluators.types import EvaluatorStatus, OutputKind


@pytest.fixture
def traffic(evals: Evals) -> Traffic:
    return Traffic(evals)


async def test_a_generation_is_judged_and_told_of(traffic: Traffic, evals: Evals) -> None:
    evaluator = await traffic.evaluator(hog("print('looked'); return output =~ 'fine'"), name="Fine?")
    async with working(evals):
        [event] = await traffic.send(generation("fine", **{"$session_id": "s", "$ai_prompt_name": "p"}))
        assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
    [told] = await traffic.results(evaluator)
    assert told.distinct_id == "someone"
    start = told.properties["$ai_evaluation_start_time"]
    assert told.properties == {
        "$ai_evaluation_id": str(evaluator.id),
        "$ai_evaluation_name": "Fine?",
        "$ai_evaluation_type": "online",
        "$ai_evaluation_runtime": "hog",
        "$ai_evaluation_result_type": "boolean",
        "$ai_evaluation_start_time": start,
        "$ai_evaluation_reasoning": "looked",
        "$ai_evaluation_trigger": "live",
        "$ai_evaluation_allows_na": False,
        "$ai_evaluation_result": True,
        "$ai_target_event_id": str(event.uuid),
        "$ai_target_id": str(event.uuid),
        "$ai_target_event_type": "$ai_generation",
        "$ai_target_type": "generation_uuid",
        "$ai_trace_id": "trace-1",
        "$session_id": "s",
        "$ai_prompt_name": "p",
    }


async def test_what_is_sampled_out_says_so(traffic: Traffic, evals: Evals) -> None:
    # P§3.2: this uuid stands at 26.49.
    event = {"uuid": "00000000-0000-4000-8000-000000000001", "properties": generation()}
    sampled: list[dict[str, Any]] = [{"id": "c", "rollout_percentage": 26, "properties": []}]
    within: list[dict[str, Any]] = [{"id": "c", "rollout_percentage": 27, "properties": []}]
    out = await traffic.evaluator(hog("return true"), conditions=sampled)
    kept = await traffic.evaluator(hog("return true"), conditions=within)
    other = await traffic.evaluator(
        hog("return true"), conditions=[{"id": "c", "properties": [{"key": "$ai_model", "value": "no"}]}]
    )
    never = await traffic.evaluator(hog("return true"), conditions=[])
    async with working(evals):
        await traffic.send(event)
        assert await traffic.settled(kept, 1) == {("scored", None): 1}
    assert await traffic.settled(out, 1) == {("sampled_out", None): 1}
    assert await traffic.results(out) == []
    assert await traffic.outcomes(other) == {}
    assert await traffic.outcomes(never) == {}


async def test_sending_again_judges_nothing_again(traffic: Traffic, evals: Evals) -> None:
    evaluator = await traffic.evaluator(hog("return true"))
    event = {"uuid": "00000000-0000-4000-8000-000000000001", "properties": generation()}
    async with working(evals):
        await traffic.send(event)
        await traffic.settled(evaluator, 1)
        assert await traffic.send(event) == []
    assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
    assert len(await traffic.results(evaluator)) == 1


async def test_a_program_that_fails_switches_its_evaluator_off(traffic: Traffic, evals: Evals) -> None:
    evaluator = await traffic.evaluator(hog("return 1"))
    async with working(evals):
        await traffic.send(generation())
        assert await traffic.settled(evaluator, 1) == {("failed", "hog_error"): 1}
        row = await traffic.reload(evaluator)
        assert (row.enabled, row.status, row.status_reason) == (False, EvaluatorStatus.ERROR, "hog_error")
        assert "Must return boolean" in (row.status_reason_detail or "")
        await traffic.send(generation())
        assert await traffic.settled(evaluator, 1) == {("failed", "hog_error"): 1}
    assert await traffic.results(evaluator) == []


CASES: list[tuple[str, OutputKind, dict[str, Any], str, tuple[str, str | None], dict[str, Any]]] = [
    (
        "not applicable",
        OutputKind.BOOLEAN,
        {"allows_na": True},
        "return null",
        ("not_applicable", None),
        {"$ai_evaluation_allows_na": True, "$ai_evaluation_applicable": False},
    ),
    (
        "zero is a score",
        OutputKind.NUMERIC,
        {"min": 0, "max": 10, "step": None, "allows_na": False, "passing_rule": None},
        "return 0",
        ("scored", None),
        {
            "$ai_evaluation_allows_na": False,
            "$ai_evaluation_numeric_result": 0,
            "$ai_evaluation_numeric_result_min": 0,
            "$ai_evaluation_numeric_result_max": 10,
        },
    ),
    (
        "out of bounds",
        OutputKind.NUMERIC,
        {"min": 0, "max": 10, "step": None, "allows_na": False, "passing_rule": None},
        "return 11",
        ("skipped", "score_out_of_bounds"),
        {
            "$ai_evaluation_allows_na": False,
            "$ai_evaluation_skipped": True,
            "$ai_evaluation_skip_reason": "score_out_of_bounds",
        },
    ),
    (
        "no category is a result",
        OutputKind.CATEGORICAL,
        {"options": [{"key": "a", "label": "A"}], "selection_mode": "multiple", "allows_na": False},
        "return []",
        ("scored", None),
        {
            "$ai_evaluation_allows_na": False,
            "$ai_evaluation_applicable": True,
            "$ai_evaluation_categorical_result": [],
        },
    ),
]
RESULTS = ("allows_na", "applicable", "result", "numeric", "categorical", "skip")


async def test_outputs(traffic: Traffic, evals: Evals) -> None:
    """All cases one after the other, since starting a worker takes longer than any of them."""
    names = tuple(f"$ai_evaluation_{name}" for name in RESULTS)
    async with working(evals):
        for name, output, config, source, outcome, properties in CASES:
            evaluator = await traffic.evaluator(hog(source, output=output, output_config=config))
            await traffic.send(generation())
            assert await traffic.settled(evaluator, 1) == {outcome: 1}, name
            [told] = await traffic.results(evaluator)
            kept = {key: value for key, value in told.properties.items() if key.startswith(names)}
            kept.pop("$ai_evaluation_result_type")
            assert kept == properties, name
            assert (await traffic.reload(evaluator)).enabled, name
            await traffic.delete(evaluator)
