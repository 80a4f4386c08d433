"""Whatever a model says can be kept: odd characters, nothing at all, megabytes, reasoning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.evals import Evals, question_rows, working

from assay.core.runs.answers import MAX_OUTPUT_CHARACTERS
from assay.core.runs.types import RunStatus
from assay.gateway.tokens import count_tokens

ODD = [
    "a\0b",
    "pair \ud83d\ude00",
    "\u202eright to left",
    "e\u0301 \ufeff",
    "\x1b[31m",
    "line\u2028end",
]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
KEPT = ["a\ufffdb", "pair 😀", *ODD[2:]]


async def test_odd_characters(evals: Evals) -> None:
    """What the database cannot hold is replaced, in answers as in what graders make of them."""
    evals.models.behaviour.script = [(200, _completion(text)) for text in ODD]
    source = (
        "def grade(sample, item):\n"
        "    if sample['index'] == 1:\n"
        "        raise ValueError('x' + chr(0) + 'y')\n"
        "    return {'scores': {'score': 1.0}, 'judge': {'echo' + chr(0): chr(0) + sample['output_text']}}\n"
    )
    suite_id = await evals.suite(question_rows(len(ODD)), {"type": "custom", "grader": {"source": source}})
    async with working(evals):
        run = await evals.finished(suite_id, concurrency=1)
    assert run.status is RunStatus.COMPLETED, run.error
    samples = await evals.samples(run.id)
    assert [sample.output_text for sample in samples] == KEPT
    await evals.check_counts(run.id)


async def test_long_outputs_and_counts_beyond_any_column(evals: Evals) -> None:
    text = "word " * 1_000_000
    evals.models.behaviour.script = [
        (200, _completion(text, usage={"prompt_tokens": 10**15, "completion_tokens": 1}))
    ] * 3
    async with working(evals):
        run = await evals.finished(await evals.suite(question_rows(3)), concurrency=3)
    assert (run.status, run.completed) == (RunStatus.COMPLETED, 3), run.error
    samples = await evals.samples(run.id)
    assert {len(sample.output_text or "") for sample in samples} == {MAX_OUTPUT_CHARACTERS}
    assert {sample.input_tokens for sample in samples} == {2**31 - 1}
    assert run.tokens.input == 3 * (2**31 - 1)


async def test_empty_outputs_are_asked_again_as_often_as_allowed(evals: Evals) -> None:
    evals.models.behaviour.script = [(200, _completion("")), (200, _completion("")), (200, _completion("0"))]
    async with working(evals):
        run = await evals.finished(
            await evals.suite(question_rows(1)), generation={"max_empty_retries": 2}, concurrency=1
        )
    [sample] = await evals.samples(run.id)
    assert (sample.output_text, sample.scores["exact_match"]) == ("0", 1.0)
    assert len(sample.attempts) == 3


async def test_reasoning_is_kept_apart_and_tokens_are_estimated(evals: Evals) -> None:
    evals.models.behaviour.script = [(200, _completion("0", reasoning="let me think", usage=None))]
    async with working(evals):
        run = await evals.finished(await evals.suite(question_rows(1)), concurrency=1)
    [sample] = await evals.samples(run.id)
    assert (sample.output_text, sample.reasoning, sample.tokens_estimated) == ("0", "let me think", True)
    thought = count_tokens("let me think")
    assert (sample.reasoning_tokens, sample.output_tokens) == (thought, thought + count_tokens("0"))
    assert sample.input_tokens == count_tokens(sample.prompt)


async def test_cached_answers_are_not_asked_for_again(evals: Evals) -> None:
    suite_id = await evals.suite(question_rows(600))
    async with working(evals):
        first = await evals.finished(suite_id, generation={"use_cache": True}, concurrency=32)
        second = await evals.finished(suite_id, generation={"use_cache": True}, concurrency=32)
    assert (first.status, second.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED), second.error
    assert first.metrics == second.metrics
    assert evals.models.stats.requests == 600


def _completion(
    text: str,
    *,
    reasoning: str | None = None,
    usage: Mapping[str, int] | None = USAGE,
) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "model": "mock",
        "choices": [{"index": 0, "message": message}],
    }
    if usage is not None:
        body["usage"] = dict(usage)
    # The standard library escapes what has no UTF-8, as careless providers do.
    return json.dumps(body).encode()
