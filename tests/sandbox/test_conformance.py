"""What every sandbox backend must do, with well-meant and with hostile code."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from assay.sandbox import (
    BatchGraded,
    Case,
    CodeFailure,
    EntryPoint,
    FailureKind,
    Graded,
    HostFunctionError,
    Isolation,
    Limits,
    ModelAccess,
    MontySandbox,
    Program,
    Sandbox,
    SandboxCodeError,
    SandboxInputError,
    SandboxUnavailableError,
    Transformed,
    TransformedBatch,
    check_program,
)
from assay.sandbox.failures import AVAILABLE_MODULES

QUICK = Limits(timeout_seconds=0.4, max_memory_bytes=16 * 2**20, max_output_bytes=2000, max_recursion_depth=100)


def program(source: str, entry_point: EntryPoint = EntryPoint.GRADE) -> Program:
    return check_program(textwrap.dedent(source), entry_point=entry_point)


def returning(expression: str) -> Program:
    return program(f"def grade(sample, item):\n    return {expression}\n")


def cases(*targets: Any) -> list[Case]:
    return [
        Case({"index": index, "output_text": "Paris", "extracted_output": "Paris"}, {"target": target})
        for index, target in enumerate(targets)
    ]


async def grade_one(sandbox: Sandbox, code: Program, *, limits: Limits = QUICK) -> Graded | CodeFailure:
    [outcome] = await sandbox.grade(code, cases("x"), limits=limits)
    return outcome


EXACT = program("""
    def grade(sample, item):
        return sample["extracted_output"] == item["target"]
