"""Asks providers whether a key works, and which models it opens.

A check holds up a request, so it is short, and only a few are under way at once: a provider that does not answer must
not keep others from theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from assay.core.evaluators.errors import KeyRefusedError
from assay.core.evaluators.providers import Place, auth_headers, models_url, probe_url
from assay.core.evaluators.types import KeyState
from assay.kit.errors import UnavailableError
from assay.kit.json import loads
from assay.kit.secrets import mask
from assay.outbound.client import GuardedClient, OutboundLimits, OutboundResponse
from assay.outbound.errors import OutboundError

MAX_CHECKS = 4
MAX_MODELS = 5000
_PATIENCE_SECONDS = 1.0
_LIMITS = OutboundLimits(timeout_seconds=3.5, max_response_bytes=4 * 1024 * 1024)


class TooManyChecksError(UnavailableError):
    """Other keys are being checked."""

    code = "too_many_key_checks"

    def __init__(self) -> None:
        super().__init__("Other provider keys are being checked. Try again in a second.")


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a provider said of a key."""

    state: KeyState
    message: str | None = None
    """Why it is not ``ok``; without the key."""


class KeyChecker:
    """Makes the requests.

    Args:
        client: Guards where they go, since users give base URLs.
    """

    def __init__(self, client: GuardedClient) -> None:
        self.policy = client.policy
        self._client = client
        # At most this many requests of the API wait for providers; each holds a connection to the database.
        self._slots = asyncio.Semaphore(MAX_CHECKS)

    async def check(self, place: Place, secret: str) -> KeyCheck:
        """Whether a key works.

        Raises:
            TooManyChecksError: Too many checks are under way.
        """
        try:
            response = await self._get(probe_url(place), place, secret)
        except OutboundError as error:
            return KeyCheck(KeyState.ERROR, f"The provider could not be asked: {mask(error.message, [secret])}")
        return _judge(response)

    async def list_models(self, place: Place, secret: str) -> Sequence[str]:
        """Names of the models that a key opens, sorted.

        Raises:
            KeyRefusedError: The provider gave no list.
            TooManyChecksError: Too many checks are under way.
        """
        try:
            response = await self._get(models_url(place), place, secret)
        except OutboundError as error:
            raise KeyRefusedError("provider", mask(error.message, [secret])) from error
        check = _judge(response)
        if check.state is not KeyState.OK:
            raise KeyRefusedError("provider", check.message or "The provider gave no list of models.")
        return _model_names(response)

    async def _get(self, url: str, place: Place, secret: str) -> OutboundResponse:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._slots.acquire()
        except TimeoutError as error:
            raise TooManyChecksError from error
        try:
            return await self._client.request("GET", url, headers=auth_headers(place, secret), limits=_LIMITS)
        finally:
            self._slots.release()


def _judge(response: OutboundResponse) -> KeyCheck:
    match response.status:
        case 200:
            return KeyCheck(KeyState.OK)
        case 401:
            return KeyCheck(KeyState.INVALID, "The provider does not know this API key.")
        case 400 if b"API_KEY_INVALID" in response.body or b"API key not valid" in response.body:
            # Gemini's way of saying 401.
            return KeyCheck(KeyState.INVALID, "The provider does not know this API key.")
        case 403:
            return KeyCheck(KeyState.ERROR, "The provider does not let this API key list models (403).")
        case 404:
            return KeyCheck(KeyState.ERROR, "There is no list of models at this address (404). Check the base URL.")
        case 429:
            return KeyCheck(KeyState.ERROR, "The rate or the quota of this API key is used up (429).")
        case status:
            return KeyCheck(KeyState.ERROR, f"The provider answered with status {status}.")


def _model_names(response: OutboundResponse) -> list[str]:
    """Ids in ``{"data": [{"id"}]}``, or in a bare list as Together answers."""
    try:
        value: Any = loads(response.body)
    except ValueError as error:
        raise KeyRefusedError("provider", "The provider's list of models is not readable.") from error
    rows: Any = cast("dict[str, Any]", value).get("data") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise KeyRefusedError("provider", "The provider's list of models is not readable.")
    names = {
        name.removeprefix("models/")
        for row in cast("list[Any]", rows)
        if isinstance(row, dict) and isinstance(name := cast("dict[str, Any]", row).get("id"), str)
    }
    return sorted(names)[:MAX_MODELS]
