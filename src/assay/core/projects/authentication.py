"""Authentication as every request does it: remembered for a moment, so that a busy key costs no query per request.

A revoked key, a narrowed scope or a lowered role is felt in every process once the moment is over; that bounds how long
the moment may be. Refusals are not remembered: a key works as soon as it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects import service
from assay.core.projects.tokens import digest_token
from assay.core.projects.types import Principal

MAX_TTL_SECONDS = 5.0
DEFAULT_TTL_SECONDS = 3.0
DEFAULT_CAPACITY = 10_000

_Lookup = Callable[[AsyncSession, str], Awaitable[Principal]]


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    until: float


class Authenticator:
    """Principals of recently seen tokens, by digest; the tokens themselves are not kept. One for each process.

    Args:
        ttl_seconds: How long an answer is used, 0 to 5 seconds; also how long a revoked key may still work.
        capacity: Most answers kept, at least 1.
        clock: Seconds that never go back.

    Raises:
        ValueError: ``ttl_seconds`` or ``capacity`` is out of range.
    """

    def __init__(
        self,
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        capacity: int = DEFAULT_CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= ttl_seconds <= MAX_TTL_SECONDS or capacity < 1:
            raise ValueError(f"ttl_seconds must be 0 to {MAX_TTL_SECONDS:g}, and capacity at least 1")
        self._ttl = ttl_seconds
        self._capacity = capacity
        self._clock = clock
        self._remembered: dict[tuple[str, bytes], _Remembered] = {}

    async def authenticate(self, session: AsyncSession, token: str) -> Principal:
        """The principal of an API key. Uses the session only when the answer is not remembered.

        Raises:
            InvalidCredentialsError: As ``service.authenticate``.
        """
        return await self._recall("key", session, token, service.authenticate)

    async def authenticate_capture(self, session: AsyncSession, token: str) -> Principal:
        """The principal of a capture token. Uses the session only when the answer is not remembered.

        Raises:
            InvalidCredentialsError: As ``service.authenticate_capture``.
        """
        return await self._recall("capture", session, token, service.authenticate_capture)

    async def _recall(self, kind: str, session: AsyncSession, token: str, look_up: _Lookup) -> Principal:
        place = (kind, digest_token(token))
        remembered = self._remembered.get(place)
        asked_at = self._clock()
        if remembered is not None and asked_at < remembered.until:
            return remembered.principal
        principal = await look_up(session, token)
        self._remember(place, _Remembered(principal, until=asked_at + self._ttl))
        return principal

    def _remember(self, place: tuple[str, bytes], answer: _Remembered) -> None:
        self._remembered.pop(place, None)
        if len(self._remembered) >= self._capacity:
            self._remembered.pop(next(iter(self._remembered)))  # dicts keep insertion order: this is the oldest
        self._remembered[place] = answer
