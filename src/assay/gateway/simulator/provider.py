"""The simulator as a provider: behaviour, faults, limits, embeddings and transcripts of simulated models."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.gateway.entries import ResolvedModel
from assay.gateway.errors import (
    CatalogConfigError,
    ProviderOverloadedError,
    ProviderTimeoutError,
    RateLimitedError,
)
from assay.gateway.providers.base import (
    AttemptCall,
    RawEmbeddings,
    RawReply,
    RawTranscription,
    Recording,
)
from assay.gateway.simulator.answers import Answer, AnswerKey, Prompt, Skill, constant, rules_from_config, skill_named
from assay.gateway.simulator.hearing import hear
from assay.gateway.simulator.toolcalls import ToolTurn, next_tool_turn
from assay.gateway.types import Message, ModelRequest, Usage

EMBEDDING_DIMENSIONS = 256
_UNKNOWN_ANSWER = "I do not know."
_CHARACTERS_PER_TOKEN = 4
"""For the usage of simulated replies, which no tokenizer made."""

Rate = Annotated[float, Field(ge=0, le=1)]


class RuleConfig(BaseModel):
    """A rule in ``assay.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str
    answer: str
    wrong: tuple[str, ...] = ()


class HelpConfig(BaseModel):
    """An instruction that a simulated model does better with, in ``assay.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    accuracy: float = Field(ge=-1, le=1)
    """Added to the model's own while the text stands in its instructions; below 0 it does worse."""


class Behaviour(BaseModel):
    """What a simulated model does; the ``simulator`` table of a model in ``assay.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: Rate = Field(default=1.0, description="Share of prompts answered rightly, where the answer is known.")
    instructions: tuple[HelpConfig, ...] = Field(default=(), description="What in its instructions changes accuracy.")
    latency_seconds: float = Field(default=0.0, ge=0, le=600, description="Mean latency.")
    latency_jitter: Rate = Field(default=0.0, description="Spread: uniform within mean · (1 ± jitter).")
    rate_limited_rate: Rate = Field(default=0.0, description="Share of attempts refused with 429.")
    error_rate: Rate = Field(default=0.0, description="Share of attempts that fail with 500.")
    timeout_rate: Rate = Field(default=0.0, description="Share of attempts that time out (at once, without the wait).")
    blank_rate: Rate = Field(default=0.0, description="Share of attempts that give a blank reply.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Above this, 429 with Retry-After.")
    seed: int = Field(default=0, description="Another seed errs elsewhere.")
    rules: tuple[RuleConfig, ...] = Field(default=(), description="Tried first, in order.")
    skills: tuple[str, ...] = Field(default=("arithmetic", "sentiment"), description="Tried after the answer key.")
    constant: str | None = Field(default=None, description="Said where nothing else knows an answer.")
    calls_tools: bool = Field(default=False, description="Make the tool calls that the prompt spells out.")

    def accuracy_under(self, instructions: str) -> float:
        """The share of prompts answered rightly under these instructions, 0 to 1."""
        gained = sum(one.accuracy for one in self.instructions if one.text.casefold() in instructions.casefold())
        return min(1.0, max(0.0, self.accuracy + gained))


PRESETS: Mapping[str, Behaviour] = {
    "strong": Behaviour(accuracy=0.92, latency_seconds=0.05, latency_jitter=0.5, seed=1),
    "weak": Behaviour(accuracy=0.64, latency_seconds=0.02, latency_jitter=0.5, seed=2),
    "limited": Behaviour(accuracy=0.85, latency_seconds=0.03, latency_jitter=0.5, requests_per_minute=1800, seed=3),
    "echo": Behaviour(skills=("echo",)),
    "tools": Behaviour(calls_tools=True),
}


def parse_behaviour(config: Mapping[str, Any], path: str) -> Behaviour:
    """A behaviour from its configured form.

    Raises:
        CatalogConfigError: A field is unknown or out of range.
    """
    try:
        behaviour = Behaviour.model_validate(dict(config))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join([path, *(str(part) for part in first["loc"])])
        raise CatalogConfigError(f"{where}: {first['msg']}.", param=where) from exc
    for name in behaviour.skills:
        skill_named(name, f"{path}.skills")
    rules_from_config([rule.model_dump() for rule in behaviour.rules], f"{path}.rules")
    return behaviour


class _Bucket:
    """A token bucket that holds one second's worth of requests, and at least one."""

    __slots__ = ("_capacity", "_filled_at", "_per_second", "_tokens")

    def __init__(self, requests_per_minute: float) -> None:
        self._per_second = requests_per_minute / 60
        self._capacity = max(1.0, self._per_second)
        self._tokens = self._capacity
        self._filled_at: float | None = None

    def take(self, now: float) -> float:
        """0.0 when the request may pass, else the seconds until one may."""
        if self._filled_at is not None:
            self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second


