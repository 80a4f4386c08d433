"""Programs that want to hang, fill or crash their host, each stopped by the limit that is meant for it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.hog.programs import run

from assay.sandbox.hog import HogFailureKind, HogLimits, compile_program, run_program

LIMITS = HogLimits(seconds=0.3)

ENDLESS = [
    "while (true) {}",
    "for (let i := 0; true; i := i + 1) {}",
    "fn f() { while (true) { arrayMap(x -> x, [1, 2]) } } f()",
    "while (true) { try { throw Error('x') } catch (e) {} }",
    "while (true) { print('x') }",
    "while (true) { let a := range(1000) }",
    # A small value whose text, comparison or encoding is endless.
    "let a := [1] let b := [1] for (let i := 0; i < 60; i := i + 1) { a := [a, a] b := [b, b] } return a = b",
    "let a := [] for (let i := 0; i < 60; i := i + 1) { a := [a, a] } return toString(a)",
    "let a := [] for (let i := 0; i < 60; i := i + 1) { a := [a, a] } return jsonStringify(a)",
    "let t := reverse(arrayStringConcat(range(100000), ' ')) while (true) { let x := t =~ '(x+x+)+y' }",
]
BOMBS = [
    "let a := 'x' while (true) { a := a || a }",
    "let a := 'x' while (true) { a := a + a }",
    "let a := [1] while (true) { a := a + a }",
    "return range(100000000)",
    "return length(range(1e15))",
    "let a := 'x' while (true) { a := f'{a}{a}' }",
    "let a := arrayStringConcat(range(100000), 'x') return replaceAll(a, '', a)",
    "let a := arrayStringConcat(range(100000), 'x') return replaceAll(a, 'x', a)",
    "let a := arrayStringConcat(range(1000000), '') return arrayStringConcat(range(100), a)",
    "let a := '' || range(500000) let b := [] while (true) { b := arrayPushBack(b, a || length(b)) }",
    "let a := '' || range(2000000) return encodeURLComponent(a)",
    "let a := range(1000000) print(a, a, a, a, a, a, a, a, a, a, a, a)",
    "let a := [] while (true) { a := {'next': a, 'more': range(10000)} }",
    "let a := [] fn f() { let x := range(100000) return () -> x } while (true) { a := [a, f()] }",
    "let a := 'x' for (let i := 0; i < 24; i := i + 1) { a := a || a } return formatDateTime(now(), a)",
]


@pytest.mark.parametrize("source", ENDLESS, ids=lambda source: source[:50])
def test_endless(source: str) -> None:
    start = time.monotonic()
    outcome = run_program(compile_program(source), {}, limits=LIMITS)
    assert outcome.error is not None
    assert outcome.error.kind is HogFailureKind.TIMEOUT
    assert "timed out after 0.3s" in outcome.error.text
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:50])
def test_memory_bomb(source: str) -> None:
    outcome = run_program(compile_program(source), {})
    assert outcome.error is not None
    assert outcome.error.kind is HogFailureKind.MEMORY
    assert "Memory limit of 64 MB exceeded" in outcome.error.text


def test_garbage_is_no_use_of_memory() -> None:
    loop = "for (let i := 0; i < 300; i := i + 1) { a := arrayStringConcat(range(1000), 'x') }"
    source = f"let a := '' {loop} return length(a)"
    outcome = run_program(compile_program(source), {}, limits=HogLimits(memory_bytes=1_000_000))
    assert outcome.error is None
    assert outcome.value == 2890 + 999


def test_steps_run_out() -> None:
    outcome = run_program(compile_program("while (true) {}"), {}, limits=HogLimits(steps=1000))
    assert outcome.error is not None
    assert "1000 steps before its 10s" in outcome.error.text
    assert "timed out" in outcome.error.text


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("fn f(n) { return f(n + 1) } return f(1)", "Maximum call depth exceeded: 1000"),
        ("fn f() { return arrayMap(x -> f(), [1]) } return f()", "Maximum call depth exceeded"),
        ("let a := 3 while (true) { a := a * a }", "Integer too large"),
        ("let a := 1 while (true) { a := a + a }", "Integer too large"),
        ("let a := [] for (let i := 0; i < 10000; i := i + 1) { a := [a] } return toString(a)", "nested too deeply"),
        ("let a := [] for (let i := 0; i < 10000; i := i + 1) { a := [a] } return jsonStringify(a)", "too deeply"),
        (
            "let a := [] let b := [] for (let i := 0; i < 10000; i := i + 1) { a := [a] b := [b] } return a = b",
            "deeply",
        ),
        ("return jsonParse(arrayStringConcat(arrayMap(x -> '[', range(100000))))", "nested too deeply"),
        ("return 'a' =~ arrayStringConcat(range(1000))", "longer than 1000 characters"),
        ("return 'a' =~ '((a{100}){100}){100}'", "Invalid regular expression"),
        ("return toString(range(1000000)) =~ '(.?){400}x{400}'", "too costly"),
    ],
    ids=lambda text: text[:50],
)
def test_other_bounds(source: str, fragment: str) -> None:
    outcome = run(source)
    assert outcome.error is not None
    assert fragment in outcome.error.text


def test_a_deep_value_is_dropped_in_peace() -> None:
    assert run("let a := [] for (let i := 0; i < 50000; i := i + 1) { a := [a] } return 1").value == 1


def test_recursion_below_the_bound_works() -> None:
    assert run("fn f(n) { if (n = 0) return 0; return 1 + f(n - 1) } return f(990)").value == 990


def test_output_is_cut() -> None:
    limits = HogLimits(printed_characters=100)
    source = "for (let i := 0; i < 1000; i := i + 1) { print('0123456789') } return true"
    outcome = run_program(compile_program(source), {}, limits=limits)
    assert outcome.value is True
    assert outcome.printed[-1] == "[output cut after 100 characters]"
    assert len(outcome.printed) == 11


def test_a_deep_global_is_refused() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    outcome = run("return g", g=deep)
    assert outcome.error is not None
    assert "nested too deeply" in outcome.error.text


def test_a_global_that_is_no_json_is_the_hosts_fault() -> None:
    outcome = run("return g", g=object())
    assert outcome.error is not None
    assert outcome.error.kind is HogFailureKind.UNEXPECTED
    assert outcome.error.text.startswith("Unexpected error")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back(value: object) -> None:
    outcome = run("return jsonParse(jsonStringify(g))", g=value)
    assert repr(outcome.value) == repr(value)


@given(JSON)
def test_printed_text_is_source_that_makes_the_value(value: object) -> None:
    [text] = run("print([g])", g=value).printed
    again = run(f"return {text}")
    assert again.error is None
    assert again.value == [value]