""")


ENDLESS = program("def grade(sample, item):\n    while True: pass\n")


async def assert_works(sandbox: Sandbox) -> None:
    """The sandbox is in order: harmless code gets its score."""
    assert await sandbox.grade(EXACT, cases("Paris", "Rome")) == [Graded({"score": 1.0}), Graded({"score": 0.0})]


async def assert_eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


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


# ---------------------------------------------------------------- hostile code


@dataclass(frozen=True)
class Hostile:
    name: str
    body: str
    kinds: set[FailureKind]
    says: str = ""


BOOM = {FailureKind.EXCEPTION}
HOSTILE = [
    Hostile("infinite loop", "while True: pass", {FailureKind.TIMEOUT}, "limit of 0.4 s"),
    Hostile("uncatchable loop", "try:\n  while True: pass\nexcept BaseException: return 1", {FailureKind.TIMEOUT}),
    Hostile("long sleeps", "import time\nwhile True: time.sleep(60)", {FailureKind.TIMEOUT, FailureKind.EXCEPTION}),
    Hostile("memory bomb", "x = []\nwhile True: x.append('a' * 100_000)", {FailureKind.MEMORY}, "limit of 16 MiB"),
    Hostile("memory at once", "try:\n  'a' * 10 ** 11\nexcept BaseException: return 1", {FailureKind.MEMORY}),
    Hostile("big integer", "return 10 ** 10 ** 9", {FailureKind.MEMORY, FailureKind.TIMEOUT}),
    Hostile("recursion", "def f(n): return f(n + 1)\nf(0)", {FailureKind.RECURSION}, "limit of 100"),
    Hostile("deep result", "x = []\nfor i in range(50_000): x = [x]\nreturn x", {FailureKind.RESULT}),
    Hostile("cyclic result", "x = {}\nx['x'] = x\nreturn x", {FailureKind.RESULT}, "JSON cannot express"),
    Hostile("huge result", "return {'a' * 3_000_000: 1}", {FailureKind.RESULT}, "the limit is 1048576"),
    Hostile("aliased result", "x = 'a' * 1_000_000\nreturn [x] * 100_000", {FailureKind.MEMORY}),
    Hostile("aliased exception", "x = 'a' * 100_000\nraise ValueError(str([x] * 10_000))", {FailureKind.MEMORY}),
    Hostile("long exception", "raise ValueError('a' * 1_000_000)", BOOM, "ValueError: aaaa"),
    Hostile("output flood", "while True: print('x' * 1000)", {FailureKind.OUTPUT}, "limit of 2000 bytes"),
    Hostile(
        "caught flood",
        "while True:\n  try: print('x')\n  except BaseException: pass",
        {FailureKind.OUTPUT},
    ),
    Hostile("silent flood", "for i in range(3000): print('x')\nreturn 1", {FailureKind.OUTPUT}),
    Hostile("environment", "import os\nreturn len(os.environ)", BOOM, "not supported"),
    Hostile("os.system", "import os\nos.system('id')", BOOM, "system"),
    Hostile("socket", "import socket", {FailureKind.LOAD}, "the sandbox has only"),
    Hostile("subprocess", "import subprocess", {FailureKind.LOAD}, "No module named 'subprocess'"),
    Hostile("ctypes", "import ctypes", {FailureKind.LOAD}),
    Hostile("statistics", "import statistics", {FailureKind.LOAD}, "statistics"),
    Hostile("read a file", "return len(open('/etc/passwd').read())", BOOM, "PermissionError"),
    Hostile("write a file", "open('x', 'w').write('x')", BOOM, "PermissionError"),
    Hostile("list a folder", "import os\nos.listdir('/')", BOOM, "PermissionError"),
    Hostile("path", "import pathlib\npathlib.Path('/etc/passwd').read_text()", BOOM, "PermissionError"),
    Hostile("attribute walk", "().__class__.__bases__[0].__subclasses__()", BOOM, "__class__"),
    Hostile("globals walk", "return grade.__globals__", BOOM, "__globals__"),
    Hostile("frames", "import sys\nsys._getframe()", BOOM, "_getframe"),
    Hostile("dynamic import", "__import__('os')", BOOM, "__import__"),
    Hostile("exit", "raise SystemExit", BOOM, "SystemExit"),
    Hostile("interrupt", "raise KeyboardInterrupt", BOOM, "KeyboardInterrupt"),
    Hostile("nul in message", "raise ValueError('a\\0b')", BOOM, "a\ufffdb"),
    Hostile("false limit", "raise TimeoutError('mine')", BOOM, "TimeoutError: mine"),
    Hostile(
        "angry repr",
        "class A:\n  def __repr__(self): raise ValueError('boo')\n  def __str__(self): raise ValueError('boo')\n"
        "raise ValueError(A())",
        BOOM | {FailureKind.RESULT},
        "Error",
    ),
    Hostile("angry object", "class A:\n  def __repr__(self): return 1 / 0\nreturn A()", {FailureKind.RESULT}, "'A'"),
    Hostile("no generators here", "exec('def f(): yield 1')", {FailureKind.LOAD}, "does not support yield"),
    Hostile("one long operation", "return pow(3, 10 ** 8) % 10", {FailureKind.TIMEOUT, FailureKind.MEMORY}),
    Hostile("deep source", "eval('-' * 100_000 + '1')", {FailureKind.LOAD}, "too deeply nested"),
    Hostile(
        "deep values", "x = y = []\nfor i in range(50_000): x, y = [x], [y]\nreturn x == y", {FailureKind.RECURSION}
    ),
    Hostile("wide format", "return len('{:>1000000000}'.format(1))", {FailureKind.MEMORY}),
    Hostile(
        "name lookups",
        "while True:\n  try: nothing\n  except NameError: pass",
        {FailureKind.TIMEOUT},
    ),
    Hostile(
        "system calls",
        "import os\nwhile True:\n  try: os.listdir('/')\n  except OSError: pass",
        {FailureKind.TIMEOUT, FailureKind.EXCEPTION},
        "limit",
    ),
    Hostile("bad exec", "exec('def f(:')", {FailureKind.LOAD}, "syntax error"),
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
async def test_hostile_code_fails_alone(sandbox: Sandbox, case: Hostile) -> None:
    code = program(
        "def grade(sample, item):\n    if item['target'] == 'evil':\n"
        + textwrap.indent(case.body, " " * 8)
        + "\n    return 0.5\n"
    )
    outcomes = await sandbox.grade(code, cases("good", "evil", "good"), limits=QUICK)
    assert outcomes[0] == outcomes[2] == Graded({"score": 0.5})
    failure = outcomes[1]
    assert isinstance(failure, CodeFailure)
    assert failure.kind in case.kinds, failure
    assert case.says in failure.message
    assert 3 < len(failure.message) <= 2000
    assert "\0" not in failure.message
    assert len(failure.printed) <= QUICK.max_output_bytes
    await assert_works(sandbox)


async def test_patterns_cannot_hang(sandbox: Sandbox) -> None:
    code = program("""
        import re
        def grade(sample, item):
            return bool(re.match(r"^(a|a)*$", "a" * 60 + "b"))
    """)
    outcome = await grade_one(sandbox, code)
    assert isinstance(outcome, Graded) or outcome.kind in {FailureKind.TIMEOUT, FailureKind.EXCEPTION}
    await assert_works(sandbox)


async def test_program_that_fails_to_load_fails_every_case(sandbox: Sandbox) -> None:
    outcomes = await sandbox.grade(program("X = 1 / 0\ndef grade(sample, item): return 1\n"), cases(1, 2))
    assert [(o.kind, o.line) for o in outcomes if isinstance(o, CodeFailure)] == [(FailureKind.EXCEPTION, 1)] * 2


async def test_entry_point_rebound_to_nonsense(sandbox: Sandbox) -> None:
    outcome = await grade_one(sandbox, program("def grade(sample, item): return 1\ngrade = 5\n"))
    assert isinstance(outcome, CodeFailure)
    assert "not callable" in outcome.message


async def test_batch_time_is_bounded(sandbox: Sandbox) -> None:
    limits = Limits(timeout_seconds=0.2, batch_seconds=0.5)
    started = time.monotonic()
    outcomes = await sandbox.grade(ENDLESS, cases(*range(40)), limits=limits)
    assert time.monotonic() - started < 5
    assert {o.kind for o in outcomes if isinstance(o, CodeFailure)} == {FailureKind.TIMEOUT}
    assert len(outcomes) == 40
    last = outcomes[-1]
    assert isinstance(last, CodeFailure)
    assert last.message.startswith("not run: ")


# ---------------------------------------------------------------- processes


def workers() -> list[psutil.Process]:
    """Living children of this process."""
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


async def busy_worker() -> psutil.Process:
    """The worker that has been computing for a tenth of a second since the call."""
    before = {worker.pid: _cpu_seconds(worker) for worker in workers()}
    busy: list[psutil.Process] = []

    def found() -> bool:
        busy.extend(w for w in workers() if _cpu_seconds(w) - before.get(w.pid, 0.0) > 0.1)
        return bool(busy)

    await assert_eventually(found)
    return busy[0]


def _cpu_seconds(worker: psutil.Process) -> float:
    try:
        return worker.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


LONG = Limits(timeout_seconds=50)


async def test_cancelling_kills_the_worker(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.grade(ENDLESS, cases("x"), limits=LONG))
    worker = await busy_worker()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await assert_eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    await assert_works(sandbox)


async def test_worker_killed_once_is_replaced_and_the_case_run_again(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.grade(ENDLESS, cases("x"), limits=Limits(timeout_seconds=2)))
    (await busy_worker()).kill()
    [outcome] = await call
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.TIMEOUT
    await assert_works(sandbox)


async def test_worker_killed_twice_fails_the_case(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.grade(ENDLESS, cases("x"), limits=LONG))
    for _ in range(2):
        worker = await busy_worker()
        worker.kill()
        await assert_eventually(lambda worker=worker: not worker.is_running())
    [outcome] = await call
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.CRASH
    await assert_works(sandbox)


async def test_idle_workers_killed_are_replaced(sandbox: Sandbox) -> None:
    await assert_works(sandbox)
    for worker in workers():
        worker.kill()
    await assert_works(sandbox)


async def test_workers_inherit_no_environment(sandbox: Sandbox) -> None:
    await assert_works(sandbox)
    environments = [worker.environ() for worker in workers()]
    assert environments
    assert not any(environments)


async def test_the_event_loop_stays_free(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.grade(ENDLESS, cases("x"), limits=Limits(timeout_seconds=1)))
    longest, last = 0.0, time.monotonic()
    while not call.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.7


async def test_many_calls_at_once_share_few_workers(sandbox: Sandbox) -> None:
    async with asyncio.TaskGroup() as group:
        hung = [group.create_task(sandbox.grade(ENDLESS, cases("x"), limits=QUICK)) for _ in range(4)]
        fine = [group.create_task(sandbox.grade(EXACT, cases("Paris", n))) for n in range(20)]
    assert [task.result() for task in fine] == [[Graded({"score": 1.0}), Graded({"score": 0.0})]] * 20
    assert all(isinstance(task.result()[0], CodeFailure) for task in hung)


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


# ---------------------------------------------------------------- models


class Models:
    """A host that answers from what it is asked, and can be made to fail or to hang."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.waiting = 0
        self.gate = asyncio.Event()

    async def responses_create(self, *, model: str, **request: Any) -> Any:
        self.requests.append({"model": model, **request})
        prompt = str(request["input"])
        if prompt == "hang":
            self.waiting += 1
            await self.gate.wait()
        if prompt == "refused":
            raise HostFunctionError("the judge model is rate-limited")
        if prompt == "broken":
            raise ConnectionError("https://user:secret@host")
        return {"output_text": prompt.upper()}

    async def embeddings_create(self, *, model: str, **request: Any) -> Any:
        return {"data": [{"embedding": [float(len(text)), 0.5]} for text in request["input"]]}


