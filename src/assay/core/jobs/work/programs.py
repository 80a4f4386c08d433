"""Agents that are Python functions: run in the sandbox and nowhere else; what they ask models are steps of the job.

A prompt is a program when it is Python that defines a function or a class. The function is the agent's
``entrypoint_fn``, else ``run``; it gets the case's input, and ``ctx`` if it has a second parameter:
``ctx.responses_create(input=…, instructions=…)`` asks the lane's model. What it returns is the answer: a text, or any
JSON.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from assay.core.jobs.work.faults import BudgetReachedError, FaultCode, JobFaultError, JobStoppedError
from assay.core.jobs.work.ledger import Answer, Ledger
from assay.core.judging.host import read_messages
from assay.gateway.generation import Generation, resolve_generation
from assay.gateway.types import ModelRequest, ModelRole
from assay.kit.errors import DomainError, InvalidError
from assay.sandbox import (
    CodeFailure,
    EntryPoint,
    HostFunctionError,
    Limits,
    ModelAccess,
    Program,
    SandboxCodeError,
    check_program,
    is_module,
)

AUTO: Final = "auto"
DEFAULT_FUNCTION: Final = "run"
MAX_CALLS: Final = 64
"""Model calls of one case."""
MAX_SECONDS: Final = 600.0
"""Of one case, with all that it asks."""


@lru_cache(maxsize=64)
def find_program(prompt: str, function: str) -> Program | None:
    """The program that a prompt is; None for a text that is for a model to read.

    Raises:
        SandboxCodeError: It is one that the sandbox cannot run.
    """
    if not is_module(prompt):
        return None
    return check_program(prompt, entry_point=EntryPoint.ANSWER, function=function)


async def check_code(ledger: Ledger, prompt: str, function: str) -> None:
    """See that a prompt that is a program runs here.

    Raises:
        JobFaultError: It needs what the sandbox lacks, or the job is carried out without one.
    """
    try:
        program = find_program(prompt, function)
        if program is None:
            return
        if ledger.sandbox is None:
            raise JobFaultError(FaultCode.UNSUPPORTED_CODE, "The agent is code, and this worker has no sandbox.")
        await ledger.sandbox.check(program)
    except SandboxCodeError as error:
        raise JobFaultError(
            FaultCode.UNSUPPORTED_CODE,
            f"The agent's code runs only in the sandbox, and cannot: {error.message}. It must define "
            f"`{function}(given)` or `{function}(given, ctx)`, import nothing but the standard library's pure modules, "
            "and ask models through ctx.responses_create.",
        ) from error


async def run_program(
    ledger: Ledger, program: Program, given: Any, *, key: str, model: str, timeout_seconds: float
) -> Answer:
    """What a program answers to a case; what it does wrong is an answer's error.

    Args:
        ledger: Has the sandbox, and asks.
        program: The agent.
        given: The case's input.
        key: Names the answer in the ledger; the calls are under it.
        model: Who is asked when the program names nobody.
        timeout_seconds: Of one model call.

    Raises:
        BudgetReachedError, JobFaultError, JobStoppedError: As of ``Ledger.ask``.
    """
    assert ledger.sandbox is not None
    calls = _Calls(ledger, key, model, timeout_seconds)
    limits = Limits(timeout_seconds=MAX_SECONDS)
    started = time.perf_counter()
    outcome = await ledger.sandbox.answer(program, given, models=ModelAccess(calls, MAX_CALLS), limits=limits)
    if calls.stop is not None:
        # Whatever the program made of it: the job does not go on.
        raise calls.stop
    seconds = time.perf_counter() - started
    if isinstance(outcome, CodeFailure):
        where = "" if outcome.line is None else f" (line {outcome.line})"
        return calls.total(seconds, error=f"The code failed: {outcome.message}{where}")
    text = outcome.value if isinstance(outcome.value, str) else json.dumps(outcome.value, ensure_ascii=False)
    return calls.total(seconds, text=text)


class _Calls:
    """Host functions of one execution; each call is a step of the job, numbered in its order."""

    def __init__(self, ledger: Ledger, key: str, model: str, timeout_seconds: float) -> None:
        self._ledger = ledger
        self._key = key
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._answers: list[Answer] = []
        self.stop: BudgetReachedError | JobFaultError | JobStoppedError | None = None

    async def responses_create(self, *, model: str = AUTO, **request: Any) -> Any:
        """Ask a model; gives ``{"model", "output_text", "usage"}``."""
        messages = read_messages(request.pop("input", None))
        wanted = self._model if model == AUTO else model
        asked = ModelRequest(
            model=wanted, messages=messages, generation=self._generation(request), role=ModelRole.CANDIDATE
        )
        try:
            if wanted != self._model:
                await self._ledger.check_price(wanted)
            answer = await self._ledger.ask(f"{self._key}/call/{len(self._answers)}", asked)
        except (BudgetReachedError, JobFaultError, JobStoppedError) as stop:
            self.stop = stop
            raise HostFunctionError("the job does not go on") from stop
        except DomainError as error:
            raise HostFunctionError(error.message) from error
        self._answers.append(answer)
        if not answer.ok:
            raise HostFunctionError(answer.error or "the model did not answer")
        usage = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
        return {"model": answer.model, "output_text": answer.text, "usage": usage}

    async def embeddings_create(self, *, model: str = AUTO, **request: Any) -> Any:
        """Refused: a job prices and records answers only."""
        raise HostFunctionError("an agent's code has ctx.responses_create only")

    def _generation(self, request: dict[str, Any]) -> Generation:
        try:
            generation = resolve_generation(request)
        except InvalidError as error:
            raise HostFunctionError(error.message) from error
        return replace(generation, use_cache=False, timeout_seconds=self._timeout_seconds)

    def total(self, seconds: float, *, text: str = "", error: str | None = None) -> Answer:
        """The answer with what all its calls took."""
        costs = [answer.cost_usd for answer in self._answers if answer.ok]
        known = [cost for cost in costs if cost is not None]
        return Answer(
            text=text,
            error=error,
            model=self._model,
            seconds=seconds,
            input_tokens=sum(answer.input_tokens or 0 for answer in self._answers),
            output_tokens=sum(answer.output_tokens or 0 for answer in self._answers),
            cost_usd=sum(known) if len(known) == len(costs) else None,
        )
