"""Captured events are judged, each once, and what comes of them can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, working
from tests.support.online import Traffic, definition, generation, hog
from tests.support.waiting import eventually

from assay.core.evaluators.models import EvaluatorRow
from assay.core.evaluators.types import EvaluatorKind, EvaluatorStatus, OutputKind, TargetKind
from assay.core.online import repository
from assay.core.online.backfills import advance_backfill, cancel_backfill, create_backfill, get_backfill
from assay.core.online.service import RunRequest, request_run
from assay.core.online.types import BackfillScope, BackfillStatus
from assay.core.online.waking import Track, wake
from assay.db.session import transaction
from assay.kit.clock import utc_now


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


async def test_sentiment(traffic: Traffic, evals: Evals) -> None:
    feeling = definition(
        EvaluatorKind.SENTIMENT, {"source": "user_messages"}, output=OutputKind.SENTIMENT, output_config={}
    )
    evaluator = await traffic.evaluator(feeling)
    angry = [
        {"role": "user", "content": "I hate this, it is broken again!"},
        {"role": "assistant", "content": "Great!"},
    ]
    async with working(evals):
        await traffic.send(generation(**{"$ai_input": angry}), generation(**{"$ai_input": []}))
        found = await traffic.settled(evaluator, 2)
    assert found == {("scored", None): 1, ("not_applicable", None): 1}
    told = {
        event.properties["$ai_sentiment_message_count"]: event.properties for event in await traffic.results(evaluator)
    }
    assert told[1]["$ai_sentiment_label"] == "negative"
    assert told[1]["$ai_sentiment_score"] > 0.5
    assert sum(told[1]["$ai_sentiment_scores"].values()) == pytest.approx(1, abs=0.01)
    assert [message["index"] for message in told[1]["$ai_sentiment_messages"]] == [0]
    assert told[0]["$ai_sentiment_label"] is None
    assert "$ai_evaluation_allows_na" not in told[1]


async def test_a_trace_is_judged_once_and_when_it_is_complete(traffic: Traffic, evals: Evals) -> None:
    """The window of one evaluator has not passed; the other's trace has been quiet for long enough."""
    source = "print(trace.id, length(evaluation_events)); return trace.event_count = 3"
    quiet = {"strategy": "inactivity", "quiet_period_seconds": 1, "max_age_seconds": 60}
    window = {"strategy": "fixed_window", "window_seconds": 1800}
    soon = await traffic.evaluator(hog(source, target=TargetKind.TRACE, target_config=quiet))
    later = await traffic.evaluator(hog(source, target=TargetKind.TRACE, target_config=window))
    async with working(evals):
        await traffic.send(generation(), generation())
        await traffic.send({"event": "$ai_span", "properties": {"$ai_trace_id": "trace-1"}})
        assert await traffic.settled(soon, 1) == {("scored", None): 1}
        await traffic.send(generation())
    [told] = await traffic.results(soon)
    assert told.properties["$ai_evaluation_result"] is True
    assert told.properties["$ai_evaluation_reasoning"] == "trace-1 3"
    assert (told.properties["$ai_target_id"], told.properties["$ai_target_type"]) == ("trace-1", "trace_id")
    assert told.properties["$ai_trace_id"] == "trace-1"
    assert "$ai_target_event_id" not in told.properties
    assert await traffic.outcomes(soon) == {("scored", None): 1}
    assert await traffic.outcomes(later) == {(None, None): 1}


async def test_a_session_is_judged(traffic: Traffic, evals: Evals) -> None:
    config = {"strategy": "inactivity", "quiet_period_seconds": 1, "max_age_seconds": 60}
    what = hog(
        "print(target.id); return length(evaluation_events) = 2", target=TargetKind.SESSION, target_config=config
    )
    evaluator = await traffic.evaluator(what)
    async with working(evals):
        await traffic.send(generation(), generation(**{"$ai_session_id": "s"}), generation(**{"$ai_session_id": "s"}))
        assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
    [told] = await traffic.results(evaluator)
    assert (told.properties["$ai_target_id"], told.properties["$ai_target_type"]) == ("s", "session_id")
    assert "$ai_trace_id" not in told.properties
    assert told.properties["$ai_evaluation_result"] is True


async def test_units_that_cannot_be_judged(traffic: Traffic, evals: Evals) -> None:
    config = {"strategy": "fixed_window", "window_seconds": 0}
    evaluator = await traffic.evaluator(hog("return true", target=TargetKind.TRACE, target_config=config))
    steps = [{"event": "$ai_span", "properties": {"$ai_trace_id": "trace-1"}} for _ in range(500)]
    async with working(evals):
        await traffic.send(*steps, generation())
        assert await traffic.settled(evaluator, 1) == {("skipped", "trace_too_large"): 1}
        async with transaction(traffic.sessions) as session:
            again = "UPDATE online_evaluations SET state = 'queued', due_at = now(), outcome = NULL, reason = NULL"
            await session.execute(text(again))
            await session.execute(text("UPDATE events SET trace_id = 'another'"))
            await wake(session, traffic.principal.project_id, Track)
        assert await traffic.settled(evaluator, 1) == {("skipped", "trace_not_found"): 1}
    reasons = {event.properties["$ai_evaluation_skip_reason"] for event in await traffic.results(evaluator)}
    assert reasons == {"trace_too_large"}


