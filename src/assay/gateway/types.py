"""What goes into the gateway and what comes out of it. All of it frozen, none of it bound to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from assay.gateway.generation import DEFAULT_GENERATION, Generation, resolve_generation

__all__ = [
    "Attempt",
    "CallRecord",
    "Content",
    "EmbeddingReply",
    "Generation",
    "Message",
    "ModelReply",
    "ModelRequest",
    "ModelRole",
    "Operation",
    "ToolCall",
    "TranscriptionReply",
    "Usage",
    "resolve_generation",
]

Content = str | tuple[Mapping[str, Any], ...]
"""Text, or parts in the chat-completions form: ``{"type": "text", "text": …}``,
``{"type": "image_url", "image_url": {"url": …}}``."""


class ModelRole(StrEnum):
    """What a model is used for; decides what ``auto`` means."""

    CANDIDATE = "candidate"
    JUDGE = "judge"
    EMBEDDING = "embedding"
    TRANSCRIPTION = "transcription"


class Operation(StrEnum):
    """Kinds of call."""

    RESPOND = "respond"
    EMBED = "embed"
    TRANSCRIBE = "transcribe"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called."""

    id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it; it may be invalid."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    """``system``, ``developer``, ``user``, ``assistant`` or ``tool``."""
    content: Content
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's turn."""
    tool_call_id: str | None = None
    """Of a ``tool`` turn: the call it answers."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request for one reply."""

    model: str
    """Id in the catalog, or ``auto``."""
    messages: tuple[Message, ...]
    generation: Generation = DEFAULT_GENERATION
    repeat: int = 0
    """Number of this repetition of the same request; repetitions are cached apart."""
    project_id: UUID | None = None
    """Owner of the cached reply; projects never see each other's."""
    role: ModelRole = ModelRole.CANDIDATE


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class, as the provider reported them; None means unreported, not zero."""

    input_tokens: int | None = None
    """Includes ``cached_tokens`` and ``cache_write_tokens``."""
    output_tokens: int | None = None
    """Includes ``reasoning_tokens``."""
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a call."""

    started_at: datetime
    seconds: float
    """From sending to the complete reply, or to the fault."""
    status: int | None = None
    """HTTP status, or None when no answer came."""
    error: str | None = None
    """``code: message``, or None for a success."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A model's reply and how it came about."""

    text: str
    """Output after the stop sequences were enforced, without reasoning."""
    model: str
    """Resolved catalog id; never ``auto``."""
    provider: str
    response_id: str | None = None
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter`` or the provider's own word."""
    reasoning: str | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    """None when the price or the usage is not known; never 0 as a placeholder. Includes blank replies asked
    again. Of a cached reply: what it cost when it was made."""
    tool_calls: tuple[ToolCall, ...] = ()
    attempts: tuple[Attempt, ...] = field(default=(), compare=False)
    cached: bool = False
    """True when no provider was asked."""

    @property
    def blank(self) -> bool:
        """Whether there is neither text nor a tool call."""
        return not self.tool_calls and not self.text.strip()


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """Vectors of texts."""

    vectors: NDArray[np.float32]
    """Shape (number of texts, dimensions), in the order of the texts."""
    model: str
    provider: str
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptionReply:
    """Text of a recording."""

    text: str
    model: str
    provider: str
    language: str | None = None
    duration_seconds: float | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What an observer learns about each attempt."""

    provider: str
    model: str
    operation: Operation
    outcome: str
    """``ok``, or the code of the error."""
    seconds: float
    usage: Usage | None = None
