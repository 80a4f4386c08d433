"""Responses, conversations and embeddings (M§3.7).

Where the contract leaves JSON free (tools, items, tool choices) it is kept and given back as it was sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel, UnixSeconds

ModelName = Annotated[str, Field(min_length=1, max_length=255)]
Items = Annotated[list[dict[str, Any]], Field(max_length=1_000)]
Metadata = dict[str, str]


class Compaction(RequestModel):
    """When the context is summarised."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int | None, Field(ge=1_000)] = None


class CreateResponse(RequestModel):
    """Body of ``POST /llm/responses``."""

    model: ModelName
    input: Annotated[str, Field(min_length=1)] | Items = Field(default_factory=list[dict[str, Any]])
    instructions: Annotated[str | None, Field(max_length=500_000)] = None
    conversation: str | dict[str, Any] | None = None
    previous_response_id: str | None = None
    background: bool | None = False
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    stream_events: bool | None = None
    store: bool | None = True
    tools: Annotated[list[dict[str, Any]] | None, Field(max_length=128)] = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = True
    max_tool_calls: Annotated[int | None, Field(ge=1, le=300)] = None
    fallback_models: Annotated[list[ModelName] | None, Field(max_length=5)] = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1, le=1_000_000)] = None
    repetition_penalty: Annotated[float | None, Field(gt=0, le=100)] = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    stop: str | list[str] | None = None
    do_sample: bool | None = None
    extra_body: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    prefill_think: bool | str | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Annotated[list[Compaction] | None, Field(max_length=1)] = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    prompt_cache_key: Annotated[str | None, Field(max_length=512)] = None
    safety_identifier: Annotated[str | None, Field(max_length=512)] = None
    user: Annotated[str | None, Field(max_length=512)] = None
    metadata: Metadata | None = None
    include: Annotated[list[str] | None, Field(max_length=0, description="Nothing can be included.")] = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=0, description="There are no log probabilities.")] = None
    modalities: list[Literal["text"]] | None = None


class UpdateResponse(RequestModel):
    """Body of ``POST /llm/responses/{response_id}``."""

    metadata: Metadata


class WakeResponse(RequestModel):
    """Body of ``POST /llm/responses/{response_id}/wake``."""

    input: Annotated[str, Field(min_length=1, max_length=20_000)]


class WireResponse(ResponseModel):
    """A response. What it holds depends on what was asked, so further keys are described by the published API."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: UnixSeconds
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
    model: str
    output: list[dict[str, Any]]


class WireResponseDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["response"]
    deleted: bool


class WireResponseWake(ResponseModel):
    """Answer to a wake."""

    object: Literal["response.sleep_wake"]
    response_id: str
    created_at: str


class WireItemList(ResponseModel):
    """A page of items."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


class CreateConversation(RequestModel):
    """Body of ``POST /llm/conversations``."""

    items: Annotated[list[dict[str, Any]] | None, Field(max_length=20)] = None
    metadata: Metadata | None = None


class UpdateConversation(RequestModel):
    """Body of ``POST /llm/conversations/{conversation_id}``."""

    metadata: Metadata


class CreateItems(RequestModel):
    """Body of ``POST /llm/conversations/{conversation_id}/items``."""

    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=20)]
    include: Annotated[list[str] | None, Field(max_length=0, description="Nothing can be included.")] = None


class WireConversation(ResponseModel):
    """A conversation."""

    id: str
    object: Literal["conversation"]
    created_at: UnixSeconds
    deleted_at: UnixSeconds | None
    metadata: Metadata


class WireConversationDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: bool


class WireConversationList(ResponseModel):
    """A page of conversations."""

    object: Literal["list"]
    data: list[WireConversation]
    first_id: str
    last_id: str
    has_more: bool


class CreateEmbeddings(RequestModel):
    """Body of ``POST /llm/embeddings``."""

    model: ModelName
    input: (
        Annotated[str, Field(min_length=1, max_length=200_000)]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=200_000)]], Field(min_length=1, max_length=2_048)
        ]
    )
    dimensions: Annotated[int | None, Field(ge=1, le=16_384)] = None
    encoding_format: Literal["float", "base64"] | None = "float"
    user: Annotated[str | None, Field(max_length=512)] = None


class WireEmbedding(ResponseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class WireEmbeddingUsage(ResponseModel):
    """Tokens that were embedded."""

    prompt_tokens: int
    total_tokens: int


class WireEmbeddings(ResponseModel):
    """Vectors, in the order of the texts. ``usage`` is left out where the provider reports none."""

    object: Literal["list"]
    data: list[WireEmbedding]
    model: str
    usage: WireEmbeddingUsage | None = None


class WireEmbeddingLimits(ResponseModel):
    """What one request may hold."""

    max_batch_size: int
    max_input_tokens: int
    max_input_length: int


class WireEmbeddingModel(ResponseModel):
    """A model that embeds."""

    id: str
    provider: str
    model: str
    limits: WireEmbeddingLimits


class WireEmbeddingModels(ResponseModel):
    """All of them."""

    object: Literal["list"]
    data: list[WireEmbeddingModel]
