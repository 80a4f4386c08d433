"""Judges of production traffic: what replies and faults come to, and what is never paid for twice (P§3.5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.evals import Evals, open_evals, working
from tests.support.model_server import ModelServer
from tests.support.online import JUDGE_KEY, Traffic, generation, judge
from tests.support.waiting import eventually

from assay.core.evaluators.access import JudgeTools
from assay.core.evaluators.errors import DefinitionError
from assay.core.evaluators.models import ProviderKeyRow
from assay.core.evaluators.types import KeyState, OutputKind
from assay.core.online.judge_preview import PreparedTrials, prepare_judge, try_judge
from assay.core.online.models import BudgetRow
from assay.core.online.trends import daily_verdicts
from assay.core.projects.errors import MissingScopeError
from assay.core.projects.types import Role
from assay.db.session import transaction
from assay.kit.clock import utc_now


def says(**fields: Any) -> Callable[[str, Mapping[str, Any]], str]:
    """A model that always replies so."""
    return lambda prompt, body: json.dumps(fields)


GOOD = says(reasoning="kind words", verdict=True)


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncIterator[Evals]:
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        secret_key="a secret for keys",
    ) as opened:
        yield opened


@pytest.fixture
def traffic(evals: Evals) -> Traffic:
    return Traffic(evals)


async def test_a_judge_scores_with_its_own_key(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    models.behaviour.reply = GOOD
    choice = await traffic.key()
    evaluator = await traffic.evaluator(judge(choice))
    async with working(evals):
        await traffic.send(generation("You are great."))
        assert await traffic.settled(evaluator, 1) == {("scored", None): 1}
    [told] = await traffic.results(evaluator)
    assert told.properties["$ai_evaluation_result"] is True
    assert told.properties["$ai_evaluation_reasoning"] == "kind words"
    assert told.properties["$ai_model"] == told.properties["$ai_evaluation_model"] == "mock-judge"
    assert told.properties["$ai_provider"] == told.properties["$ai_evaluation_provider"] == "openai_compatible"
    assert told.properties["$ai_evaluation_key_type"] == "byok"
    assert told.properties["$ai_evaluation_key_id"] == str(choice.provider_key_id)
    assert told.properties["$ai_input_tokens"] > 0
    assert models.stats.last_headers["authorization"] == f"Bearer {JUDGE_KEY}"
    asked = json.dumps(models.stats.last_body)
    assert "Is it kind?" in asked
    assert "You are great." in asked
    async with evals.runtime.sessions() as session:
        key = await session.get_one(ProviderKeyRow, choice.provider_key_id)
    assert key.last_used_at is not None


def error_body(message: str, code: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()


CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}


def reply_body(content: str, finish: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return json.dumps({**CHAT, "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}).encode()


BAD = (200, reply_body("I would say yes."))
DOWN = (500, error_body("down", "server_error"))
SLOW = (429, error_body("slow down", "rate_limit"))


@dataclass(frozen=True, slots=True)
class Case:
    """What the model server answers, and what comes of it."""

    id: str
    script: list[tuple[int, bytes]]
    outcome: tuple[str, str | None]
    calls: int
    status: tuple[str, str | None] = ("active", None)
    key: str = "ok"
    skip: str | None = None
    """The reason that the result event tells; None where there is no skipped event."""
    event: dict[str, Any] = field(default_factory=dict[str, Any])
    """More of the generation."""


CASES = [
    Case(
        "401",
        [(401, error_body("no", "x"))],
        ("failed", "provider_key_invalid"),
        1,
        ("error", "provider_key_invalid"),
        "invalid",
    ),
    Case(
        "403",
        [(403, error_body("no", "x"))],
        ("failed", "provider_key_permission_denied"),
        1,
        ("error", "provider_key_permission_denied"),
        "error",
    ),
    Case(
        "quota",
        [(429, error_body("pay", "insufficient_quota"))],
        ("failed", "provider_key_quota_exceeded"),
        1,
        ("error", "provider_key_quota_exceeded"),
        "error",
    ),
    Case(
        "rate limited for good",
        [SLOW] * 3,
        ("failed", "provider_key_rate_limited"),
        3,
        ("error", "provider_key_rate_limited"),
        "error",
    ),
    Case("rate limited twice", [SLOW] * 2, ("scored", None), 3),
    Case("404", [(404, error_body("no model", "x"))], ("failed", "model_not_found"), 1, ("error", "model_not_found")),
    Case(
        "no chat",
        [(404, error_body("This is not a chat model", "x"))],
        ("failed", "model_not_supported"),
        1,
        ("error", "model_not_supported"),
    ),
    Case(
        "too long",
        [(400, error_body("maximum context length", "context_length_exceeded"))],
        ("skipped", "context_window_exceeded"),
        1,
        skip="context_window_exceeded",
    ),
    Case(
        "output limit",
        [(200, reply_body('{"reasoning": "x", "verdict": true}', "length"))],
        ("skipped", "output_limit_exceeded"),
        1,
        skip="output_limit_exceeded",
    ),
    Case("unreadable once", [BAD], ("scored", None), 2),
    Case("unreadable", [BAD] * 3, ("failed", "unparsable_response"), 3, skip="unparsable_response"),
    Case("blank", [(200, reply_body(""))] * 3, ("failed", "unparsable_response"), 3, skip="unparsable_response"),
    Case("down twice", [DOWN] * 2, ("scored", None), 3),
    Case("down", [DOWN] * 3, ("failed", "provider_unavailable"), 3),
    Case("no JSON", [(200, b"<html>")] * 3, ("failed", "provider_unavailable"), 3),
    Case("schema refused", [(400, error_body("response_format", "x"))], ("scored", None), 2),
    Case("refused", [(400, error_body("no", "x"))] * 2, ("failed", "request_rejected"), 2),
    Case("errored", [], ("skipped", "trace_errored"), 0, skip="trace_errored", event={"$ai_is_error": "true"}),
]


@pytest.mark.parametrize("part", range(3))
async def test_faults(part: int, traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    """A third of the cases, one after the other, since starting a worker takes longer than any of them."""
    async with working(evals):
        for case in CASES[part::3]:
            await check_fault(case, traffic, models)


async def check_fault(case: Case, traffic: Traffic, models: ModelServer) -> None:
    models.behaviour.reply = GOOD
    models.behaviour.script = list(case.script)
    before = models.stats.requests
    choice = await traffic.key()
    evaluator = await traffic.evaluator(judge(choice))
    await traffic.send(generation(**case.event))
    assert await traffic.settled(evaluator, 1) == {case.outcome: 1}, case.id
    assert models.stats.requests - before == case.calls, case.id
    row = await traffic.reload(evaluator)
    assert (row.status, row.status_reason) == case.status, case.id
    assert row.enabled == (row.status == "active"), case.id
    async with traffic.sessions() as session:
        assert (await session.get_one(ProviderKeyRow, choice.provider_key_id)).state == case.key, case.id
    told = await traffic.results(evaluator)
    if case.outcome[0] == "scored":
        assert told[0].properties["$ai_evaluation_result"] is True, case.id
    elif case.skip is None:
        assert told == [], case.id
    else:
        assert told[0].properties["$ai_evaluation_skip_reason"] == case.skip, case.id
        assert told[0].properties["$ai_evaluation_result"] is False, case.id
    await traffic.delete(evaluator)


async def test_a_key_that_does_not_work_is_not_used(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    async with working(evals):
        for state in (KeyState.INVALID, KeyState.ERROR, KeyState.UNKNOWN):
            evaluator = await traffic.evaluator(judge(await traffic.key(state=state)))
            await traffic.send(generation())
            assert await traffic.settled(evaluator, 1) == {("failed", "provider_key_invalid"): 1}, state
            assert (await traffic.reload(evaluator)).status_reason == "provider_key_invalid", state
            await traffic.delete(evaluator)
    assert models.stats.requests == 0


@dataclass(frozen=True, slots=True)
class Output:
    id: str
    kind: OutputKind
    config: dict[str, Any]
    reply: dict[str, Any]
    outcome: tuple[str, str | None]
    told: dict[str, Any]


NUMBERS: dict[str, Any] = {"min": 0, "max": 10, "step": None, "allows_na": True, "passing_rule": None}
WORDS: dict[str, Any] = {
    "options": [{"key": "good", "label": "Good"}, {"key": "bad", "label": "Bad"}],
    "selection_mode": "single",
    "allows_na": False,
    "passing_rule": None,
}
OUTPUTS = [
    Output(
        "not applicable",
        OutputKind.BOOLEAN,
        {"allows_na": True, "true_is_failure": False},
        {"reasoning": "r", "outcome": "N/A"},
        ("not_applicable", None),
        {"$ai_evaluation_allows_na": True, "$ai_evaluation_applicable": False},
    ),
    Output(
        "zero",
        OutputKind.NUMERIC,
        NUMBERS,
        {"reasoning": "r", "score": 0},
        ("scored", None),
        {
            "$ai_evaluation_allows_na": True,
            "$ai_evaluation_applicable": True,
            "$ai_evaluation_numeric_result": 0,
            "$ai_evaluation_numeric_result_min": 0,
            "$ai_evaluation_numeric_result_max": 10,
        },
    ),
    Output(
        "out of bounds",
        OutputKind.NUMERIC,
        NUMBERS,
        {"reasoning": "r", "score": 11},
        ("skipped", "score_out_of_bounds"),
        {"$ai_evaluation_allows_na": True, "$ai_evaluation_applicable": False},
    ),
    Output(
        "category",
        OutputKind.CATEGORICAL,
        WORDS,
        {"reasoning": "r", "categories": ["bad"]},
        ("scored", None),
        {
            "$ai_evaluation_allows_na": False,
            "$ai_evaluation_applicable": True,
            "$ai_evaluation_categorical_result": ["bad"],
        },
    ),
]


async def test_outputs(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    async with working(evals):
        for case in OUTPUTS:
            models.behaviour.reply = says(**case.reply)
            definition = judge(await traffic.key(), output=case.kind, output_config=case.config)
            evaluator = await traffic.evaluator(definition)
            await traffic.send(generation())
            assert await traffic.settled(evaluator, 1) == {case.outcome: 1}, case.id
            [told] = await traffic.results(evaluator)
            names = tuple(f"$ai_evaluation_{name}" for name in ("allows_na", "applicable", "numeric", "categorical"))
            found = {name: value for name, value in told.properties.items() if name.startswith(names)}
            assert found == case.told, case.id
            assert (await traffic.reload(evaluator)).enabled, case.id
            await traffic.delete(evaluator)


async def test_an_outage_costs_time_and_no_verdicts(
    database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer
) -> None:
    """With three failures the way is shut; entries wait without using attempts up, and one probe opens it again."""
    models.behaviour.reply = GOOD
    models.behaviour.rate_500 = 1.0
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        secret_key="a secret for keys",
        breaker_failures=3,
        judge_retry_seconds=(0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
    ) as evals:
        traffic = Traffic(evals)
        evaluator = await traffic.evaluator(judge(await traffic.key()))
        async with working(evals):
            await traffic.send(*[generation() for _ in range(4)])
            breaker = text("SELECT failures FROM provider_breakers WHERE open_until IS NOT NULL")

            async def open_breaker() -> int | None:
                async with evals.runtime.sessions() as session:
                    return await session.scalar(breaker)

            await eventually(open_breaker)
            before = models.stats.requests
            await traffic.send(*[generation() for _ in range(20)])
            models.behaviour.rate_500 = 0.0
            assert await traffic.settled(evaluator, 24, timeout=30) == {("scored", None): 24}
        # One call for each entry, the probe among them.
        assert models.stats.requests - before == 24
        async with evals.runtime.sessions() as session:
            assert await session.scalar(text("SELECT count(*) FROM provider_breakers")) == 0


BUDGETS: list[tuple[dict[str, Any], bool, str]] = [
    ({"max_calls_per_day": 3}, True, "evaluator_budget"),
    ({"max_usd_per_day": Decimal(0)}, True, "evaluator_budget"),
    # Last, since what a project has spent stays spent: three calls by the first evaluator.
    ({"max_calls_per_day": 6}, False, "project_budget"),
]


async def test_budgets(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    models.behaviour.reply = GOOD
    async with working(evals):
        for limits, own, reason in BUDGETS:
            evaluator = await traffic.evaluator(judge(await traffic.key()))
            before = models.stats.requests
            async with transaction(evals.runtime.sessions) as session:
                owner = evaluator.id if own else None
                project_id = evals.principal.project_id
                session.add(BudgetRow(project_id=project_id, evaluator_id=owner, updated_at=utc_now(), **limits))
            paid = 3 if "max_calls_per_day" in limits else 0
            await traffic.send(*[generation() for _ in range(5)])
            found = await traffic.settled(evaluator, 5)
            assert found[("over_budget", reason)] == 5 - paid
            assert found[("scored", None)] == models.stats.requests - before == paid
            assert (await traffic.reload(evaluator)).enabled
            await traffic.delete(evaluator)


async def test_a_key_is_not_sent_inside(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    """It was public when the key was stored; ``localhost`` stands for a name that leads elsewhere since."""
    choice = await traffic.key(base_url=models.url.replace("127.0.0.1", "localhost"))
    evaluator = await traffic.evaluator(judge(choice))
    async with working(evals):
        await traffic.send(generation())
        assert await traffic.settled(evaluator, 1) == {("failed", "provider_unavailable"): 1}
    assert models.stats.requests == 0
    async with evals.runtime.sessions() as session:
        detail = await session.scalar(text("SELECT detail FROM online_evaluations"))
    assert "loopback" in detail


async def test_a_judge_is_tried_before_it_is_kept(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    models.behaviour.reply = says(reasoning="short", score=4)
    choice = await traffic.key()
    events = await traffic.send(*(generation(f"answer {n}", **{"$ai_trace_id": f"t{n}"}) for n in range(7)))
    config = {"min": 1, "max": 5}

    async def prepared(**changes: Any) -> PreparedTrials:
        given: dict[str, Any] = {"prompt": "How short is it?", "output_kind": OutputKind.NUMERIC, "model": choice}
        async with evals.runtime.sessions() as session:
            return await prepare_judge(
                session, traffic.principal, output_config=config, count=5, tools=tools, **{**given, **changes}
            )

    tools = JudgeTools(evals.runtime.gateway.catalog, evals.runtime.secrets, None)
    trials = await try_judge(evals.runtime.gateway.respond_with, await prepared())
    assert [trial.judgement.score for trial in trials if trial.judgement is not None] == [4] * 5
    assert {trial.event.uuid for trial in trials} <= {event.uuid for event in events}
    assert "How short is it?" in json.dumps(models.stats.last_body)
    models.behaviour.reply = lambda prompt, body: "no JSON at all"
    trials = await try_judge(evals.runtime.gateway.respond_with, await prepared())
    assert all(trial.judgement is None and trial.error for trial in trials)
    models.behaviour.script = [(401, error_body("bad key", "invalid_api_key"))] * 5
    trials = await try_judge(evals.runtime.gateway.respond_with, await prepared())
    assert all("bad key" in (trial.error or "") for trial in trials)
    with pytest.raises(DefinitionError, match="Say what the judge"):
        await prepared(prompt=" ")
    viewer = replace(traffic.principal, role=Role.VIEWER)
    async with evals.runtime.sessions() as session:
        with pytest.raises(MissingScopeError):
            await prepare_judge(
                session,
                viewer,
                prompt="x",
                output_kind=OutputKind.BOOLEAN,
                output_config={},
                model=choice,
                count=1,
                tools=tools,
            )


async def test_pass_rates_by_day(traffic: Traffic, evals: Evals, models: ModelServer) -> None:
    models.behaviour.reply = lambda prompt, body: json.dumps({"reasoning": "r", "verdict": "good" in prompt})
    evaluator = await traffic.evaluator(judge(await traffic.key()))
    async with working(evals):
        await traffic.send(*(generation(text) for text in ("good", "good again", "poor")))
        await traffic.settled(evaluator, 3)
    async with evals.runtime.sessions() as session:
        [day] = await daily_verdicts(session, traffic.principal, evaluator.id)
    assert (day.day, day.scored, day.passed) == (utc_now().date(), 3, 2)