JUDGE = program("""
    def grade(sample, item, ctx):
        reply = ctx.responses_create(input=item["target"])
        return {"scores": {"length": len(reply["output_text"])}, "judge": {**reply, **ctx.metadata}}
""")


async def test_grader_calls_models(sandbox: Sandbox) -> None:
    models = Models()
    outcomes = await sandbox.grade(JUDGE, cases("a", "bb"), models=ModelAccess(models), metadata={"run": "r1"})
    assert outcomes == [
        Graded({"length": 1.0}, judge={"output_text": "A", "run": "r1"}),
        Graded({"length": 2.0}, judge={"output_text": "BB", "run": "r1"}),
    ]
    assert models.requests == [{"model": "auto", "input": "a"}, {"model": "auto", "input": "bb"}]


async def test_embeddings_in_a_batch(sandbox: Sandbox) -> None:
    code = program(
        """
        def grade_batch(samples, ctx):
            reply = ctx.embeddings_create(model="auto", input=[s["output_text"] for s in samples])
            return [row["embedding"][0] for row in reply["data"]]
        """,
        EntryPoint.GRADE_BATCH,
    )
    outcome = await sandbox.grade_batch(code, cases("a", "b"), models=ModelAccess(Models()))
    assert outcome == BatchGraded([Graded({"score": 5.0})] * 2)


