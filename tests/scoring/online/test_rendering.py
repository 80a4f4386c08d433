"""Events as text and as variables (§3.4, §5.10)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.scoring.online import (
    Event,
    TargetFacts,
    event_input,
    event_output,
    generation_variables,
    preview,
    render,
    target_variables,
)


def event(name: str = "$ai_generation", **properties: Any) -> Event:
    named = {f"$ai_{key}": value for key, value in properties.items()}
    return Event(uuid="u", event=name, distinct_id="d", properties=named, timestamp="2024-01-01T00:00:00Z")


CALL = {"id": "c1", "function": {"name": "find", "arguments": {"q": "é"}}}


RENDERED: list[tuple[Any, str]] = [
        (None, ""),
        ("", ""),
        ([], ""),
        ({}, ""),
        (0, ""),
        ("as is", "as is"),
        (["a", "b"], "a\nb"),
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}], "user: hi\nassistant: yo"),
        ({"role": "user"}, "user:"),
        ({"content": "only text"}, "only text"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"content": "b"}, "c"]}, "user: a b c"),
        ({"role": "user", "content": [{"type": "image"}]}, 'user: {"type": "image"}'),
        ({"role": "assistant", "content": "ok", "tool_calls": [CALL]},
         'assistant: ok [tool_call c1: find({"q": "\\u00e9"})]'),
        ({"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
         "assistant: [tool_call: f({})]"),
        ({"role": "tool", "tool_call_id": "c1", "content": "42"}, "tool[c1]: 42"),
        ({"role": "tool", "content": "42"}, "tool: 42"),
        ({"a": 1}, '{"a": 1}'),
        ([{}, "x"], "x"),
        ({"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]}, "user: a b"),
        ({"role": "assistant", "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "ok"},
            {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}},
        ]}, 'assistant: ok [tool_call 1: f({"a": 1})]\nthinking: hm'),
        ({"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "42"}]}, "tool[1]: 42"),
        ({"role": "user", "parts": [{"type": "blob", "modality": "image"}, {"type": "uri"}]}, "user: [image] [uri]"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), RENDERED)
def test_render(value: Any, text: str) -> None:
    assert render(value) == text


def test_deep_values_render() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert render(deep) == "[nested too deeply]"


def test_preview_is_short() -> None:
    assert preview("x" * 500) == "x" * 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "tool_calls", "type", "text", "id", "function", "name"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_anything_renders(value: Any) -> None:
    assert isinstance(render(value), str)


def test_where_input_and_output_are() -> None:
    full = event(input="i", input_state="s", output_choices=["c"], output="o", output_state="t")
    assert (event_input(full), event_output(full)) == ("i", ["c"])
    states = event(input=[], input_state="s", output_choices=None, output="", output_state="t")
    assert (event_input(states), event_output(states)) == ("s", "t")
    assert event_output(event(output_choices=[], output="o")) == "o"
    assert (event_input(event()), event_output(event())) == ("", "")
    span = event("$ai_span", input="i", input_state="s", output="o")
    assert (event_input(span), event_output(span)) == ("s", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain", "plain"), ([{"a": "é"}], '[{"a": "\\u00e9"}]'), ({"a": 1}, '{"a": 1}'), (5, "5"), (True, "True"),
     (None, "")],
)  # fmt: skip
def test_input_and_output_are_text(value: Any, text: str) -> None:
    variables = generation_variables(event(input=value, output_choices=value))
    assert (variables["input"], variables["output"]) == (text, text)


def test_variables_of_a_generation() -> None:
    choices = [{"role": "assistant", "content": "yo"}]
    variables = generation_variables(event(input="hi", output_choices=choices, model="m", latency=1.5, tools=[1]))
    assert set(variables) == {"input", "output", "properties", "event", "target", "evaluation_events"}
    assert variables["properties"]["$ai_input"] == "hi"
    assert variables["event"] == {"uuid": "u", "event": "$ai_generation", "distinct_id": "d"}
    assert variables["target"] == {
        "type": "generation", "id": "u", "total_cost_usd": None, "total_latency_seconds": 1.5,
    }  # fmt: skip
    assert variables["evaluation_events"] == [
        {
            "uuid": "u",
            "event": "$ai_generation",
            "timestamp": "2024-01-01T00:00:00Z",
            "input": "hi",
            "output": choices,
            "input_text": "hi",
            "output_text": "assistant: yo",
            "properties": {"$ai_model": "m", "$ai_latency": 1.5},
        }
    ]


def test_variables_of_a_trace() -> None:
    facts = TargetFacts(type="trace", id="t", total_cost_usd=0.5)
    variables = target_variables(facts, [event(input="hi"), event("$ai_span")])
    assert set(variables) == {"target", "evaluation_events", "trace", "events"}
    assert variables["trace"] == {"id": "t", "event_count": 2}
    assert "input_text" in variables["evaluation_events"][0]
    assert "input_text" not in variables["events"][0]


def test_variables_of_a_session() -> None:
    variables = target_variables(TargetFacts(type="session", id="s"), [event()])
    assert set(variables) == {"target", "evaluation_events"}
