"""The contract between the gateway and a protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from assay.gateway.entries import ResolvedModel
from assay.gateway.errors import UnsupportedParameterError
from assay.gateway.types import NO_USAGE, ModelRequest, ToolCall, Usage
from assay.kit.errors import InvalidError

T = TypeVar("T")
AttemptCall = Callable[[int], Awaitable[T]]
"""Makes one attempt; its argument is the number of earlier attempts of the same call."""


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as the provider gave it."""

    text: str
    response_id: str | None = None
    finish_reason: str | None = None
    reasoning: str | None = None
    usage: Usage = NO_USAGE
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class RawEmbeddings:
    """Vectors of one batch, shape (texts, dimensions)."""

    vectors: NDArray[np.float32]
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class RawTranscription:
    """Text of a recording as the provider gave it."""

    text: str
    language: str | None = None
    duration_seconds: float | None = None
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Audio to transcribe."""

    audio: bytes
    filename: str
    """Its extension tells the provider the format."""
    language: str | None = None
    """ISO 639-1."""
    prompt: str | None = None
    temperature: float | None = None


class Provider(Protocol):
    """One protocol, bound to one configured provider.

    Every ``prepare_…`` raises ``UnsupportedParameterError`` for what the protocol cannot express; every attempt raises
    ``ProviderError``.
    """

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Translate a request for a reply."""
        ...

    def prepare_embed(
        self, model: ResolvedModel, texts: Sequence[str], *, dimensions: int | None, timeout_seconds: float
    ) -> AttemptCall[RawEmbeddings]:
        """Translate a request for the vectors of one batch of texts."""
        ...

    def prepare_transcribe(
        self, model: ResolvedModel, recording: Recording, *, timeout_seconds: float
    ) -> AttemptCall[RawTranscription]:
        """Translate a request for the text of a recording."""
        ...


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The JSON of a request body.

    Raises:
        InvalidError: A message or parameter is not JSON, for example because it holds half a surrogate pair.
    """
    try:
        return orjson.dumps(body)
    except TypeError as exc:
        raise InvalidError(f"The messages cannot be sent as JSON: {exc}.", param="messages") from exc


def unsupported(model: ResolvedModel, parameter: str, advice: str = "Remove it, or choose another model.") -> Exception:
    """The error for a parameter that the model's protocol does not have."""
    return UnsupportedParameterError(
        f"{model.id} cannot take {parameter}: the {model.provider.kind.value} {model.provider.api.value} API has no "
        f"such thing. {advice}",
        param=parameter,
    )
