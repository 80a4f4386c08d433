"""What every sandbox backend must do with well-meant code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.sandbox.support import ENDLESS, EXACT, QUICK, cases, grade_one, program, returning

from assay.sandbox import (
    BatchGraded,
    Case,
    CodeFailure,
    EntryPoint,
    FailureKind,
    Graded,
    Isolation,
    Limits,
    MontySandbox,
    Sandbox,
    SandboxCodeError,
    SandboxInputError,
    SandboxUnavailableError,
    Transformed,
    TransformedBatch,
)
from assay.sandbox.failures import AVAILABLE_MODULES


# ---------------------------------------------------------------- results
@dataclass(frozen=True)
class Returned:
    expression: str
    expected: Graded


RETURNED = [
    Returned("0.25", Graded({"score": 0.25})),
    Returned("3", Graded({"score": 3.0})),
    Returned("True", Graded({"score": 1.0})),
    Returned('{"f1": 0.5, "exact": False}', Graded({"f1": 0.5, "exact": 0.0})),
    Returned('{"scores": 0.5}', Graded({"scores": 0.5})),
    Returned(
        '{"scores": {"a": 1}, "judge": {"why": ["x", None]}, "extracted_output": "P"}',
        Graded({"a": 1.0}, judge={"why": ["x", None]}, extracted_output="P"),
    ),
    Returned('{"scores": {"a": 1}, "judge": None, "extracted_output": None}', Graded({"a": 1.0})),
]


@pytest.mark.parametrize("case", RETURNED, ids=lambda case: case.expression)
async def test_result_forms(sandbox: Sandbox, case: Returned) -> None:
    assert await grade_one(sandbox, returning(case.expression)) == case.expected


REFUSED = {
    "None": "nothing (None)",
    "'0.5'": "a string",
    "[1]": "a list",
    "{}": "1 to 100 metrics",
    "{1, 2}": "'set'",
    "1j": "'complex'",
    "b'1'": "'bytes'",
    "lambda: 1": "'function'",
    "{'a': {1}}": "JSON cannot express",
    "float('nan')": "nan",
    "float('inf')": "inf",
    "{'a': -float('inf')}": "'a' is -inf",
    "10 ** 400": "too large for a float",
    "10 ** 5000": "too large for a float",
    "{'a': '1'}": "a string",
    "{'a' * 129: 1}": "128 characters",
    "{'': 1}": "128 characters",
    "{str(i): i for i in range(101)}": "1 to 100 metrics",
    "{'scores': {'a': 1}, 'other': 2}": "'other'",
    "{'scores': {'a': 1}, 'judge': 'good'}": '"judge" must be a dict',
    "{'scores': {'a': 1}, 'judge': {'x': float('nan')}}": "nan",
    "{'scores': {'a': 1}, 'extracted_output': 1}": '"extracted_output" must be a string',
    "{'scores': {'a': 1}, 'extracted_output': 'a\\0b'}": "NUL",
    "{'scores': {'a': 1}, 'extracted_output': 'x' * 2_000_000}": "the limit is 1048576",
}


@pytest.mark.parametrize("expression", REFUSED)
async def test_refused_results(sandbox: Sandbox, expression: str) -> None:
    outcome = await grade_one(sandbox, returning(expression))
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.RESULT
    assert REFUSED[expression] in outcome.message


async def test_metric_id_names_a_bare_number(sandbox: Sandbox) -> None:
    assert await sandbox.grade(EXACT, cases("Paris"), metric_id="em") == [Graded({"em": 1.0})]


async def test_no_cases(sandbox: Sandbox) -> None:
    assert await sandbox.grade(EXACT, []) == []


async def test_outcomes_keep_the_order_of_cases_over_many_chunks(sandbox: Sandbox) -> None:
    code = program("def grade(sample, item):\n    return sample['index'] // item['target']\n")
    outcomes = await sandbox.grade(code, cases(*[i % 7 for i in range(600)]))
    for index, outcome in enumerate(outcomes):
        if index % 7 == 0:
            assert isinstance(outcome, CodeFailure)
            assert outcome.kind is FailureKind.EXCEPTION
        else:
            assert outcome == Graded({"score": float(index // (index % 7))})


async def test_text_crosses_unharmed(sandbox: Sandbox) -> None:
    code = program("""
        def grade(sample, item):
            return {"scores": {"n": len(item["target"])}, "extracted_output": item["target"]}
    """)
    text = 'naïve 日本語 🦀 "quoted" \\ \u2028 \x7f\t'
    [outcome] = await sandbox.grade(code, cases(text))
    assert outcome == Graded({"n": float(len(text))}, extracted_output=text)


async def test_what_is_printed_belongs_to_its_case_and_is_no_result(sandbox: Sandbox) -> None:
    code = program("""
        import sys
        def grade(sample, item):
            print('"=1.0"', item["target"])
            print("[1, 1]", file=sys.stderr)
            return 0
    """)
    outcomes = await sandbox.grade(code, cases("a", "b"))
    assert outcomes == [
        Graded({"score": 0.0}, printed='"=1.0" a\n[1, 1]\n'),
        Graded({"score": 0.0}, printed='"=1.0" b\n[1, 1]\n'),
    ]


async def test_failure_tells_line_and_what_was_printed(sandbox: Sandbox) -> None:
    code = program("""
        def helper(text):
            return text / 2

        def grade(sample, item):
            print("before")
            return helper(item["target"])
    """)
    outcome = await grade_one(sandbox, code)
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.EXCEPTION
    assert outcome.message.startswith("TypeError: ")
    assert outcome.line == 3
    assert outcome.printed == "before\n"


# ---------------------------------------------------------------- isolation
STATEFUL = {
    "list in a global": "seen = []\ndef grade(sample, item):\n    seen.append(1)\n    return len(seen)\n",
    "rebound global": "n = 0\ndef grade(sample, item):\n    global n\n    n += 1\n    return n\n",
    "mutable default": "def grade(sample, item, seen=[]):\n    seen.append(1)\n    return len(seen)\n",
    "class attribute": "class A:\n    n = 0\ndef grade(sample, item):\n    A.n += 1\n    return A.n\n",
    "changed arguments": (
        "def grade(sample, item):\n    item['tags'].append(1)\n    sample['n'] = sample.get('n', 0) + 1\n"
        "    return {'a': len(item['tags']), 'b': sample['n']}\n"
    ),
    "changed metadata": (
        "def grade(sample, item, ctx):\n    ctx.metadata['n'] = ctx.metadata.get('n', 0) + 1\n"
        "    return ctx.metadata['n']\n"
    ),
    "decimal context": (
        "import decimal\ndef grade(sample, item):\n    decimal.getcontext().prec -= 1\n"
        "    return decimal.getcontext().prec - 26\n"
    ),
    "cache": "import functools\n@functools.cache\ndef size(n):\n    return [n]\n"
    "def grade(sample, item):\n    size(1).append(1)\n    return len(size(1)) - 1\n",
    "random": (
        "import random\nFIRST = random.random()\ndef grade(sample, item):\n"
        "    return 1 if random.random() == random.Random(0).random() else 0\n"
    ),
}


@pytest.mark.parametrize("name", STATEFUL)
async def test_cases_share_no_state(sandbox: Sandbox, name: str) -> None:
    item = {"tags": list[int]()}
    shared = [Case({"x": 1}, item)] * 3
    outcomes = await sandbox.grade(program(STATEFUL[name]), shared)
    assert isinstance(outcomes[0], Graded), outcomes[0]
    assert set(outcomes[0].scores.values()) == {1.0}
    assert outcomes[1:] == outcomes[:1] * 2
    assert item == {"tags": []}


async def test_names_of_the_program_are_its_own(sandbox: Sandbox) -> None:
    code = program("""
        import json as host
        ctx = load = encode = namespace = replies = source = None
        def len(value):
            return 7
        def print(*values):
            raise ValueError("mine")
        def run_one():
            return 1
        def grade(sample, item, ctx):
            return len(ctx.metadata)
    """)
    assert await sandbox.grade(code, cases(1, 2)) == [Graded({"score": 7.0})] * 2


@pytest.mark.parametrize("name", ["driver", "json", "run_one", "replies", "source", "host", "assay_host", "metadata"])
async def test_the_driver_is_out_of_reach(sandbox: Sandbox, name: str) -> None:
    outcome = await grade_one(sandbox, returning(name))
    assert isinstance(outcome, CodeFailure)
    assert outcome.message.startswith(f"NameError: name '{name}' is not defined")


# ---------------------------------------------------------------- batches
async def test_grade_batch_aligns_outcomes_and_metrics(sandbox: Sandbox) -> None:
    code = program(
        """
        def grade_batch(samples):
            print("seen", len(samples))
            results = [float("nan") if s["item"]["target"] == "bad" else s["index"] for s in samples]
            return {"samples": results, "metrics": {"macro": 0.5}}
        """,
        EntryPoint.GRADE_BATCH,
    )
    outcome = await sandbox.grade_batch(code, cases("a", "bad", "c"), metric_id="m")
    assert isinstance(outcome, BatchGraded)
    assert outcome.outcomes[0] == Graded({"m": 0.0})
    assert outcome.outcomes[2] == Graded({"m": 2.0})
    assert isinstance(outcome.outcomes[1], CodeFailure)
    assert outcome.metrics == {"macro": 0.5}
    assert outcome.printed == "seen 3\n"


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("[1]", "returned 1 results for 2 samples"),
        ("None", "nothing (None)"),
        ("{'samples': [1, 1], 'metric': {}}", "'metric'"),
        ("{'samples': [1, 1], 'metrics': {'a': 'b'}}", "a string"),
        ("{'metrics': {}}", "nothing (None)"),
    ],
)
async def test_grade_batch_refuses(sandbox: Sandbox, expression: str, says: str) -> None:
    code = program(f"def grade_batch(samples):\n    return {expression}\n", EntryPoint.GRADE_BATCH)
    outcome = await sandbox.grade_batch(code, cases("a", "b"))
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.RESULT
    assert says in outcome.message


async def test_grade_batch_of_two_thousand(sandbox: Sandbox) -> None:
    code = program("def grade_batch(samples, ctx):\n    return [1 for s in samples]\n", EntryPoint.GRADE_BATCH)
    outcome = await sandbox.grade_batch(code, cases(*range(2000)))
    assert outcome == BatchGraded([Graded({"score": 1.0})] * 2000)


# ---------------------------------------------------------------- preprocessors
async def test_transform_rows(sandbox: Sandbox) -> None:
    code = program(
        """
        def transform(row):
            if row["n"] == 1:
                return None
            if row["n"] == 2:
                raise KeyError("answer")
            row["double"] = row["n"] * 2
            return row
        """,
        EntryPoint.TRANSFORM,
    )
    rows = [{"n": n} for n in range(4)]
    outcomes = await sandbox.transform(code, rows)
    assert outcomes[0] == Transformed({"n": 0, "double": 0})
    assert outcomes[3] == Transformed({"n": 3, "double": 6})
    assert [(o.kind, o.line) for o in outcomes if isinstance(o, CodeFailure)] == [
        (FailureKind.RESULT, None),
        (FailureKind.EXCEPTION, 6),
    ]
    assert rows == [{"n": n} for n in range(4)]


async def test_large_batches_of_rows(sandbox: Sandbox) -> None:
    code = program("def transform_batch(rows):\n    return rows\n", EntryPoint.TRANSFORM_BATCH)
    rows = [{"id": n, "text": "x" * 1000} for n in range(2000)]
    assert await sandbox.transform_batch(code, rows) == TransformedBatch(rows)


async def test_transform_batch(sandbox: Sandbox) -> None:
    code = program("def transform_batch(rows):\n    return rows[::-1] + [{}]\n", EntryPoint.TRANSFORM_BATCH)
    assert await sandbox.transform_batch(code, [{"a": 1}, {"a": 2}]) == TransformedBatch([{"a": 2}, {"a": 1}, {}])


@pytest.mark.parametrize(
    "expression", ["[1]", "{}", "None", "[{'a': float('inf')}]", "[{'a': '\\0'}]", "[{'a': 2 ** 65}]"]
)
async def test_transform_batch_refuses(sandbox: Sandbox, expression: str) -> None:
    code = program(f"def transform_batch(rows):\n    return {expression}\n", EntryPoint.TRANSFORM_BATCH)
    outcome = await sandbox.transform_batch(code, [{"a": 1}])
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.RESULT


# ---------------------------------------------------------------- checks and inputs
async def test_check_loads_without_calling(sandbox: Sandbox) -> None:
    await sandbox.check(ENDLESS)
    with pytest.raises(SandboxCodeError, match=r"No module named 'difflib'.*\(line 2\)") as caught:
        await sandbox.check(program("X = 1\nimport difflib\ndef grade(sample, item): return 1\n"))
    assert caught.value.line == 2
    with pytest.raises(SandboxCodeError, match="does not support"):
        await sandbox.check(program("def grade(sample, item):\n    try: pass\n    except* ValueError: pass\n"))
    with pytest.raises(SandboxCodeError, match=r"limit of 0\.4 s"):
        await sandbox.check(program("while True: pass\ndef grade(sample, item): return 1\n"), limits=QUICK)


@pytest.mark.parametrize("module", AVAILABLE_MODULES)
async def test_modules_that_messages_promise_are_there(sandbox: Sandbox, module: str) -> None:
    await sandbox.check(program(f"import {module}\ndef grade(sample, item): return 1\n"))


async def test_wrong_entry_point_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxCodeError, match="checked for `grade`"):
        await sandbox.transform(EXACT, [{}])


async def test_inputs_must_be_json(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxInputError, match="case 1"):
        await sandbox.grade(EXACT, [*cases("x"), Case({}, {"target": {1}})])


def test_isolation_grows_only_as_needed() -> None:
    assert EXACT.isolation is Isolation.SHARED
    assert program(STATEFUL["list in a global"]).isolation is Isolation.RELOADED
    assert program(STATEFUL["decimal context"]).isolation is Isolation.SESSION


@pytest.mark.parametrize("binary", ["/bin/false", "/no/such/binary"])
async def test_broken_worker_is_not_the_codes_fault(binary: str) -> None:
    with pytest.raises(SandboxUnavailableError):
        async with MontySandbox(max_workers=1, max_model_workers=1, binary_path=binary) as broken:
            await broken.grade(EXACT, cases("x"))


async def test_a_sandbox_that_is_not_open_says_so() -> None:
    with pytest.raises(SandboxUnavailableError):
        await MontySandbox().grade(EXACT, cases("x"))


@pytest.mark.parametrize(
    "field", ["timeout_seconds", "batch_seconds", "max_memory_bytes", "max_recursion_depth", "max_result_bytes"]
)
def test_limits_have_bounds(field: str) -> None:
    for value in (0, 10**12):
        with pytest.raises(SandboxInputError, match=field):
            Limits(**{field: value})