@pytest.mark.parametrize(
    ("prompt", "kind", "says"),
    [
        ("refused", FailureKind.MODEL_CALL, "ctx.responses_create failed: the judge model is rate-limited"),
        ("broken", FailureKind.MODEL_CALL, "ctx.responses_create failed: ConnectionError"),
        ("hang", FailureKind.TIMEOUT, "limit of 0.4 s"),
    ],
)
async def test_failing_model_calls(sandbox: Sandbox, prompt: str, kind: FailureKind, says: str) -> None:
    outcomes = await sandbox.grade(JUDGE, cases(prompt, "ok"), models=ModelAccess(Models()), limits=QUICK)
    failure = outcomes[0]
    assert isinstance(failure, CodeFailure)
    assert failure.kind is kind
    assert says in failure.message
    assert "secret" not in failure.message
    assert isinstance(outcomes[1], Graded)


async def test_model_failures_can_be_caught(sandbox: Sandbox) -> None:
    code = program("""
        def grade(sample, item, ctx):
            try:
                ctx.responses_create(input="refused")
            except RuntimeError as error:
                return {"scores": {"score": 0.0}, "judge": {"error": str(error)}}
    """)
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()))
    assert outcome == Graded(
        {"score": 0.0}, judge={"error": "ctx.responses_create failed: the judge model is rate-limited"}
    )


