"""Models (M§3.7)."""

from __future__ import annotations

from typing import Literal

from assay.dialects.mka1.wire.base import ResponseModel, UnixSeconds


class WireLifecycle(ResponseModel):
    """Where a model is in its life. Assay knows of no retirements, so every model is active."""

    status: Literal["active"]
    deprecated_at: None
    retires_at: None
    successor: None


class WireCapabilities(ResponseModel):
    """What a model's API accepts."""

    supports_temperature: bool
    supports_top_p: bool
    supports_reasoning: bool
    supports_reasoning_effort: bool
    supports_structured_outputs: bool | None


class WireDimensionRange(ResponseModel):
    """Lengths of an embedding model's vectors."""

    min: int
    max: int
    default: int


class WireModel(ResponseModel):
    """A model of the catalog. What nobody has configured is null."""

    id: str
    object: Literal["model"]
    created: UnixSeconds
    owned_by: str
    model_type: Literal["llm", "embeddings", "speech_to_text"]
    input_modalities: list[str]
    output_modalities: list[str]
    context_window: int | None
    max_image_resolution: None
    min_image_resolution: None
    embedding_dimension_range: WireDimensionRange | None
    parameter_count: int | None
    active_parameter_count: int | None
    release_date: str | None
    serving_locations: list[str] | None
    developer: str | None
    base_model: str | None
    weights: Literal["open", "closed"] | None
    license: str | None
    languages: list[str] | None
    tts: None
    limitations: str | None
    lifecycle: WireLifecycle
    capabilities: WireCapabilities


class WireModelList(ResponseModel):
    """All models."""

    object: Literal["list"]
    data: list[WireModel]
