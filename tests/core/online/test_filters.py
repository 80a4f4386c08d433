"""Filters of type ``hogql``: expressions of Hog on an event (P§3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from assay.core.online.filters import evaluate_expression
from assay.kit.clock import utc_now
from assay.scoring.online import Condition, Event, decide
from assay.scoring.online.conditions import expression_variables

EVENT = Event(
    uuid="00000000-0000-4000-8000-000000000001",
    event="$ai_generation",
    distinct_id="ann",
    properties={
        "$ai_model": "gpt-5-mini",
        "$ai_latency": 2.5,
        "$ai_input": [{"role": "user", "content": "Where is my ORDER?"}],
        "tags": ["beta", "eu"],
    },
    person_properties={"plan": "pro"},
)

HOLD = [
    "true",
    "event = '$ai_generation'",
    "distinct_id == 'ann'",
    "properties.$ai_model = 'gpt-5-mini'",
    "properties['$ai_latency'] > 2 and properties.$ai_latency < 3",
    "properties.$ai_model ilike 'GPT%' or false",
    "properties.$ai_model =~ '^gpt-[0-9]'",
    "person.properties.plan in ('pro', 'team')",
    "has(properties.tags, 'eu')",
    "properties.missing is null",
    "lower(properties.$ai_input[1].content) like '%order%'",
    "not empty(properties.tags)",
    "if(properties.$ai_latency > 1, true, false)",
    " \n true -- so it is\n",
]
DO_NOT_HOLD = [
    "false",
    "1",
    "'true'",
    "null",
    "[]",
    "properties.$ai_model",
    "properties.$ai_model != 'gpt-5-mini'",
    "properties.missing > 3",
    "person.properties.plan = 'free'",
]
FAIL = [
    ("", "Expected an expression"),
    ("return true", "Expected"),
    ("true; true", "Expected an operator or the end"),
    ("true) or (true", "Expected an operator or the end"),
    ("properties.$ai_model = ", "Expected an expression"),
    ("nothing_of_this_name = 1", "nothing_of_this_name"),
    ("no_such_function(1)", "no_such_function"),
    ("match(properties.$ai_model, '(')", "Invalid regular expression"),
    ("arrayCount(x -> true, range(1, 1000000)) > 0", "steps"),
    (f"{'(' * 500}true{')' * 500}", "deep"),
    (f"'{'x' * 70_000}' = ''", "limit is 65536"),
]


def decided(expression: Any, event: Event = EVENT) -> tuple[bool, tuple[str, ...]]:
    condition = Condition.from_wire({"id": "c", "properties": [{"key": expression, "type": "hogql"}]})
    decision = decide(event, [condition], now=utc_now(), evaluate_expression=evaluate_expression)
    return decision.fires, decision.problems


@pytest.mark.parametrize("expression", HOLD)
def test_what_holds(expression: str) -> None:
    assert decided(expression) == (True, ())


@pytest.mark.parametrize("expression", DO_NOT_HOLD)
def test_only_true_matches(expression: str) -> None:
    assert decided(expression) == (False, ())


@pytest.mark.parametrize(("expression", "said"), FAIL)
def test_what_fails_does_not_match_and_says_why(expression: str, said: str) -> None:
    fires, problems = decided(expression)
    assert not fires
    [problem] = problems
    assert said in problem


def test_a_long_text_can_be_searched_but_not_for_ever() -> None:
    def holding(text: str) -> Event:
        return Event(uuid="u", event="$ai_generation", distinct_id="d", properties={"text": text})

    assert decided("properties.text like '%needle%'", holding("x" * 1_000_000 + "needle")) == (True, ())
    fires, problems = decided(r"properties.text =~ '(\\w+\\s?){200}!'", holding("x" * 1_000_000))
    assert not fires
    assert "costly" in problems[0] or "steps" in problems[0]


def test_an_event_is_not_changed() -> None:
    variables = expression_variables(EVENT)
    before = repr(variables)
    assert evaluate_expression("arrayPushBack(properties.tags, 'new')", variables) == ["beta", "eu", "new"]
    assert repr(variables) == before
