"""Concurrency that finds its own level.

One limiter guards one model of one provider, because providers meter models apart. It follows additive increase,
multiplicative decrease: while it is saturated, each full round of successes adds one place; a rate limit halves the
places, at most once for each burst of them, and a latency that has risen to twice its usual value takes a tenth away.
``Retry-After`` stops new calls for as long as it says, within bounds. Waiters are served in order of arrival.

Latency is a weak signal, since long replies take long: it never pushes below ``LATENCY_FLOOR``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

INITIAL_CONCURRENCY = 64
LATENCY_FLOOR = 16
MAX_PAUSE_SECONDS = 120.0
_BURST_SECONDS = 1.0
"""Rate limits this close together tell the same thing once."""
_FAST, _SLOW = 0.1, 0.01
_WARM_UP_CALLS = 100
_RISE = 2.0


class AdaptiveLimiter:
    """Places for calls in flight. Use ``await acquire()``, then exactly one ``release…``."""

    __slots__ = (
        "_calls",
        "_fast",
        "_in_flight",
        "_last_cut",
        "_limit",
        "_loop",
        "_maximum",
        "_paused_until",
        "_slow",
        "_timer",
        "_waiters",
    )

    def __init__(self, maximum: int, *, initial: int = INITIAL_CONCURRENCY) -> None:
        self._loop = asyncio.get_running_loop()
        self._maximum = maximum
        self._limit = float(min(initial, maximum))
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._last_cut = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._fast = 0.0
        self._slow = 0.0
        self._calls = 0

    @property
    def limit(self) -> int:
        """Places at present."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Places taken."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._waiters)

    @property
    def pause_seconds(self) -> float:
        """How long new calls are still held back."""
        return max(0.0, self._paused_until - self._loop.time())

    async def acquire(self) -> None:
        """Take a place, waiting in order of arrival."""
        if not self._waiters and self._in_flight < self.limit and self._loop.time() >= self._paused_until:
            self._in_flight += 1
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        self._admit()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # The place came in the same step as the cancellation; the next in line gets it.
                self._leave()
            else:
                with contextlib.suppress(ValueError):  # _admit drops a cancelled waiter that it meets first
                    self._waiters.remove(waiter)
            raise

    def release(self, seconds: float) -> None:
        """Give the place back after a success that took so many seconds."""
        saturated = self._in_flight >= self.limit
        if saturated and self._limit < self._maximum:
            self._limit = min(float(self._maximum), self._limit + 1.0 / self._limit)
        self._observe(seconds)
        self._leave()

    def release_failed(self) -> None:
        """Give the place back after a fault that says nothing about load."""
        self._leave()

    def release_rate_limited(self, retry_after: float | None) -> None:
        """Give the place back after a 429; hold new calls for ``retry_after`` seconds, at most two minutes."""
        now = self._loop.time()
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + min(retry_after, MAX_PAUSE_SECONDS))
        self._cut(0.5, floor=1.0, now=now)
        self._leave()

    def _observe(self, seconds: float) -> None:
        self._calls += 1
        if self._calls == 1:
            self._fast = self._slow = seconds
        self._fast += _FAST * (seconds - self._fast)
        self._slow += _SLOW * (seconds - self._slow)
        if self._calls > _WARM_UP_CALLS and self._fast > _RISE * self._slow and self._limit > LATENCY_FLOOR:
            self._cut(0.9, floor=float(LATENCY_FLOOR), now=self._loop.time())

    def _cut(self, factor: float, *, floor: float, now: float) -> None:
        if now - self._last_cut >= _BURST_SECONDS:
            self._last_cut = now
            self._limit = max(floor, self._limit * factor)

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._waiters:
            self._admit()

    def _admit(self) -> None:
        pause = self._paused_until - self._loop.time()
        if pause > 0:
            if self._timer is None:
                self._timer = self._loop.call_later(pause, self._resume)
            return
        while self._waiters and self._in_flight < self.limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_flight += 1
                waiter.set_result(None)

    def _resume(self) -> None:
        self._timer = None
        self._admit()
