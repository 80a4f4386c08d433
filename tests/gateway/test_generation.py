from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.gateway.generation import Generation, resolve_generation
from assay.kit.errors import InvalidError


@dataclass(frozen=True)
class Case:
    id: str
    config: dict[str, Any]
    want: dict[str, Any] = field(default_factory=dict[str, Any])


CASES = [
    Case("nothing", {}, {"temperature": None, "stop": (), "use_cache": True}),
    Case("null is absent", {"temperature": None, "stop": None}, {"temperature": None, "stop": ()}),
    Case("alias", {"max_gen_toks": 7}, {"max_output_tokens": 7}),
    Case("alias loses", {"max_gen_toks": 7, "max_output_tokens": 9}, {"max_output_tokens": 9}),
    Case("stops unite", {"stop": "a", "until": ["b", "a"]}, {"stop": ("a", "b")}),
    Case("greedy", {"do_sample": False}, {"temperature": 0.0}),
    Case("greedy loses to temperature", {"do_sample": False, "temperature": 0.5}, {"temperature": 0.5}),
    Case("sampling", {"do_sample": True}, {"temperature": None}),
    Case("prefill on", {"prefill_think": True}, {"prefill_think": "<think>\n"}),
    Case("prefill off", {"prefill_think": False}, {"prefill_think": None}),
    Case("prefill text", {"prefill_think": "<think>Hm"}, {"prefill_think": "<think>Hm"}),
    Case("policy", {"timeout_seconds": 5, "max_retries": 0}, {"timeout_seconds": 5.0, "max_retries": 0}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_resolution(case: Case) -> None:
    generation = resolve_generation(case.config)
    assert {name: getattr(generation, name) for name in case.want} == case.want


FAULTS: list[tuple[str, Any]] = [
    ("temperature", "hot"),
    ("temperature", True),
    ("temperature", 2.1),
    ("temperature", float("nan")),
    ("top_p", -0.1),
    ("top_k", 1.5),
    ("max_output_tokens", 0),
    ("max_gen_toks", "10"),
    ("stop", ["", "a"]),
    ("stop", 3),
    ("until", ["x"] * 65),
    ("do_sample", 1),
    ("tools", {"type": "function"}),
    ("tools", ["search"]),
    ("reasoning", "high"),
    ("truncation", "middle"),
    ("service_tier", "gold"),
    ("extra_body", []),
    ("extra_body", {"stream": True}),
    ("chat_template_kwargs", {"x": object()}),
    ("timeout_seconds", 0),
    ("max_retries", -1),
    ("max_tool_calls", 301),
    ("repetition_penalty", 0),
    ("temprature", 1),
]


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_a_fault_names_its_field(name: str, value: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        resolve_generation({name: value})
    assert (caught.value.param or "").startswith(f"generation.{name}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted({name for name, _ in FAULTS} | {"text", "tool_choice", "use_cache", "prefill_think", "instructions"})


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_resolved_or_refused(config: dict[str, Any]) -> None:
    fault: InvalidError | None = None
    try:
        assert len(resolve_generation(config).fingerprint) == 32
    except InvalidError as exc:
        fault = exc
    assert fault is None or fault.param is not None


def test_the_fingerprint_covers_what_bears_on_the_reply_and_nothing_else() -> None:
    plain = Generation(temperature=0.5)
    assert plain.fingerprint == Generation(temperature=0.5, max_retries=1, use_cache=False).fingerprint
    assert plain.fingerprint != Generation(temperature=0.6).fingerprint
    assert plain.fingerprint != Generation(temperature=0.5, extra_body={"a": 1}).fingerprint
    assert plain == Generation(temperature=0.5)
    assert plain != Generation(temperature=0.5, max_retries=1)
