"""Embeddings (M§3.7)."""

from __future__ import annotations

import base64

import numpy as np

from assay.dialects.edge.state import give_back
from assay.dialects.mka1.route import ResponsesReader, ResponsesWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.responses import (
    CreateEmbeddings,
    WireEmbedding,
    WireEmbeddingLimits,
    WireEmbeddingModel,
    WireEmbeddingModels,
    WireEmbeddings,
    WireEmbeddingUsage,
)
from assay.gateway.entries import ModelType

TIMEOUT_SECONDS = 4.0
"""Of all of a request: its client gives up after five seconds (M§1.8)."""
DEFAULT_MAX_TOKENS = 8_192
CHARACTERS_PER_TOKEN = 4

router = mka1_router("/api/v1/llm/embeddings", tag="embeddings")


@router.post("", response_model_exclude_none=True)
async def create_embeddings(
    body: CreateEmbeddings, caller: ResponsesWriter, session: Session, state: State
) -> WireEmbeddings:
    """Embed texts."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    reply = await state.embed(
        body.model, texts, dimensions=body.dimensions, timeout_seconds=TIMEOUT_SECONDS, max_retries=0
    )
    encode = body.encoding_format == "base64"
    data = [
        WireEmbedding(
            object="embedding",
            index=index,
            embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode() if encode else vector.tolist(),
        )
        for index, vector in enumerate(np.asarray(reply.vectors))
    ]
    count = reply.usage.input_tokens
    usage = None if count is None else WireEmbeddingUsage(prompt_tokens=count, total_tokens=count)
    return WireEmbeddings(object="list", data=data, model=reply.model, usage=usage)


@router.get("/models")
async def list_embedding_models(caller: ResponsesReader, session: Session, state: State) -> WireEmbeddingModels:
    """List the models that embed."""
    await give_back(session)
    await state.catalog.refresh()
    data = [
        WireEmbeddingModel(
            id=listed.entry.id,
            provider=listed.provider.name,
            model=listed.entry.upstream,
            limits=WireEmbeddingLimits(
                max_batch_size=listed.entry.max_batch_size,
                max_input_tokens=listed.entry.context_window or DEFAULT_MAX_TOKENS,
                max_input_length=(listed.entry.context_window or DEFAULT_MAX_TOKENS) * CHARACTERS_PER_TOKEN,
            ),
        )
        for listed in state.catalog.list_models()
        if listed.entry.type is ModelType.EMBEDDINGS
    ]
    return WireEmbeddingModels(object="list", data=data)
