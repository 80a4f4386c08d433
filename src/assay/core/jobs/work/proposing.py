"""Prompts to try, by the analyzer model: it sees the prompt, what went wrong on training cases, and what was tried.

Each proposal is one call with another focus, so that the proposals of a round differ. A reply that cannot be read is no
proposal; it never ends the job.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from assay.core.jobs.work.answering import generation
from assay.core.jobs.work.job import Work
from assay.core.jobs.work.ledger import Answer, complete_all
from assay.core.jobs.work.programs import find_program
from assay.core.jobs.work.target import as_text
from assay.gateway.types import Message, ModelRequest, ModelRole
from assay.sandbox import SandboxCodeError, is_module
from assay.scoring.judge.objects import MAX_REPLY_CHARACTERS, find_objects
from assay.scoring.optimization import Brief, Proposal

MAX_PROMPT_CHARACTERS: Final = 100_000
MAX_WIDTH: Final = 10
_SHOWN_CASES: Final = 8
_SHOWN_CHARACTERS: Final = 1_500
_FOCUSES: Final = (
    "the instructions themselves: say exactly what to do, step by step",
    "the form of the answer: what to write, and what to leave out",
    "the mistakes: for each kind of mistake, a general rule that avoids it",
    "clarity: remove what confuses or contradicts, and keep what works",
)
_SYSTEM: Final = """\
You improve the system prompt of an application. You get the prompt, cases on which its answers were poor, and what \
was tried before. Find out why the answers are poor, and write one better prompt.

Rules: stay general. Never put the answers or the inputs of the cases into the prompt: other cases will be asked. Keep \
placeholders such as {{name}} exactly as they are. Change only what helps.

Reply with one JSON object and nothing else: {"diagnosis": "<why, in a sentence or two>", "change": "<what you \
changed, in one sentence>", "prompt": "<the whole new prompt>"}"""

_CODE: Final = """

The prompt of this application is a Python program: keep its function `{function}` and the parameters that it takes. \
It runs in a sandbox with the pure modules of the standard library only, and asks models through ctx.responses_create. \
Never let it write answers down that it should find out."""


async def propose(work: Work, brief: Brief, *, model: str, outputs: Sequence[str], width: int) -> list[Proposal]:
    """Ask for proposals.

    Args:
        work: The job.
        brief: What is known so far.
        model: The analyzer's id in the catalog.
        outputs: What the best prompt answered to each of the brief's training cases.
        width: How many proposals to ask for.
    """
    tried = [
        f"- {'kept' if past.kept else past.reason.value}: {past.chosen.description or '(no description)'}"
        for past in brief.history
        if past.chosen is not None
    ]
    told = _describe(work, brief.prompt, brief.train, outputs)
    told += f"\n\nTried before:\n{chr(10).join(tried[-8:]) or '- nothing'}"
    count = max(0, min(width, MAX_WIDTH))
    answers = await complete_all(
        _ask(work, brief.round, number, f"{told}\n\nThis time, attend to {_FOCUSES[number % len(_FOCUSES)]}.", model)
        for number in range(count)
    )
    found = (read_proposal(answer.text) for answer in answers)
    proposals = [proposal for proposal in found if proposal is not None and _is_of_use(work, proposal)]
    if len(proposals) < count:
        faults = [answer.error for answer in answers if answer.error]
        reason = faults[0] if faults else "its replies hold no JSON object with a prompt that can be run"
        lost = count - len(proposals)
        await work.log(f"Round {brief.round}: {lost} of {count} proposals could not be had: {reason}", level="warning")
    return proposals


async def reflect(
    work: Work,
    number: int,
    place: int,
    *,
    prompt: str,
    train: Sequence[tuple[int, float | None]],
    outputs: Sequence[str],
    model: str,
) -> Proposal | None:
    """Ask for one prompt that is better than another.

    Args:
        work: The job.
        number: Of the round.
        place: How often the analyzer was asked in this round before.
        prompt: To be improved.
        train: Training cases and what the prompt's answers to them are worth.
        outputs: These answers.
        model: The analyzer's id in the catalog.

    Returns:
        None when there is no usable proposal; the job's log says why.
    """
    answer = await _ask(work, number, place, _describe(work, prompt, train, outputs), model)
    proposal = read_proposal(answer.text)
    if proposal is not None and _is_of_use(work, proposal):
        return proposal
    reason = answer.error or "its reply holds no JSON object with a prompt that can be run"
    await work.log(f"Round {number}: a proposal could not be had: {reason}", level="warning")
    return None


def read_proposal(reply: str) -> Proposal | None:
    """The proposal of a reply; None when there is none."""
    try:
        found = find_objects(reply[:MAX_REPLY_CHARACTERS])
    except ValueError:
        return None
    for value in reversed(found):
        prompt, change = value.get("prompt"), value.get("change", "")
        if isinstance(prompt, str) and 0 < len(prompt.strip()) <= MAX_PROMPT_CHARACTERS and "\0" not in prompt:
            return Proposal(prompt, change.replace("\0", "")[:500] if isinstance(change, str) else "")
    return None


def _is_of_use(work: Work, proposal: Proposal) -> bool:
    """Whether a proposal is of the kind that it is to replace, and if it is a program, one that can be run."""
    try:
        is_program = find_program(proposal.prompt, work.target.function) is not None
    except SandboxCodeError:
        return False
    return is_program == is_module(work.target.prompt)


async def _ask(work: Work, number: int, place: int, told: str, model: str) -> Answer:
    target = work.target
    system = _SYSTEM + (_CODE.format(function=target.function) if is_module(target.prompt) else "")
    request = ModelRequest(
        model=model,
        messages=(Message("system", system), Message("user", told)),
        generation=generation(work.parameters.timeout_seconds),
        role=ModelRole.JUDGE,
    )
    return await work.ledger.ask(f"propose/{number}/{place}", request)


def _describe(work: Work, prompt: str, train: Sequence[tuple[int, float | None]], outputs: Sequence[str]) -> str:
    cases = work.target.cases
    order = sorted(range(len(train)), key=lambda place: 1.0 if (score := train[place][1]) is None else score)
    blocks = [
        json.dumps(
            {
                "input": cases[train[place][0]].text[:_SHOWN_CHARACTERS],
                "answer": outputs[place][:_SHOWN_CHARACTERS],
                "expected": as_text(cases[train[place][0]].expected)[:_SHOWN_CHARACTERS],
                "score": train[place][1],
            },
            ensure_ascii=False,
        )
        for place in order[:_SHOWN_CASES]
    ]
    about = f"The application: {work.target.description}\n\n" if work.target.description else ""
    return f"{about}The prompt:\n<prompt>\n{prompt}\n</prompt>\n\nCases, the worst first:\n{chr(10).join(blocks)}"
