"""The OpenAI protocol: chat completions or responses, embeddings, audio transcription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import aiohttp
from yarl import URL

from assay.gateway.entries import ApiForm, ProviderEntry, ResolvedModel
from assay.gateway.providers.base import AttemptCall, RawEmbeddings, RawReply, RawTranscription, Recording, encode_body
from assay.gateway.providers.chat import ChatCompletions
from assay.gateway.providers.parsing import malformed, openai_usage, parse_embeddings
from assay.gateway.providers.responses import Responses
from assay.gateway.providers.transport import Transport
from assay.gateway.types import ModelRequest


class OpenAICompatible:
    """Any server of the OpenAI protocol."""

    def __init__(self, session: aiohttp.ClientSession, provider: ProviderEntry) -> None:
        auth = {} if provider.api_key is None else {"Authorization": f"Bearer {provider.api_key}"}
        self._transport = Transport(session, provider, auth)
        self._provider = provider
        base = provider.base_url.rstrip("/")
        self._embeddings_url = URL(base + "/embeddings")
        self._transcriptions_url = URL(base + "/audio/transcriptions")
        form = Responses if provider.api is ApiForm.RESPONSES else ChatCompletions
        self._generator = form(self._transport, provider)

    def prepare_respond(self, model: ResolvedModel, request: ModelRequest) -> AttemptCall[RawReply]:
        """Translate a request; see ``Provider``."""
        return self._generator.prepare_respond(model, request)

    def prepare_embed(
        self, model: ResolvedModel, texts: Sequence[str], *, dimensions: int | None, timeout_seconds: float
    ) -> AttemptCall[RawEmbeddings]:
        """Translate a batch; see ``Provider``."""
        request: dict[str, Any] = {"model": model.upstream, "input": list(texts), "encoding_format": "float"}
        if dimensions is not None:
            request["dimensions"] = dimensions
        body, expected = encode_body(request), len(texts)

        async def attempt(_: int) -> RawEmbeddings:
            reply = await self._transport.post_json(self._embeddings_url, body, timeout_seconds)
            return parse_embeddings(self._provider.name, reply, expected)

        return attempt

    def prepare_transcribe(
        self, model: ResolvedModel, recording: Recording, *, timeout_seconds: float
    ) -> AttemptCall[RawTranscription]:
        """Translate a recording; see ``Provider``."""

        async def attempt(_: int) -> RawTranscription:
            # A form can be sent once only.
            form = _form(model, recording)
            reply = await self._transport.post_form(self._transcriptions_url, form, timeout_seconds)
            return parse_transcription(self._provider.name, reply)

        return attempt


def _form(model: ResolvedModel, recording: Recording) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", recording.audio, filename=recording.filename, content_type="application/octet-stream")
    form.add_field("model", model.upstream)
    form.add_field("response_format", "json")
    for name in ("language", "prompt", "temperature"):
        value = getattr(recording, name)
        if value is not None:
            form.add_field(name, str(value))
    return form


def parse_transcription(provider: str, body: Any) -> RawTranscription:
    """Read a transcription object.

    Raises:
        MalformedReplyError: It is not one.
    """
    fields: dict[str, Any] = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    text, language, duration = fields.get("text"), fields.get("language"), fields.get("duration")
    if not isinstance(text, str):
        raise malformed(provider, fields)
    return RawTranscription(
        text,
        language if isinstance(language, str) else None,
        float(duration) if isinstance(duration, int | float) else None,
        openai_usage(fields.get("usage")),
    )