class _SimulatedModel:
    """One simulated model with its sources of answers, in the order in which they are asked."""

    __slots__ = ("behaviour", "bucket", "sources")

    def __init__(self, behaviour: Behaviour, key: AnswerKey) -> None:
        self.behaviour = behaviour
        self.bucket = None if behaviour.requests_per_minute is None else _Bucket(behaviour.requests_per_minute)
        rules = rules_from_config([rule.model_dump() for rule in behaviour.rules], "rules")
        sources: list[Skill] = [rule.apply for rule in rules]
        sources.append(key.apply)
        sources += [skill_named(name, "skills") for name in behaviour.skills]
        if behaviour.constant is not None:
            sources.append(constant(behaviour.constant))
        self.sources = sources

    def answer(self, prompt: Prompt) -> Answer | None:
        return next((found for source in self.sources if (found := source(prompt)) is not None), None)


class Simulator:
    """The provider of ``simulator/…`` models."""

    def __init__(self, answer_key: Path | None = None) -> None:
        """Load the answer key, if any.

        Raises:
            CatalogConfigError: The answer key cannot be read.
        """
        self.key = AnswerKey()
        """May be added to at any time."""
        if answer_key is not None:
            self.key.load(answer_key)
        self._models: dict[ResolvedModel, _SimulatedModel] = {}

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Prepare a reply; see ``Provider``. Generation parameters other than the instructions have no effect here."""
        simulated = self._model(model)
        prompt = _prompt(request)
        seed = _seed(model, simulated.behaviour, request)
        turn = next_tool_turn(request, prompt.text) if simulated.behaviour.calls_tools else None

        async def attempt(number: int) -> RawReply:
            draw = Random(seed + number.to_bytes(4, "big"))
            await _suffer(model.id, simulated, draw)
            if turn is not None:
                return _tool_reply(turn, request, Random(seed))
            # Whether an answer is right must not hang on how many attempts it took.
            return _reply(simulated, prompt, Random(seed), blank=draw.random() < simulated.behaviour.blank_rate)

        return attempt

    def prepare_embed(
        self, model: ResolvedModel, texts: Sequence[str], *, dimensions: int | None, timeout_seconds: float
    ) -> AttemptCall[RawEmbeddings]:
        """Prepare hashed bag-of-words vectors: texts that share words are near each other."""
        simulated = self._model(model)
        width = dimensions or model.entry.embedding_dimensions or EMBEDDING_DIMENSIONS
        batch = list(texts)
        seed = hashlib.sha256("\0".join([model.id, *batch]).encode()).digest()

        async def attempt(number: int) -> RawEmbeddings:
            await _suffer(model.id, simulated, Random(seed + number.to_bytes(4, "big")))
            vectors = np.stack([_embed(text, width) for text in batch])
            return RawEmbeddings(vectors, Usage(sum(map(_estimate_tokens, batch)), 0))

        return attempt

    def prepare_transcribe(
        self, model: ResolvedModel, recording: Recording, *, timeout_seconds: float
    ) -> AttemptCall[RawTranscription]:
        """Prepare what the clip's comment says, less some words; see ``hearing``."""
        simulated = self._model(model)
        seed = hashlib.sha256(f"{model.id}\0{simulated.behaviour.seed}\0".encode() + recording.audio).digest()

        async def attempt(number: int) -> RawTranscription:
            await _suffer(model.id, simulated, Random(seed + number.to_bytes(4, "big")))
            text = hear(recording.audio, accuracy=simulated.behaviour.accuracy, draw=Random(seed))
            return RawTranscription(text, recording.language, None, Usage(0, _estimate_tokens(text)))

        return attempt

    def _model(self, model: ResolvedModel) -> _SimulatedModel:
        simulated = self._models.get(model)
        if simulated is None:
            preset = PRESETS.get(model.upstream)
            config = model.entry.simulator
            behaviour = preset if config is None and preset is not None else parse_behaviour(config or {}, model.id)
            simulated = self._models[model] = _SimulatedModel(behaviour, self.key)
        return simulated