async def test_model_budget_is_per_case(sandbox: Sandbox) -> None:
    code = program("""
        def grade(sample, item, ctx):
            return sum(len(ctx.responses_create(input="x")["output_text"]) for i in range(item["target"]))
    """)
    models = Models()
    outcomes = await sandbox.grade(code, cases(3, 4, 3), models=ModelAccess(models, max_calls=3))
    assert outcomes[0] == outcomes[2] == Graded({"score": 3.0})
    failure = outcomes[1]
    assert isinstance(failure, CodeFailure)
    assert failure.kind is FailureKind.MODEL_BUDGET
    assert "max_model_calls = 3" in failure.message
    assert len(models.requests) == 9


async def test_five_hundred_calls_are_allowed(sandbox: Sandbox) -> None:
    code = program(
        "def grade(sample, item, ctx):\n    for i in range(500): ctx.responses_create(input='x')\n    return 1\n"
    )
    outcomes = await sandbox.grade(code, cases("x"), models=ModelAccess(Models(), max_calls=500))
    assert outcomes == [Graded({"score": 1.0})]


async def test_no_model_access(sandbox: Sandbox) -> None:
    outcome = await grade_one(sandbox, JUDGE)
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.MODEL_ACCESS
    assert "model_access" in outcome.message
    assert outcome.line == 3


async def test_aliased_model_request_stays_inside(sandbox: Sandbox) -> None:
    code = program("def grade(sample, item, ctx):\n    ctx.responses_create(input=['a' * 1_000_000] * 100_000)\n")
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()), limits=QUICK)
    assert isinstance(outcome, CodeFailure)
    assert outcome.kind is FailureKind.MEMORY


async def test_waiting_graders_overlap_and_leave_pure_ones_alone(sandbox: Sandbox) -> None:
    models = Models()
    calls = [
        asyncio.create_task(sandbox.grade(JUDGE, cases("hang"), models=ModelAccess(models), limits=LONG))
        for _ in range(4)
    ]
    await assert_eventually(lambda: models.waiting == 4)
    await assert_works(sandbox)
    models.gate.set()
    assert [type(outcome) for [outcome] in await asyncio.gather(*calls)] == [Graded] * 4


async def test_cancelling_a_waiting_grader_frees_its_worker(sandbox: Sandbox) -> None:
    for _ in range(6):
        models = Models()
        call = asyncio.create_task(sandbox.grade(JUDGE, cases("hang"), models=ModelAccess(models), limits=LONG))
        await assert_eventually(lambda models=models: models.waiting == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert len(await sandbox.grade(JUDGE, cases("ok"), models=ModelAccess(Models()))) == 1


async def test_the_host_function_cannot_be_had_by_name(sandbox: Sandbox) -> None:
    code = program("def grade(sample, item, ctx):\n    return assay_host('responses_create', '{}')\n")
    [outcome] = await sandbox.grade(code, cases("x"), models=ModelAccess(Models()))
    assert isinstance(outcome, CodeFailure)
    assert outcome.message == "NameError: name 'assay_host' is not defined"


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
