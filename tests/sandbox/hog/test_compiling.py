"""What is refused before it runs, and that nothing but `HogCompileError` refuses it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sandbox.hog.programs import compile_error, run

from assay.sandbox.hog import HogCompileError, HogLimits, compile_program, run_program
from assay.sandbox.hog.limits import MAX_SOURCE_BYTES

REFUSED = [
    ("return 'abc", "does not end"),
    ("return f'abc", "does not end"),
    ("return f'{1", "does not end"),
    ("return f'{}'", "Expected an expression"),
    (r"return '\d'", r"Unknown escape `\d`"),
    (r"return '\xZZ'", r"Unknown escape `\x`"),
    ("/* comment", "does not end"),
    ("return 1 & 2", "Unexpected character '&'"),
    ("return 1 | 2", "Unexpected character '|'"),
    ("return !a", "Unexpected character '!'"),
    ("return @a", "Unexpected character '@'"),
    ("return #", "Unexpected character '#'"),
    ("return 0o17", "must not touch a name"),
    ("return 12ab", "must not touch a name"),
    (f"return {'9' * 5000}", "too large"),
    ("let a := 1 let a := 2", "`a` is already declared"),
    ("fn f() {} fn f() {}", "`f` is already declared"),
    ("fn f(a) { let a := 1 }", "`a` is already declared"),
    ("fn f(a, a) {}", "named twice"),
    ("for (let a, a in []) {}", "named twice"),
    ("a := 1", "`a` is not declared"),
    ("input := 1", "`input` is not declared"),
    ("properties.a := 1", "globals cannot be changed"),
    ("{ let a := 1 } a := 2", "`a` is not declared"),
    ("f() := 1", "Only a variable"),
    ("1 + 1 := 1", "Only a variable"),
    ("return [1][0]", "start from 1"),
    ("return a.0", "start from 1"),
    ("let a := [1] a[0] := 1", "start from 1"),
    ("try { } catch (e) { } finally { }", "`finally` is not part"),
    ("try { } finally { }", "`finally` is not part"),
    ("try { }", "at least one `catch`"),
    ("catch (e) {}", "`catch` without `try`"),
    ("else {}", "`else` without `if`"),
    ("while (true) { break }", "`break` is not part"),
    ("while (true) { continue; }", "`continue` is not part"),
    ("for (;;) {}", "a condition in `for`"),
    ("let x = 1", "`:=`"),
    ("let if := 1", "cannot name a variable"),
    ("let null := 1", "cannot name a variable"),
    ("return (1", "Expected `,` or `)`"),
    ("return [1 2]", "Expected `,` or `]`"),
    ("return {'a' 1}", "Expected `:`"),
    ("if true {}", "Expected `(` after `if`"),
    ("return case 1 end", "`when`"),
    ("return 1 is 2", "`null` after `is`"),
    ("return a.", "name of a property"),
    ("{ let a := 1", "`}` at the end of a block"),
    ("return )", "Expected an expression"),
    ("return properties.user-name", "['user-name']"),
]


@pytest.mark.parametrize(("source", "fragment"), REFUSED, ids=lambda text: text[:50])
def test_refused(source: str, fragment: str) -> None:
    assert fragment in compile_error(source).message


def test_the_error_shows_the_place() -> None:
    error = compile_error("let a := 1\n\tlet b := ?\nreturn a")
    assert error.data == {"line": 2, "column": 11, "source_line": "\tlet b := ?", "caret": "\t         ^"}
    assert error.message.endswith("(line 2, column 11)")


def test_the_excerpt_of_a_long_line_is_short() -> None:
    data = compile_error("1 " * 5000 + "&").data
    assert len(data["source_line"]) <= 200
    assert data["source_line"][data["caret"].index("^")] == "&"


@pytest.mark.parametrize(
    "source",
    ["let b := 1 return {'a': 5}.a-b", "let c := 1 return properties.a - c", "return properties.a-target.b"],
)
def test_a_hyphen_may_be_a_minus(source: str) -> None:
    compile_program(source)


@pytest.mark.parametrize("opening", ["(", "[", "{'a':", "not ", "- ", "f(", "x -> ", "{", "if (1) ", "f'{", "1 ? 1 : "])
def test_deep_nesting_is_refused(opening: str) -> None:
    assert "nested too deeply" in compile_error(opening * 1000).message


def test_nesting_below_the_bound_runs() -> None:
    assert run(f"return {'(' * 90}1{')' * 90}").value == 1
    assert run(f"return {'[' * 90}1{']' * 90}").error is None


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("return " + " + ".join(["1"] * 10_000), 10_000),
        ("return " + " || ".join(["'a'"] * 5_000), "a" * 5_000),
        ("return x" + ".a" * 20_000, None),
        ("let f := () -> null return f()" + "?.a" * 10_000, None),
        ("if (0) {}" + " else if (0) {}" * 3_000 + " else return 1", 1),
        ("return false" + " or false" * 5_000, False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_long_chains_do_not_nest(source: str, value: object) -> None:
    assert run(source, x={}).value == value


def test_the_source_is_bounded() -> None:
    compile_program(" " * MAX_SOURCE_BYTES)
    assert "the limit is" in compile_error("é" * (MAX_SOURCE_BYTES // 2 + 1)).message


def test_braces_in_a_row_take_linear_time() -> None:
    compile_program("{}" * (MAX_SOURCE_BYTES // 2))


VOCABULARY = """
    let fn return if else while for in try catch throw and or not between is null case when then end a b typeof print
    ( ) [ ] { } , ; : ? . := -> ?? ?. + - * / % = < =~ || like 'x' f'a{1}b' f'{ 1 0x1F .5 "q" `q` -- /*
"""
WORDS = st.sampled_from(VOCABULARY.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=100))
def test_any_text_compiles_and_runs_or_is_refused(source: str) -> None:
    try:
        program = compile_program(source)
    except HogCompileError:
        return
    outcome = run_program(program, {}, limits=HogLimits(seconds=0.5, steps=20_000, memory_bytes=100_000))
    assert outcome.error is None or not outcome.error.text.startswith("Unexpected"), outcome.error
