"""Reading programs without running them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.sandbox import EntryPoint, Isolation, SandboxCodeError, check_program


@pytest.mark.parametrize(
    ("definition", "takes_ctx"),
    [
        ("def grade(sample, item)", False),
        ("def grade(sample, item, ctx)", True),
        ("def grade(sample, item, context)", True),
        ("def grade(sample, item, ctx=None)", True),
        ("def grade(sample, item, tolerance=0.1)", False),
        ("def grade(a, b, /, *, strict=True)", False),
        ("def grade(*arguments)", False),
        ("def grade(sample, item: dict, **options) -> float", False),
        ("def grade_batch(samples)", False),
        ("def grade_batch(samples, ctx)", True),
        ("def transform(row)", False),
        ("def transform_batch(rows)", False),
    ],
)
def test_arity(definition: str, takes_ctx: bool) -> None:
    entry_point = EntryPoint(definition.removeprefix("def ").partition("(")[0])
    assert check_program(f"{definition}:\n    pass\n", entry_point=entry_point).takes_ctx is takes_ctx


@dataclass(frozen=True)
class Bad:
    name: str
    source: str
    says: str
    line: int | None = None
    entry_point: EntryPoint = EntryPoint.GRADE


BAD = [
    Bad("empty", "", "must define `def grade(sample, item)`"),
    Bad("other entry", "def transform(row): pass", "must define `def grade(sample, item)`"),
    Bad("nested entry", "if True:\n    def grade(sample, item): pass", "at its top level"),
    Bad("syntax", "x = 1\ndef grade(sample, item:\n    pass", "syntax error", 2),
    Bad("tabs", "if 1:\n\tx = 1\n        y = 1", "syntax error", 3),
    Bad("nul", "x = '\0'", "null bytes"),
    Bad("surrogate", "x = '\ud800'", "surrogate"),
    Bad("too few", "def grade(sample): pass", "wrong arguments", 1),
    Bad("too many", "\ndef grade(sample, item, ctx, more): pass", "`grade(sample, item, ctx)`", 2),
    Bad("needs keyword", "def grade(sample, item, *, strict): pass", "wrong arguments", 1),
    Bad("ctx for rows", "def transform(row, ctx): pass", "`transform(row)`", 1, EntryPoint.TRANSFORM),
    Bad("async", "async def grade(sample, item): pass", "no `await`", 1),
    Bad("generator", "def f():\n    yield 1\ndef grade(sample, item): pass", "no generator functions", 2),
    Bad("inheritance", "class E(Exception): pass\ndef grade(sample, item): pass", "no class inheritance", 1),
    Bad("del", "def grade(sample, item):\n    del item['x']", "no `del`", 2),
    Bad("large", "#" * 300_000, "the limit is 262144"),
    Bad("deep", "x = " + "(" * 5000 + ")" * 5000, "parentheses"),
    Bad("deep operators", "x = " + "-" * 50_000 + "1", "nested too deeply"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_refused(bad: Bad) -> None:
    with pytest.raises(SandboxCodeError) as caught:
        check_program(bad.source, entry_point=bad.entry_point)
    assert bad.says in caught.value.message
    if bad.line is not None:
        assert caught.value.line == caught.value.data["line"] == bad.line
        assert f"line {bad.line}" in caught.value.message


@pytest.mark.parametrize(
    ("before", "isolation"),
    [
        ("'''Doc.'''\nimport re, math\nfrom json import dumps", Isolation.SHARED),
        ("A: int = -1\nB = ('a', (2, None))\nC = re.compile('x')\nD: str", Isolation.SHARED),
        ("def helper(a, b=(1, 2), *, c='x'):\n    d = {}\n    return d", Isolation.SHARED),
        ("A = []", Isolation.RELOADED),
        ("A = helper()", Isolation.RELOADED),
        ("def helper(a=[]): pass", Isolation.RELOADED),
        ("def helper(*, a={}): pass", Isolation.RELOADED),
        ("def helper():\n    global A\n    A = 1", Isolation.RELOADED),
        ("class A: pass", Isolation.RELOADED),
        ("@functools.cache\ndef helper(): pass", Isolation.RELOADED),
        ("for A in []: pass", Isolation.RELOADED),
        ("import decimal", Isolation.SESSION),
        ("import os.path", Isolation.SESSION),
        ("def helper():\n    from csv import reader", Isolation.SESSION),
        ("def helper():\n    exec('A = 1')", Isolation.SESSION),
    ],
)
def test_isolation(before: str, isolation: Isolation) -> None:
    source = f"{before}\ndef grade(sample, item):\n    pass\n"
    assert check_program(source, entry_point=EntryPoint.GRADE).isolation is isolation


def test_nothing_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    source = textwrap.dedent("""
        print("executed")
        raise SystemExit
        def grade(sample, item): print("executed")
    """)
    check_program(source, entry_point=EntryPoint.GRADE)
    assert capsys.readouterr().out == ""


def test_doubtful_escapes_do_not_warn() -> None:
    check_program("P = '\\d'\ndef grade(sample, item): pass", entry_point=EntryPoint.GRADE)


FRAGMENTS = st.sampled_from(
    [
        "def grade(",
        "sample",
        ", ",
        "item",
        "):",
        "\n",
        "    ",
        "pass",
        "return 1",
        "x = ",
        "[",
        "]",
        "class A",
        ":",
        "\0",
        "é",
    ]
)


@given(st.text(max_size=60) | st.lists(FRAGMENTS, max_size=20).map("".join))
def test_arbitrary_text_before_a_grader_never_escapes_the_check(text: str) -> None:
    try:
        program = check_program(f"{text}\ndef grade(sample, item): pass\n", entry_point=EntryPoint.GRADE)
    except SandboxCodeError as error:
        place = error.line
    else:
        place = None
        assert not program.takes_ctx
    assert place is None or 1 <= place <= len(text.splitlines()) + 2
