"""The one way to models: catalog, limits, attempts, price; the cache where a caller asks for it.

Candidates, judges, agents and jobs all call this. Rerunning callers look hundreds of requests up at once
(``lookup_many``), ask for what is missing (``respond``) and store replies in batches (``remember_many``), so the
database is never on the path of a single call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
import numpy as np
from aiohttp.abc import AbstractResolver

from assay.db.engine import SessionFactory
from assay.gateway.cache import ResponseCache, cache_key
from assay.gateway.calls import Channel, Observer
from assay.gateway.catalog import Catalog
from assay.gateway.config import Variables, built_in_part, environment_part, file_part, find_config
from assay.gateway.entries import ProviderEntry, ProviderKind, ResolvedModel
from assay.gateway.limits import AdaptiveLimiter
from assay.gateway.pricing import Pricer
from assay.gateway.providers.anthropic import AnthropicMessages
from assay.gateway.providers.base import Provider, RawEmbeddings, RawReply, Recording
from assay.gateway.providers.openai import OpenAICompatible
from assay.gateway.repository import load_stored_part
from assay.gateway.simulator.provider import Simulator
from assay.gateway.transcripts import dump_transcript, load_transcript, transcript_key
from assay.gateway.types import (
    Attempt,
    EmbeddingReply,
    ModelReply,
    ModelRequest,
    ModelRole,
    Operation,
    TranscriptionReply,
    Usage,
)
from assay.gateway.vectors import Vector, recall_vectors, remember_vectors, vector_key
from assay.kit.secrets import SecretBox
from assay.settings import Settings, environment_variable

_EMBED_TIMEOUT_SECONDS = 60.0
_TRANSCRIBE_TIMEOUT_SECONDS = 300.0
_DEFAULT_RETRIES = 5
_CONCURRENT_BATCHES = 8
_KEPT_CHANNELS = 1024


class Gateway:
    """Calls models. One per process; ``aclose`` it, or use it as a context manager."""

    def __init__(
        self,
        catalog: Catalog,
        session: aiohttp.ClientSession,
        *,
        simulator: Simulator,
        guarded: aiohttp.ClientSession | None = None,
        cache: ResponseCache | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Put the parts together; see ``open_gateway``.

        Args:
            catalog: Where models are looked up.
            session: Shared by all calls, and closed with the gateway.
            simulator: Serves ``simulator/…`` models.
            guarded: For providers whose address a user gave, and closed with the gateway; None refuses them.
            cache: Of replies; None switches lookups off.
            observer: Told of every attempt; must be quick and must not raise.
        """
        self.catalog = catalog
        self.simulator = simulator
        self._session = session
        self._guarded = guarded
        self._cache = cache
        self._observer = observer
        self._pricer = Pricer()
        self._channels: dict[ResolvedModel, Channel] = {}
        self._providers: dict[ProviderEntry, Provider] = {}
        self._jitter = Random()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Calls in flight fail."""
        await self._session.close()
        if self._guarded is not None:
            await self._guarded.close()

    async def respond(self, request: ModelRequest) -> ModelReply:
        """Ask a model for one reply. The cache is not touched.

        Raises:
            UnknownModelError: There is no such model.
            UnsupportedParameterError: Its API lacks one of the parameters.
            ProviderError: No attempt gave a reply; ``attempts`` has them all.
        """
        if self.catalog.stale:
            await self.catalog.refresh()
        return await self.respond_with(self.catalog.resolve(request.model, request.role), request)

    async def respond_with(self, model: ResolvedModel, request: ModelRequest) -> ModelReply:
        """As ``respond``, of a model that need not be in the catalog: one that a project reaches with a key of its own.

        Raises:
            UnsupportedParameterError: Its API lacks one of the parameters.
            ProviderError: No attempt gave a reply; ``attempts`` has them all.
        """
        channel = self._channels.get(model) or await self._open_channel(model)
        call = channel.provider.prepare_respond(channel.model, request)
        attempts: list[Attempt] = []
        generation = request.generation
        spent: list[Usage] = []
        while True:
            raw = await channel.call(call, Operation.RESPOND, attempts, max_retries=generation.max_retries)
            spent.append(raw.usage)
            reply = self._finish(channel.model, request, raw, attempts)
            if not reply.blank or len(spent) > generation.max_empty_retries:
                break
        if len(spent) > 1:
            reply = replace(reply, cost_usd=self._total_cost(channel.model, spent))
        return reply

    async def respond_cached(self, request: ModelRequest) -> ModelReply:
        """As ``respond``, but through the cache. For single calls; batches use ``lookup_many``."""
        cached = (await self.lookup_many([request]))[0]
        if cached is not None:
            return cached
        reply = await self.respond(request)
        await self.remember_many([(request, reply)])
        return reply

    async def lookup_many(self, requests: Sequence[ModelRequest]) -> list[ModelReply | None]:
        """Cached replies of requests, in their order; None where there is none, or where the cache is not wanted.

        Raises:
            UnknownModelError: A request names no known model.
        """
        if self._cache is None:
            return [None] * len(requests)
        if self.catalog.stale:
            await self.catalog.refresh()
        keys = [self.cache_key(request) if request.generation.use_cache else None for request in requests]
        found = await self._cache.get_many([key for key in keys if key is not None])
        return [None if key is None else found.get(key) for key in keys]

    async def remember_many(self, pairs: Sequence[tuple[ModelRequest, ModelReply]]) -> None:
        """Store replies for later lookups. Blank and already cached replies are not stored; the first reply stays."""
        if self._cache is None:
            return
        rows = [
            (self.cache_key(request), reply)
            for request, reply in pairs
            if request.generation.use_cache and not reply.cached and not reply.blank
        ]
        if rows:
            await self._cache.put_many(rows)

    def cache_key(self, request: ModelRequest) -> bytes:
        """The request's key in the cache, 32 bytes.

        Raises:
            UnknownModelError: There is no such model.
        """
        return cache_key(request, self.catalog.resolve(request.model, request.role).identity)

    async def embed(
        self,
        model: str,
        texts: Sequence[str],
        *,
        dimensions: int | None = None,
        timeout_seconds: float = _EMBED_TIMEOUT_SECONDS,
        max_retries: int = _DEFAULT_RETRIES,
    ) -> EmbeddingReply:
        """Vectors of texts, in batches as large as the model takes, several at a time.

        Args:
            model: Id in the catalog, or ``auto``.
            texts: At least one.
            dimensions: Length of the vectors, for models that can choose it.
            timeout_seconds: Of one attempt of one batch.
            max_retries: Further attempts of each batch.

        Raises:
            ValueError: There are no texts.
            UnknownModelError: There is no such model.
            ProviderError: A batch got no reply; the others are given up.
        """
        if not texts:
            raise ValueError("embed needs at least one text")
        channel = await self._find_channel(model, ModelRole.EMBEDDING)
        size = channel.model.entry.max_batch_size
        batches = [texts[start : start + size] for start in range(0, len(texts), size)]
        attempts: list[Attempt] = []
        slots = asyncio.Semaphore(_CONCURRENT_BATCHES)

        async def embed_batch(batch: Sequence[str]) -> RawEmbeddings:
            call = channel.provider.prepare_embed(
                channel.model, batch, dimensions=dimensions, timeout_seconds=timeout_seconds
            )
            async with slots:
                return await channel.call(call, Operation.EMBED, attempts, max_retries=max_retries)

        raws = await _gather([embed_batch(batch) for batch in batches])
        usages = [raw.usage for raw in raws]
        return EmbeddingReply(
            np.concatenate([raw.vectors for raw in raws]),
            channel.model.id,
            channel.model.provider.name,
            Usage(_sum([usage.input_tokens for usage in usages]), 0),
            self._total_cost(channel.model, usages),
            tuple(attempts),
        )

    async def recall_vectors(self, model: str, texts: Sequence[str], *, project_id: UUID | None) -> list[Vector | None]:
        """Vectors of texts from the cache, in their order; None where there is none.

        Raises:
            UnknownModelError: There is no such model.
        """
        if self._cache is None:
            return [None] * len(texts)
        return await recall_vectors(self._cache, await self._vector_keys(model, texts, project_id))

    async def remember_vectors(
        self, model: str, pairs: Sequence[tuple[str, Vector]], *, project_id: UUID | None
    ) -> None:
        """Store vectors of texts for later lookups; raises as ``recall_vectors``."""
        if self._cache is not None and pairs:
            keys = await self._vector_keys(model, [text for text, _ in pairs], project_id)
            vectors = [vector for _, vector in pairs]
            await remember_vectors(self._cache, list(zip(keys, vectors, strict=True)))

    async def _vector_keys(self, model: str, texts: Sequence[str], project_id: UUID | None) -> list[bytes]:
        if self.catalog.stale:
            await self.catalog.refresh()
        identity = self.catalog.resolve(model, ModelRole.EMBEDDING).identity
        return [vector_key(identity, text, project_id=project_id) for text in texts]

    async def transcribe(
        self,
        model: str,
        recording: Recording,
        *,
        timeout_seconds: float = _TRANSCRIBE_TIMEOUT_SECONDS,
        max_retries: int = _DEFAULT_RETRIES,
        project_id: UUID | None = None,
        use_cache: bool = False,
        repeat: int = 0,
    ) -> TranscriptionReply:
        """Text of a recording; raises as ``respond``.

        Args:
            model: Id in the catalog, or ``auto``.
            recording: What to listen to.
            timeout_seconds: Of one attempt.
            max_retries: Further attempts.
            project_id: Owner of the cached reply.
            use_cache: Whether to look for a cached reply first, and to store a new one.
            repeat: Number of this repetition of the same request; repetitions are cached apart.
        """
        channel = await self._find_channel(model, ModelRole.TRANSCRIPTION)
        cache = self._cache if use_cache else None
        if cache is None:
            return await self._transcribe(channel, recording, timeout_seconds, max_retries)
        key = transcript_key(channel.model.identity, recording, project_id=project_id, repeat=repeat)
        if (stored := (await cache.get_bytes([key])).get(key)) is not None:
            return load_transcript(stored, model=channel.model.id, provider=channel.model.provider.name)
        reply = await self._transcribe(channel, recording, timeout_seconds, max_retries)
        await cache.put_bytes({key: dump_transcript(reply)})
        return reply

    async def _transcribe(
        self, channel: Channel, recording: Recording, timeout_seconds: float, max_retries: int
    ) -> TranscriptionReply:
        call = channel.provider.prepare_transcribe(channel.model, recording, timeout_seconds=timeout_seconds)
        attempts: list[Attempt] = []
        raw = await channel.call(call, Operation.TRANSCRIBE, attempts, max_retries=max_retries)
        return TranscriptionReply(
            raw.text,
            channel.model.id,
            channel.model.provider.name,
            raw.language,
            raw.duration_seconds,
            raw.usage,
            self._pricer.cost(channel.model, raw.usage),
            tuple(attempts),
        )

    async def price(self, model: str, usage: Usage, role: ModelRole = ModelRole.CANDIDATE) -> Decimal | None:
        """What a call of this size would cost in dollars; None when no price is known.

        Raises:
            UnknownModelError: There is no such model.
        """
        channel = await self._find_channel(model, role)
        return self._pricer.cost(channel.model, usage)

    def limiter(self, model: str, role: ModelRole = ModelRole.CANDIDATE) -> AdaptiveLimiter | None:
        """The limiter that guards a model, for whoever shows its state; None before the first call."""
        channel = self._channels.get(self.catalog.resolve(model, role))
        return None if channel is None else channel.limiter

    async def _find_channel(self, model_id: str, role: ModelRole) -> Channel:
        if self.catalog.stale:
            await self.catalog.refresh()
        model = self.catalog.resolve(model_id, role)
        return self._channels.get(model) or await self._open_channel(model)

    async def _open_channel(self, model: ResolvedModel) -> Channel:
        # The price table takes a quarter of a second to load; calls in flight must not wait for it.
        await asyncio.to_thread(self._pricer.prepare, model)
        channel = self._channels.get(model)
        if channel is None:
            self._forget_idle_channels()
            limiter = AdaptiveLimiter(model.provider.max_concurrency)
            provider = self._provider(model.provider)
            channel = self._channels[model] = Channel(model, provider, limiter, self._observer, self._jitter)
        return channel

    def _forget_idle_channels(self) -> None:
        """Keep callers who invent model names from filling the memory."""
        if len(self._channels) >= _KEPT_CHANNELS:
            busy = {m: c for m, c in self._channels.items() if c.limiter.in_flight or c.limiter.waiting}
            self._channels = busy
            self._pricer = Pricer()

    def _provider(self, entry: ProviderEntry) -> Provider:
        provider = self._providers.get(entry)
        if provider is None:
            provider = self._providers[entry] = self._make_provider(entry)
        return provider

    def _make_provider(self, entry: ProviderEntry) -> Provider:
        match entry.kind:
            case ProviderKind.SIMULATOR:
                return self.simulator
            case ProviderKind.ANTHROPIC:
                return AnthropicMessages(self._session_for(entry), entry)
            case ProviderKind.OPENAI:
                return OpenAICompatible(self._session_for(entry), entry)

    def _session_for(self, entry: ProviderEntry) -> aiohttp.ClientSession:
        if not entry.guarded:
            return self._session
        if self._guarded is None:
            raise RuntimeError(f"{entry.name}: this process has no guarded way to addresses that users gave")
        return self._guarded

    def _finish(
        self, model: ResolvedModel, request: ModelRequest, raw: RawReply, attempts: list[Attempt]
    ) -> ModelReply:
        generation = request.generation
        text, finish, calls = raw.text, raw.finish_reason, raw.tool_calls
        if generation.stop:
            cut = cut_at_stop(text, generation.stop)
            if cut is not None:
                text, finish = cut, "stop"
        if generation.max_tool_calls is not None:
            calls = calls[: generation.max_tool_calls]
        return ModelReply(
            text,
            model.id,
            model.provider.name,
            raw.response_id,
            finish,
            raw.reasoning,
            raw.usage,
            self._pricer.cost(model, raw.usage),
            calls,
            tuple(attempts),
        )

    def _total_cost(self, model: ResolvedModel, usages: Sequence[Usage]) -> Decimal | None:
        costs = [self._pricer.cost(model, usage) for usage in usages]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None


def cut_at_stop(text: str, stops: Sequence[str]) -> str | None:
    """The text before the first stop sequence in it, or None when it has none."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else None


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