async def test_live_by_hand_and_backfill_share_one_outcome(traffic: Traffic, evals: Evals) -> None:
    """The program says when it ran, so running it twice would show."""
    evaluator = await traffic.evaluator(hog("print(generateUUIDv4()); return true"))
    [event] = await traffic.send(generation())

    async def by_hand() -> None:
        request = RunRequest(
            evaluator_id=evaluator.id, event_uuid=event.uuid, timestamp=event.timestamp, event=event.event
        )
        async with transaction(traffic.sessions) as session:
            await request_run(session, traffic.principal, request)

    async def backfill() -> None:
        scope = BackfillScope(after=event.timestamp - timedelta(days=1), before=utc_now())
        async with transaction(traffic.sessions) as session:
            made = await create_backfill(session, traffic.principal, evaluator.id, scope)

        async def completed() -> bool:
            async with traffic.sessions() as session:
                found = await get_backfill(session, traffic.principal, evaluator.id, made.id)
            return found.status is BackfillStatus.COMPLETED and (found.enrolled, found.existing) == (0, 1)

        await eventually(completed)

    await by_hand()
    async with working(evals):
        assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
        await backfill()
        await by_hand()
        assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
    results = await traffic.results(evaluator)
    assert len(results) == 3
    assert len({result.properties["$ai_evaluation_reasoning"] for result in results}) == 1


async def test_a_cancelled_backfill_leaves_nothing_to_do(traffic: Traffic, evals: Evals) -> None:
    events = await traffic.send(*[generation() for _ in range(3)])
    evaluator = await traffic.evaluator(hog("return true"), enabled=False)
    scope = BackfillScope(after=events[0].timestamp - timedelta(days=1), before=utc_now(), limit=2)
    async with transaction(traffic.sessions) as session:
        made = await create_backfill(session, traffic.principal, evaluator.id, scope)
    async with transaction(traffic.sessions) as session:
        assert await advance_backfill(session, made.id) == 0
    async with transaction(traffic.sessions) as session:
        cancelled = await cancel_backfill(session, traffic.principal, evaluator.id, made.id)
    assert (cancelled.status, cancelled.enrolled) == (BackfillStatus.CANCELLED, 2)
    assert await traffic.outcomes(evaluator) == {("skipped", "backfill_cancelled"): 2}
    async with transaction(traffic.sessions) as session:
        assert await advance_backfill(session, made.id) is None
    # A later one takes up what this one left.
    async with working(evals):
        async with transaction(traffic.sessions) as session:
            await create_backfill(session, traffic.principal, evaluator.id, replace(scope, limit=10))
        assert await traffic.settled(evaluator, 3) == {("scored", None): 3}


async def test_what_waits_for_an_evaluator_that_is_off_is_skipped(traffic: Traffic, evals: Evals) -> None:
    paused, deleted = [await traffic.evaluator(hog("return true")) for _ in range(2)]
    await traffic.send(generation())
    async with transaction(traffic.sessions) as session:
        row = await session.get_one(EvaluatorRow, paused.id)
        row.enabled, row.status = False, EvaluatorStatus.PAUSED.value
    await traffic.delete(deleted)
    async with working(evals):
        assert await traffic.settled(paused, 1) == {("skipped", "evaluator_paused"): 1}
        assert await traffic.settled(deleted, 1) == {("skipped", "evaluator_deleted"): 1}
    assert await traffic.results(paused) == await traffic.results(deleted) == []


async def test_no_evaluator_waits_behind_another(traffic: Traffic) -> None:
    """A lease takes from each evaluator in turn, and never what another has."""
    evaluators = [await traffic.evaluator(hog("return true")) for _ in range(3)]
    await traffic.send(*[generation() for _ in range(10)])
    now = utc_now()
    seen: set[UUID] = set()
    for holder in ("a", "b"):
        async with transaction(traffic.sessions) as session:
            entries = await repository.lease_entries(
                session,
                traffic.principal.project_id,
                runtimes=Track.PROGRAMS.runtimes,
                holder=holder,
                share=10,
                most=6,
                now=now,
                until=now + timedelta(seconds=30),
            )
        assert Counter(entry.evaluator_id for entry in entries) == {one.id: 2 for one in evaluators}
        assert seen.isdisjoint(entry.id for entry in entries)
        seen |= {entry.id for entry in entries}
