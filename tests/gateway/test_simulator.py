from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.support.gateways import OpenGateway

from assay.gateway.errors import CatalogConfigError, ProviderOverloadedError, ProviderTimeoutError
from assay.gateway.gateway import Gateway
from assay.gateway.simulator.answers import AnswerKey, Prompt, arithmetic, sentiment
from assay.gateway.types import Generation, Message, ModelReply, ModelRequest


def _model(name: str, **behaviour: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in behaviour.items()]
    return "\n".join([f"[models.{name}]", 'provider = "simulator"', f"[models.{name}.simulator]", *lines, ""])


async def _ask_all(gateway: Gateway, model: str, prompts: Iterable[str], **more: int) -> list[ModelReply]:
    requests = [ModelRequest(model, (Message("user", prompt),), repeat=more.get("repeat", 0)) for prompt in prompts]
    return list(await asyncio.gather(*map(gateway.respond, requests)))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is 17 + 25?", "42"),
        ("7 x 6", "42"),
        ("10 / 4", "2.5"),
        ("100 * 10", "1000"),
        ("first 1+1, then 2 - 5", "-3"),
        ("1 / 0", None),
        ("nothing to do", None),
    ],
)
def test_arithmetic(prompt: str, answer: str | None) -> None:
    found = arithmetic(Prompt(prompt, ""))
    assert (found and found.text) == answer


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("I love it, great!", "positive"),
        ("Terrible and slow.", "negative"),
        ("Not good.", "negative"),
        ("good but slow", "neutral"),
        ("It is a chair.", None),
    ],
)
def test_sentiment(prompt: str, answer: str | None) -> None:
    found = sentiment(Prompt(prompt, ""))
    assert (found and found.text) == answer


def test_the_answer_key_finds_a_row_inside_a_template() -> None:
    key = AnswerKey()
    key.add("Who wrote it?", "Ann", group="names")
    key.add("Who read it?", "Bob", group="names")
    key.add("other", "Cy", group="else")
    for prompt in ("Who wrote it?", " Who wrote it?\n", "Answer briefly.\nQuestion: Who wrote it?\nAnswer:"):
        answer = key.apply(Prompt(prompt, ""))
        assert answer is not None
        assert (answer.text, answer.wrong) == ("Ann", ("Bob",))
    assert key.apply(Prompt("Who ate it?", "")) is None


async def test_accuracy_is_met_and_wrong_answers_are_plausible(gateway_at: OpenGateway, tmp_path: Path) -> None:
    labels = ["red", "green", "blue"]
    rows = [{"prompt": f"row {n}", "answer": labels[n % 3]} for n in range(600)]
    (tmp_path / "key.jsonl").write_text("\n".join(map(json.dumps, rows)))
    toml = '[simulator]\nanswer_key = "key.jsonl"\n' + _model("m", accuracy=0.8)
    async with gateway_at(toml=toml) as gateway:
        replies = await _ask_all(gateway, "m", [row["prompt"] for row in rows])
    assert {reply.text for reply in replies} == set(labels)
    right = sum(reply.text == row["answer"] for reply, row in zip(replies, rows, strict=True))
    # Binomial(600, 0.8): standard deviation 9.8; four of them.
    assert 440 <= right <= 520


async def test_replies_are_deterministic_and_repeats_differ(gateway_at: OpenGateway) -> None:
    prompts = [f"{n} + {n}" for n in range(100)]
    async with gateway_at(toml=_model("m", accuracy=0.5)) as gateway:
        first = await _ask_all(gateway, "m", prompts)
        repeated = await _ask_all(gateway, "m", prompts, repeat=1)
    async with gateway_at() as gateway:
        again = await _ask_all(gateway, "m", prompts)
    assert first == again
    assert [reply.text for reply in first] != [reply.text for reply in repeated]


async def test_a_reply_says_that_it_is_simulated(gateway_at: OpenGateway) -> None:
    async with gateway_at() as gateway:
        (reply,) = await _ask_all(gateway, "simulator/echo", ["hello"])
    assert reply.text == "hello"
    assert (reply.response_id or "").startswith("resp_sim_")
    assert reply.provider == "simulator"
    assert reply.cost_usd is None


async def test_rules_come_first_and_the_unknown_is_admitted(gateway_at: OpenGateway) -> None:
    toml = (
        _model("m", skills=[]) + '[[models.m.simulator.rules]]\npattern = "capital of (\\\\w+)"\nanswer = "In \\\\1"\n'
    )
    async with gateway_at(toml=toml) as gateway:
        replies = await _ask_all(gateway, "m", ["the capital of Peru", "2 + 2"])
    assert [reply.text for reply in replies] == ["In Peru", "I do not know."]


async def test_a_catastrophic_rule_is_given_up(gateway_at: OpenGateway) -> None:
    toml = _model("m", skills=[]) + '[[models.m.simulator.rules]]\npattern = "^(a|aa)+$"\nanswer = "x"\n'
    async with gateway_at(toml=toml) as gateway:
        (reply,) = await _ask_all(gateway, "m", ["a" * 60 + "!"])
    assert reply.text == "I do not know."