async def _gather(calls: Sequence[Coroutine[Any, Any, RawEmbeddings]]) -> list[RawEmbeddings]:
    """Results in order; the first error cancels the rest and is raised as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as exc:
        raise exc.exceptions[0] from exc
    return [task.result() for task in tasks]


async def open_gateway(
    settings: Settings,
    sessions: SessionFactory | None,
    *,
    secrets: SecretBox | None = None,
    observer: Observer | None = None,
    folder: Path | None = None,
    variables: Variables = environment_variable,
    resolver: AbstractResolver | None = None,
) -> Gateway:
    """Open the gateway of this process. Nothing is connected and the database is not read before the first call.

    Args:
        settings: Providers of the environment, and where ``assay.toml`` is.
        sessions: For stored models and cached replies; None goes without both.
        secrets: Opens stored provider keys; None: from ``ASSAY_SECRET_KEY``, where it is set.
        observer: Told of every attempt.
        folder: Where ``assay.toml`` is looked for first; None: the working folder.
        variables: Looks up the variables that ``api_key_env`` names.
        resolver: Resolves the names of addresses that users gave, and refuses some; None: such providers are refused.

    Raises:
        CatalogConfigError: The configuration is wrong.
    """
    if secrets is None and settings.core.secret_key is not None:
        secrets = SecretBox(settings.core.secret_key.get_secret_value())
    parts = [built_in_part(), environment_part(settings.providers)]
    path = find_config(settings.core, folder or Path.cwd())
    if path is not None:
        parts.append(file_part(path, variables))
    catalog = Catalog(parts, None if sessions is None else lambda: load_stored_part(sessions, secrets))
    simulator = Simulator(parts[-1].answer_key)
    return Gateway(
        catalog,
        open_session(),
        simulator=simulator,
        guarded=None if resolver is None else open_session(resolver),
        cache=None if sessions is None else ResponseCache(sessions),
        observer=observer,
    )


def open_session(resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """A shared client session. It counts no connections, since the limiters count calls, and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "assay", "Accept": "application/json"},
        trust_env=False,
    )
