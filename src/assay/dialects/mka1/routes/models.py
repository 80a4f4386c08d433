"""The model catalog (M§3.7). Ids contain slashes and colons, so the path takes the rest of the URL."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends

from assay.core.projects.types import Principal
from assay.dialects.edge.state import principal_of
from assay.dialects.mka1.mapping import unix
from assay.dialects.mka1.route import State, mka1_router
from assay.dialects.mka1.wire.models import (
    WireCapabilities,
    WireDimensionRange,
    WireLifecycle,
    WireModel,
    WireModelList,
)
from assay.gateway.catalog import ListedModel
from assay.gateway.entries import ModelType
from assay.kit.errors import NotFoundError

router = mka1_router("/api/v1/llm/models", tag="models")

AnyCaller = Annotated[Principal, Depends(principal_of)]
"""The catalog belongs to the installation, so every key may read it."""


class ModelNotFoundError(NotFoundError):
    """The catalog lists no such model."""

    code = "model_not_found"


@router.get("")
async def list_models(caller: AnyCaller, state: State) -> WireModelList:
    """List the configured models."""
    await state.catalog.refresh()
    return WireModelList(object="list", data=[to_model(model) for model in state.catalog.list_models()])


@router.get("/{model_id:path}")
async def get_model(model_id: str, caller: AnyCaller, state: State) -> WireModel:
    """Retrieve one model."""
    await state.catalog.refresh()
    found = next((model for model in state.catalog.list_models() if model.entry.id == model_id), None)
    if found is None:
        raise ModelNotFoundError(f"No model {model_id[:200]!r} is in the catalog.", param="model_id")
    return to_model(found)


def to_model(listed: ListedModel) -> WireModel:
    """A row of the catalog."""
    entry = listed.entry
    inputs, outputs = entry.modalities
    is_llm = entry.type is ModelType.LLM
    dimensions = entry.embedding_dimensions
    details: dict[str, Any] = dict(entry.details)
    if listed.simulated:
        details.setdefault("limitations", "Simulated: its replies come from rules, not from a language model.")
    return WireModel(
        id=entry.id,
        object="model",
        created=unix(entry.created_at),
        owned_by=listed.owned_by,
        model_type=entry.type.value,
        input_modalities=list(inputs),
        output_modalities=list(outputs),
        context_window=entry.context_window,
        max_image_resolution=None,
        min_image_resolution=None,
        embedding_dimension_range=None
        if dimensions is None
        else WireDimensionRange(min=dimensions, max=dimensions, default=dimensions),
        parameter_count=details.get("parameter_count"),
        active_parameter_count=details.get("active_parameter_count"),
        release_date=details.get("release_date"),
        serving_locations=details.get("serving_locations"),
        developer=details.get("developer"),
        base_model=details.get("base_model"),
        weights=details.get("weights"),
        license=details.get("license"),
        languages=details.get("languages"),
        tts=None,
        limitations=details.get("limitations"),
        lifecycle=WireLifecycle(status="active", deprecated_at=None, retires_at=None, successor=None),
        capabilities=WireCapabilities(
            supports_temperature=is_llm,
            supports_top_p=is_llm,
            supports_reasoning=is_llm and details.get("supports_reasoning") is True,
            supports_reasoning_effort=is_llm and details.get("supports_reasoning") is True,
            supports_structured_outputs=details.get("supports_structured_outputs") if is_llm else False,
        ),
    )