async def test_faults_are_drawn_for_each_attempt(gateway_at: OpenGateway) -> None:
    toml = _model("m", error_rate=0.15, blank_rate=0.1, constant="ok", skills=[])
    async with gateway_at(toml=toml) as gateway:
        requests = [
            ModelRequest("m", (Message("user", str(n)),), Generation(max_retries=20, max_empty_retries=20))
            for n in range(60)
        ]
        replies = await asyncio.gather(*map(gateway.respond, requests))
    assert {reply.text for reply in replies} == {"ok"}
    statuses = Counter(attempt.status for reply in replies for attempt in reply.attempts)
    assert statuses[500] > 5
    assert statuses[200] > 60


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [({"error_rate": 1.0}, ProviderOverloadedError), ({"timeout_rate": 1.0}, ProviderTimeoutError)],
)
async def test_certain_faults(behaviour: dict[str, float], error: type[Exception], gateway_at: OpenGateway) -> None:
    async with gateway_at(toml=_model("m", **behaviour)) as gateway:
        with pytest.raises(error):
            await gateway.respond(ModelRequest("m", (Message("user", "x"),), Generation(max_retries=0)))


async def test_a_rate_limited_model_finishes_late_but_whole(gateway_at: OpenGateway) -> None:
    toml = _model("m", requests_per_minute=3000, constant="ok", skills=[])
    async with gateway_at(toml=toml) as gateway:
        replies = await _ask_all(gateway, "m", map(str, range(80)))
    assert [reply.text for reply in replies] == ["ok"] * 80
    assert any(attempt.status == 429 for reply in replies for attempt in reply.attempts)


async def test_embeddings_of_like_texts_are_near(gateway_at: OpenGateway) -> None:
    async with gateway_at() as gateway:
        reply = await gateway.embed("simulator/embedding", ["a red car", "the red car", "stock prices fell", ""])
    near, far = reply.vectors[0] @ reply.vectors[1], reply.vectors[0] @ reply.vectors[2]
    assert near > far
    assert np.allclose(np.linalg.norm(reply.vectors[:3], axis=1), 1)
    assert not reply.vectors[3].any()


@pytest.mark.parametrize("line", ["{", "[]", '{"prompt": "x"}', '{"prompt": 1, "answer": "y"}'])
def test_a_faulty_answer_key_names_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "key.jsonl"
    path.write_text('{"prompt": "a", "answer": "b"}\n\n' + line)
    with pytest.raises(CatalogConfigError, match="line 3"):
        AnswerKey().load(path)


def test_a_missing_answer_key_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CatalogConfigError, match="No such file"):
        AnswerKey().load(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    ("instructions", "right"),
    [("", 0), ("Work STEP BY STEP.", 60), ("Step by step, give only the number.", 100), ("Hurry.", 0)],
)
async def test_instructions_change_how_often_a_model_is_right(
    gateway_at: OpenGateway, instructions: str, right: int
) -> None:
    helped = [("step by step", 0.6), ("only the number", 0.4), ("hurry", -1)]
    config = _model("pupil", accuracy=0, skills=["arithmetic"])
    for text, accuracy in helped:
        config += f'[[models.pupil.simulator.instructions]]\ntext = "{text}"\naccuracy = {accuracy}\n'
    async with gateway_at(toml=config) as gateway:
        requests = [
            ModelRequest("pupil", (Message("system", instructions), Message("user", f"{n} + {n}"))) for n in range(100)
        ]
        replies = await asyncio.gather(*map(gateway.respond, requests))
    assert abs(sum(reply.text == str(2 * n) for n, reply in enumerate(replies)) - right) <= 10


FUNCTIONS = tuple({"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("a", "b", "c"))


async def test_a_model_that_calls_tools_does_what_the_prompt_spells_out(gateway_at: OpenGateway) -> None:
    messages = [Message("user", 'call a {"x": 1} and call b, then call c {"y": [2]}')]
    made: list[list[tuple[str, str]]] = []
    async with gateway_at() as gateway:
        while True:
            request = ModelRequest("simulator/tools", tuple(messages), Generation(tools=FUNCTIONS))
            reply = await gateway.respond(request)
            if not reply.tool_calls:
                break
            made.append([(call.name, call.arguments) for call in reply.tool_calls])
            messages.append(Message("assistant", reply.text, reply.tool_calls))
            messages += [Message("tool", f"{call.name}!", tool_call_id=call.id) for call in reply.tool_calls]
    assert made == [[("a", '{"x": 1}'), ("b", "{}")], [("c", '{"y": [2]}')]]
    assert reply.text == "a!; b!; c!"


async def test_a_tool_that_was_not_offered_is_not_called(gateway_at: OpenGateway) -> None:
    async with gateway_at() as gateway:
        request = ModelRequest("simulator/tools", (Message("user", "call z"),), Generation(tools=FUNCTIONS))
        assert (await gateway.respond(request)).text == "There is no tool 'z'."
