"""What every sandbox backend must survive."""

from __future__ import annotations

import asyncio
import textwrap
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest
from tests.sandbox.support import (
    ENDLESS,
    EXACT,
    LONG,
    QUICK,
    assert_eventually,
    assert_works,
    cases,
    grade_one,
    program,
)

from assay.sandbox import (
    CodeFailure,
    FailureKind,
    Graded,
    Limits,
    Sandbox,
)


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
    outcomes = await sandbox.grade(ENDLESS, cases(*range(40)), limits=limits)
    # Forty times the limit of a case is far more than the limit of the batch, so most are never begun.
    assert sum("not run" in o.message for o in outcomes if isinstance(o, CodeFailure)) > 20
    assert {o.kind for o in outcomes if isinstance(o, CodeFailure)} == {FailureKind.TIMEOUT}
    assert len(outcomes) == 40
    last = outcomes[-1]
    assert isinstance(last, CodeFailure)
    assert last.message.startswith("not run: ")


# ---------------------------------------------------------------- processes
def workers() -> list[psutil.Process]:
    """Living workers; other tests' servers are children of this process too, and must be left alone."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "monty" in child.name()
    ]


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
    environments: list[dict[str, str]] = []
    for worker in workers():
        with suppress(psutil.NoSuchProcess):  # one that an earlier test got killed may be on its way out
            environments.append(worker.environ())
    assert environments
    assert not any(environments)


async def test_the_event_loop_stays_free(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.grade(ENDLESS, cases("x"), limits=Limits(timeout_seconds=1)))
    turns = 0
    while not call.done():
        await asyncio.sleep(0.005)
        turns += 1
    # A loop that was blocked for the second that the call takes would have had a turn or two.
    assert turns > 20


async def test_many_calls_at_once_share_few_workers(sandbox: Sandbox) -> None:
    async with asyncio.TaskGroup() as group:
        hung = [group.create_task(sandbox.grade(ENDLESS, cases("x"), limits=QUICK)) for _ in range(4)]
        fine = [group.create_task(sandbox.grade(EXACT, cases("Paris", n))) for n in range(20)]
    assert [task.result() for task in fine] == [[Graded({"score": 1.0}), Graded({"score": 0.0})]] * 20
    assert all(isinstance(task.result()[0], CodeFailure) for task in hung)
