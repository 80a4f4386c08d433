"""`HogSandbox`: verdicts in order, and what happens when a worker hangs or dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from assay.sandbox.contract import SandboxInputError
from assay.sandbox.hog import HogFailureKind, HogLimits, HogSandbox, OutputRule, OutputType, compile_program
from assay.sandbox.hog.wire import encode_verdict

NUMBER = OutputRule(type=OutputType.NUMERIC)


@pytest.fixture(scope="module")
def others() -> set[int]:
    """Process ids of workers of other sandboxes, such as a server's of the same session."""
    return {worker.pid for worker in workers()}


@pytest.fixture(scope="module")
async def sandbox(others: set[int]) -> AsyncIterator[HogSandbox]:
    async with HogSandbox(max_workers=1) as opened:
        yield opened


def workers() -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        try:
            if "assay.sandbox.hog.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def test_verdicts_come_in_order(sandbox: HogSandbox) -> None:
    program = compile_program("print(f'n is {n}') return n * 2")
    verdicts = await sandbox.evaluate(program, [{"n": number} for number in range(450)], rule=NUMBER)
    assert [verdict.score for verdict in verdicts] == [number * 2 for number in range(450)]
    assert verdicts[7].reasoning == "n is 7"


async def test_no_cases_are_no_verdicts(sandbox: HogSandbox) -> None:
    assert await sandbox.evaluate(compile_program("return true"), [], rule=OutputRule()) == []


async def test_one_failing_case_is_alone(sandbox: HogSandbox) -> None:
    program = compile_program("while (n = 1) {} if (n = 2) { return range(1e9) } return n / (n - 3)")
    cases = [{"n": number} for number in range(5)]
    verdicts = await sandbox.evaluate(program, cases, rule=NUMBER, limits=HogLimits(seconds=0.2))
    kinds = [verdict.failure for verdict in verdicts]
    assert kinds == [None, HogFailureKind.TIMEOUT, HogFailureKind.MEMORY, HogFailureKind.RUNTIME, None]


async def test_odd_values_pass(sandbox: HogSandbox) -> None:
    program = compile_program(f"return length(s) = 1 and i = 1{'0' * 30} and s != 'x'")
    [verdict] = await sandbox.evaluate(program, [{"s": "\ud800", "i": 10**30}], rule=OutputRule())
    assert verdict.result is True


async def test_a_large_score_passes(sandbox: HogSandbox) -> None:
    [verdict] = await sandbox.evaluate(compile_program("return 1" + "0" * 30), [{}], rule=NUMBER)
    assert verdict.score == 10**30


async def test_a_case_that_is_no_json_is_refused(sandbox: HogSandbox) -> None:
    with pytest.raises(SandboxInputError, match="case 1 cannot"):
        await sandbox.evaluate(compile_program("return true"), [{}, {"x": object()}], rule=OutputRule())


async def test_a_worker_that_dies_is_replaced(sandbox: HogSandbox, others: set[int]) -> None:
    program = compile_program("return n")
    await sandbox.evaluate(program, [{"n": 1}], rule=NUMBER)
    [worker] = [worker for worker in workers() if worker.pid not in others]
    worker.kill()
    [verdict] = await sandbox.evaluate(program, [{"n": 1}], rule=NUMBER)
    assert verdict.score == 1


async def test_a_worker_that_hangs_is_killed_and_the_rest_goes_on(sandbox: HogSandbox, others: set[int]) -> None:
    program = compile_program("return n")
    await sandbox.evaluate(program, [{"n": 1}], rule=NUMBER)
    [worker] = [worker for worker in workers() if worker.pid not in others]
    # A stopped process stands for one that no longer looks at its clock.
    worker.suspend()
    first, second = await sandbox.evaluate(program, [{"n": 1}, {"n": 2}], rule=NUMBER, limits=HogLimits(seconds=0.1))
    assert first.failure is HogFailureKind.TIMEOUT
    assert "timed out after 0.1s" in (first.error or "")
    assert second.score == 2


async def test_the_event_loop_stays_free(sandbox: HogSandbox) -> None:
    program = compile_program("while (true) {}")
    running = asyncio.create_task(sandbox.evaluate(program, [{}], rule=NUMBER, limits=HogLimits(seconds=0.5)))
    turns = 0
    while not running.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100
    assert running.result()[0].failure is HogFailureKind.TIMEOUT


async def test_a_cancelled_call_leaves_no_worker_behind() -> None:
    before = {worker.pid for worker in workers()}
    async with HogSandbox(max_workers=1) as sandbox:
        call = sandbox.evaluate(compile_program("while (true) {}"), [{}], rule=NUMBER)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.2)
        [verdict] = await sandbox.evaluate(compile_program("return 1"), [{}], rule=NUMBER)
        assert verdict.score == 1
    assert {worker.pid for worker in workers()} == before


async def test_answers_are_data(sandbox: HogSandbox) -> None:
    [verdict] = await sandbox.evaluate(compile_program("print('{\"result\": true}') return 1"), [{}], rule=NUMBER)
    assert verdict.result is None
    assert b'"score":1' in encode_verdict(verdict)
