"""Which events fire (§3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.scoring.online import Condition, Event, PropertyFilter, decide, sampling_percentage
from assay.scoring.online.conditions import is_sampled
from assay.scoring.online.operators import NEGATIONS, OPERATORS, FilterError, holds

NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)


def event(properties: Mapping[str, Any] | None = None, *, name: str = "$ai_generation", uuid: str = "u") -> Event:
    return Event(
        uuid=uuid,
        event=name,
        distinct_id="d",
        properties=properties or {},
        person_properties={"plan": "pro"},
    )


@pytest.mark.parametrize(
    ("uuid", "percentage"),
    [
        ("00000000-0000-4000-8000-000000000001", 26.49),
        ("00000000-0000-4000-8000-000000000002", 92.91),
        ("00000000-0000-4000-8000-000000000003", 49.07),
        ("00000000-0000-4000-8000-000000000004", 33.51),
    ],
)
def test_sampling_vectors(uuid: str, percentage: float) -> None:
    assert sampling_percentage(uuid) == percentage
    assert is_sampled(uuid, percentage + 0.01)
    assert not is_sampled(uuid, percentage)


@given(st.text())
def test_sampling_ends(key: str) -> None:
    assert is_sampled(key, 100)
    assert not is_sampled(key, 0)


HOLDS = [
    ("exact", "a", "a"),
    ("exact", "a", ["x", "a"]),
    ("exact", True, "true"),
    ("exact", "false", False),
    ("exact", 5, "5"),
    ("exact", "5.0", 5),
    ("is_not", "a", "b"),
    ("is_not", None, "b"),
    ("icontains", "Hello", "ELL"),
    ("icontains", 123, "2"),
    ("icontains", "abc", ["x", "B"]),
    ("not_icontains", "abc", ["x", "y"]),
    ("not_icontains", None, "x"),
    ("regex", "abc", "b.$"),
    ("not_regex", "abc", "^b"),
    ("not_regex", None, "b"),
    ("gt", 10, "9"),
    ("gt", "b", "a"),
    ("gte", 5, 5),
    ("lt", "9", "10"),
    ("lte", 1.5, 1.5),
    ("between", 5, [5, 6]),
    ("not_between", 7, [5, 6]),
    ("is_set", 0, None),
    ("is_not_set", None, None),
    ("in", "a", ["a"]),
    ("not_in", "b", ["a"]),
    ("not_in", None, ["a"]),
    ("is_date_exact", "2024-06-15T08:00:00Z", "2024-06-15"),
    ("is_date_exact", "2024-06-08", "-7d"),
    ("is_date_before", "2024-06-01", "-7d"),
    ("is_date_after", "2024-06-14T13:00:00+00:00", "-1d"),
    ("is_date_after", 1718452800, "2024-06-15"),
    ("semver_eq", "1.2.0", "1.2"),
    ("semver_neq", "1.2", "1.3"),
    ("semver_gt", "1.10.0", "1.9"),
    ("semver_gte", "1.9", "1.9.0"),
    ("semver_lt", "v1.9", "1.10"),
    ("semver_lte", "1.9", "1.10"),
]
FAILS = [
    ("exact", "a", "b"),
    ("exact", None, None),
    ("exact", 1, True),
    ("is_not", "a", ["a", "b"]),
    ("icontains", None, ""),
    ("regex", "abc", "^b"),
    ("gt", 9, "10"),
    ("lt", None, 5),
    ("between", 7, [5, 6]),
    ("not_between", None, [5, 6]),
    ("is_set", None, None),
    ("is_not_set", False, None),
    ("in", "a", "a"),
    ("is_date_before", "2024-06-15", "2024-06-15"),
    ("semver_gt", "1.2", "1.2.0"),
]


@pytest.mark.parametrize(("operator", "value", "wanted"), HOLDS)
def test_operator_holds(operator: str, value: Any, wanted: Any) -> None:
    assert holds(operator, value, wanted, NOW)


@pytest.mark.parametrize(("operator", "value", "wanted"), FAILS)
def test_operator_does_not_hold(operator: str, value: Any, wanted: Any) -> None:
    assert not holds(operator, value, wanted, NOW)


@pytest.mark.parametrize(
    ("operator", "value", "wanted"),
    [
        ("regex", "a", "("),
        ("regex", "a", r"(a)\1"),
        ("regex", "a", 5),
        ("between", 1, [1]),
        ("is_date_before", "soon", "2024-01-01"),
        ("is_date_before", "2024-01-01", "soon"),
        ("semver_gt", "none", "1.0"),
        ("like", "a", "a"),
    ],
)
def test_bad_filters(operator: str, value: Any, wanted: Any) -> None:
    with pytest.raises(FilterError):
        holds(operator, value, wanted, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from([*OPERATORS, *NEGATIONS, "not_between"]), JSON, JSON)
def test_any_filter_answers_or_is_bad(operator: str, value: Any, wanted: Any) -> None:
    with suppress(FilterError):
        assert holds(operator, value, wanted, NOW) in (True, False)


def condition(*filters: dict[str, Any], rollout: float = 100, name: str = "c") -> Condition:
    return Condition.from_wire({"id": name, "rollout_percentage": rollout, "properties": list(filters)})


MODEL = {"key": "$ai_model", "value": "m", "operator": "exact", "type": "event"}


def test_defaults_of_the_wire() -> None:
    assert Condition.from_wire({"id": "c"}) == Condition(id="c", rollout_percentage=100.0, properties=[])
    assert PropertyFilter.from_wire({"key": "k", "value": 1}) == PropertyFilter(key="k", value=1)


def test_only_generations_fire() -> None:
    assert decide(event(), [condition()], now=NOW).fires
    assert not decide(event(name="$ai_span"), [condition()], now=NOW).fires
    assert not decide(event(name="$ai_evaluation"), [condition()], now=NOW).fires


def test_no_conditions_never_fire() -> None:
    assert not decide(event(), [], now=NOW).fires


def test_filters_of_a_set_must_all_hold() -> None:
    both = condition(MODEL, {"key": "plan", "value": "pro", "type": "person"})
    assert decide(event({"$ai_model": "m"}), [both], now=NOW).condition_id == "c"
    assert not decide(event({"$ai_model": "x"}), [both], now=NOW).fires


def test_the_first_set_that_samples_in_fires() -> None:
    sets = [condition(rollout=0, name="a"), condition(MODEL, name="b"), condition(name="c"), condition(name="d")]
    decision = decide(event(), sets, now=NOW)
    assert (decision.fires, decision.condition_id) == (True, "c")


def test_sampled_out_is_told_from_unmatched() -> None:
    assert decide(event(), [condition(rollout=0)], now=NOW).sampled_out
    assert not decide(event(), [condition(MODEL)], now=NOW).sampled_out
    assert decide(event(), [condition(rollout=0)], now=NOW, ignore_rollout=True).fires


def test_the_sampling_key_may_be_another() -> None:
    half = [condition(rollout=50)]
    key = "00000000-0000-4000-8000-000000000001"
    assert decide(event(uuid="x"), half, now=NOW, sampling_key=key).fires
    assert not decide(event(uuid=key), half, now=NOW, sampling_key="00000000-0000-4000-8000-000000000002").fires


@pytest.mark.parametrize("kind", ["cohort", "group", "element", "feature", "hogql"])
def test_what_cannot_be_evaluated_does_not_match_and_says_so(kind: str) -> None:
    decision = decide(event({"k": 1}), [condition({"key": "k", "value": 1, "type": kind})], now=NOW)
    assert not decision.fires
    assert decision.problems == (f"k: filters of type `{kind}` are not supported",)


@pytest.mark.parametrize(("answer", "fires"), [(True, True), (False, False), (1, False), (None, False)])
def test_expressions_must_be_true(answer: object, fires: bool) -> None:
    seen: list[tuple[str, Mapping[str, Any]]] = []

    def evaluate(text: str, variables: Mapping[str, Any]) -> object:
        seen.append((text, variables))
        return answer

    filters = condition({"key": "properties.a = 1", "type": "hogql"})
    assert decide(event({"a": 1}), [filters], now=NOW, evaluate_expression=evaluate).fires is fires
    [(text, variables)] = seen
    assert text == "properties.a = 1"
    assert variables["properties"] == {"a": 1}
    assert variables["person"] == {"properties": {"plan": "pro"}}
