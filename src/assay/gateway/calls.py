"""Attempts: places in the limiter, faults, waits, and the record of it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

from assay.gateway.entries import ResolvedModel
from assay.gateway.errors import ProviderError, RateLimitedError, RetryableProviderError
from assay.gateway.limits import AdaptiveLimiter
from assay.gateway.providers.base import AttemptCall, Provider, RawEmbeddings, RawReply, RawTranscription
from assay.gateway.types import Attempt, CallRecord, Operation, Usage

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
RATE_LIMIT_PATIENCE_SECONDS = 600.0
"""A call that only ever meets rate limits gives up after this long."""

_OVERLOADED = frozenset({503, 529})
"""Answers that ask for less load, as a rate limit does; 529 is Anthropic's."""

T = TypeVar("T", RawReply, RawEmbeddings, RawTranscription)
Observer = Callable[[CallRecord], None]


@dataclass(frozen=True, slots=True)
class Channel:
    """A model's way out: the protocol, the limiter, and who is told."""

    model: ResolvedModel
    provider: Provider
    limiter: AdaptiveLimiter
    observer: Observer | None
    jitter: Random

    async def call(
        self, attempt: AttemptCall[T], operation: Operation, attempts: list[Attempt], *, max_retries: int
    ) -> T:
        """Attempt until one succeeds, one fails for good, or the retries are used up.

        A rate limit says "later", not "broken": it uses up patience and no retry, unless there are none.

        Args:
            attempt: Makes one attempt.
            operation: For the observer.
            attempts: Every attempt is appended to it.
            max_retries: Faults that are followed by another attempt.

        Raises:
            ProviderError: The last fault, with all attempts.
        """
        faults = 0
        give_up_at = time.monotonic() + RATE_LIMIT_PATIENCE_SECONDS
        while True:
            try:
                return await self._once(attempt, operation, attempts)
            except RetryableProviderError as exc:
                limited = isinstance(exc, RateLimitedError)
                faults += not limited
                if max_retries == 0 or faults > max_retries or (limited and time.monotonic() > give_up_at):
                    exc.attempts = tuple(attempts)
                    raise
                delay = self._backoff(len(attempts), exc.retry_after)
            except ProviderError as exc:
                exc.attempts = tuple(attempts)
                raise
            await asyncio.sleep(delay)

    async def _once(self, attempt: AttemptCall[T], operation: Operation, attempts: list[Attempt]) -> T:
        limiter = self.limiter
        await limiter.acquire()
        started_at = datetime.now(UTC)
        start = time.perf_counter()
        try:
            raw = await attempt(len(attempts))
        except ProviderError as exc:
            seconds = time.perf_counter() - start
            if isinstance(exc, RateLimitedError) or exc.status in _OVERLOADED:
                limiter.release_rate_limited(exc.retry_after)
            else:
                limiter.release_failed()
            attempts.append(Attempt(started_at, seconds, exc.status, f"{exc.code}: {exc.message}"))
            self._observe(operation, exc.code, seconds, None)
            raise
        except BaseException:
            limiter.release_failed()
            raise
        seconds = time.perf_counter() - start
        limiter.release(seconds)
        attempts.append(Attempt(started_at, seconds, 200))
        self._observe(operation, "ok", seconds, raw.usage)
        return raw

    def _observe(self, operation: Operation, outcome: str, seconds: float, usage: Usage | None) -> None:
        if self.observer is not None:
            model = self.model
            self.observer(CallRecord(model.provider.name, model.id, operation, outcome, seconds, usage))

    def _backoff(self, attempts: int, retry_after: float | None) -> float:
        """Exponential with jitter (seconds), and never before the provider's own time."""
        if retry_after is not None:
            # The limiter holds the whole model back; a little spread keeps its callers from returning at once.
            return min(retry_after, LONGEST_BACKOFF_SECONDS) + self.jitter.uniform(0, FIRST_BACKOFF_SECONDS)
        ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts - 1, 16))
        return self.jitter.uniform(ceiling / 4, ceiling)
