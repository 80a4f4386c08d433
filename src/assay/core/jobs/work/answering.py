"""Cases answered by a model under a prompt."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from assay.core.jobs.work.ledger import Answer, Ledger
from assay.core.jobs.work.programs import DEFAULT_FUNCTION, find_program, run_program
from assay.core.jobs.work.target import Case, as_object, as_text
from assay.gateway.generation import Generation
from assay.gateway.types import Message, ModelRequest, ModelRole
from assay.sandbox import SandboxCodeError

RETRIES = 2
"""Further attempts of a call after a fault."""
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Lane:
    """One way of answering: a model and a prompt."""

    model: str
    prompt: str
    function: str = DEFAULT_FUNCTION
    """What to call in a prompt that is a program."""

    @property
    def key(self) -> str:
        """Names the lane in the ledger."""
        return hashlib.sha256(f"{self.model}\0{self.prompt}".encode()).hexdigest()[:16]


async def answer_case(ledger: Ledger, lane: Lane, number: int, case: Case, *, timeout_seconds: float) -> Answer:
    """What the lane answers to a case.

    Args:
        ledger: Asks, once.
        lane: Who answers.
        number: Of the case.
        case: What is asked.
        timeout_seconds: Of one attempt.
    """
    key = f"answer/{lane.key}/{number}"
    try:
        program = find_program(lane.prompt, lane.function)
    except SandboxCodeError as error:
        return Answer(error=f"The code cannot be run: {error.message}", model=lane.model)
    if program is not None:
        return await ledger.settle(
            key,
            lambda: run_program(
                ledger, program, case.input, key=key, model=lane.model, timeout_seconds=timeout_seconds
            ),
        )
    messages = [Message("user", case.text)]
    if lane.prompt.strip():
        messages.insert(0, Message("system", fill_in(lane.prompt, case.input)))
    request = ModelRequest(
        model=lane.model,
        messages=tuple(messages),
        generation=generation(timeout_seconds),
        role=ModelRole.CANDIDATE,
    )
    return await ledger.ask(key, request)


def generation(timeout_seconds: float, text: dict[str, Any] | None = None) -> Generation:
    """How models are asked: fresh each time, since the ledger remembers."""
    return Generation(use_cache=False, timeout_seconds=timeout_seconds, max_retries=RETRIES, text=text)


def fill_in(prompt: str, given: Any) -> str:
    """The prompt with ``{{name}}`` replaced by the case's value; names that the case lacks stay."""
    values = {"input": given, **as_object(given)}
    return _VARIABLE.sub(lambda found: as_text(values[found[1]]) if found[1] in values else found[0], prompt)