def _prompt(request: ModelRequest) -> Prompt:
    systems = [_plain_text(message) for message in request.messages if message.role in ("system", "developer")]
    instructions = "\n".join(filter(None, [request.generation.instructions, *systems]))
    user = next((message for message in reversed(request.messages) if message.role == "user"), None)
    return Prompt("" if user is None else _plain_text(user), instructions)


def _plain_text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part["text"] for part in message.content if part.get("type") == "text")


def _seed(model: ResolvedModel, behaviour: Behaviour, request: ModelRequest) -> bytes:
    texts = [model.upstream, str(behaviour.seed), str(request.repeat), request.generation.instructions or ""]
    texts += [part for message in request.messages for part in (message.role, _plain_text(message))]
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()


async def _suffer(model_id: str, simulated: _SimulatedModel, draw: Random) -> None:
    """Wait for the latency, or fail as the draw says."""
    behaviour = simulated.behaviour
    if simulated.bucket is not None:
        wait = simulated.bucket.take(asyncio.get_running_loop().time())
        if wait > 0:
            raise RateLimitedError(f"{model_id}: HTTP 429: simulated rate limit.", status=429, retry_after=wait)
    fate = draw.random()
    delay = behaviour.latency_seconds * (1 + behaviour.latency_jitter * draw.uniform(-1, 1))
    if delay > 0:
        await asyncio.sleep(delay)
    _fail(model_id, behaviour, fate)


def _fail(model_id: str, behaviour: Behaviour, fate: float) -> None:
    """Raise the fault in whose share of [0, 1) the draw lies."""
    threshold = behaviour.rate_limited_rate
    if fate < threshold:
        raise RateLimitedError(f"{model_id}: HTTP 429: simulated rate limit.", status=429)
    threshold += behaviour.error_rate
    if fate < threshold:
        raise ProviderOverloadedError(f"{model_id}: HTTP 500: simulated fault.", status=500)
    if fate < threshold + behaviour.timeout_rate:
        raise ProviderTimeoutError(f"{model_id}: simulated timeout.")
    return


def _reply(simulated: _SimulatedModel, prompt: Prompt, draw: Random, *, blank: bool) -> RawReply:
    answer = simulated.answer(prompt)
    right = draw.random() < simulated.behaviour.accuracy_under(prompt.instructions)
    if blank:
        text = ""
    elif answer is None:
        text = _UNKNOWN_ANSWER
    else:
        text = answer.text if right else answer.wrong_one(draw)
    asked = _estimate_tokens(prompt.instructions) + _estimate_tokens(prompt.text)
    usage = Usage(asked, _estimate_tokens(text), 0, 0)
    return RawReply(text, f"resp_sim_{draw.getrandbits(128):032x}", "stop", None, usage)


def _tool_reply(turn: ToolTurn, request: ModelRequest, draw: Random) -> RawReply:
    asked = sum(_estimate_tokens(_plain_text(message)) for message in request.messages)
    said = _estimate_tokens(turn.text) + sum(_estimate_tokens(call.name + call.arguments) for call in turn.calls)
    return RawReply(
        turn.text,
        f"resp_sim_{draw.getrandbits(128):032x}",
        "tool_calls" if turn.calls else "stop",
        None,
        Usage(asked, said, 0, 0),
        turn.calls,
    )


def _estimate_tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _embed(text: str, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.zeros(width, dtype=np.float32)
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
        vector[int.from_bytes(digest[:4], "big") % width] += 1.0 if digest[4] & 1 else -1.0
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector
