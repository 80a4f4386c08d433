"""HTTP towards one provider: bounded replies, a clear error for every way it can fail.

The hot path. Headers and URLs are built once; nothing here parses more than it must. Redirects are refused, because
following one would hand the API key to another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import aiohttp
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from assay.gateway.entries import ProviderEntry
from assay.gateway.errors import (
    ContextLengthError,
    MalformedReplyError,
    ProviderAccessError,
    ProviderConnectionError,
    ProviderError,
    ProviderNotFoundError,
    ProviderOverloadedError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
)
from assay.kit.secrets import mask

MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_ERROR_CHARACTERS = 500
_CHUNK = 256 * 1024
_CONNECT_SECONDS = 15.0
_KEPT_TIMEOUTS = 256
_RETRYABLE = frozenset({408, 409, 425})
_CONTEXT_MARKS = (
    "context_length_exceeded",
    "context length",
    "context window",
    "prompt is too long",
    "too many tokens",
)
_QUOTA_MARKS = ("insufficient_quota", "credit balance is too low", "billing_hard_limit")


class Transport:
    """Posts to one provider through the process's shared session."""

    __slots__ = ("_headers", "_json_headers", "_name", "_secrets", "_session", "_timeouts")

    def __init__(self, session: aiohttp.ClientSession, provider: ProviderEntry, auth: Mapping[str, str]) -> None:
        self._session = session
        self._name = provider.name
        self._secrets = [value for value in (provider.api_key, *(v for _, v in provider.headers)) if value]
        self._headers = CIMultiDict({**auth, **dict(provider.headers)})
        self._json_headers = CIMultiDict({**self._headers, "Content-Type": "application/json"})
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def post_json(self, url: URL, body: bytes, timeout_seconds: float) -> Any:
        """Post a JSON body and parse the JSON reply.

        Raises:
            ProviderError: Of the class that fits the fault; see ``assay.gateway.errors``.
        """
        return await self._post(url, body, timeout_seconds, self._json_headers)

    async def post_form(self, url: URL, form: aiohttp.FormData, timeout_seconds: float) -> Any:
        """Post a multipart form and parse the JSON reply; raises as ``post_json``."""
        return await self._post(url, form, timeout_seconds, self._headers)

    async def _post(
        self, url: URL, data: bytes | aiohttp.FormData, timeout_seconds: float, headers: CIMultiDict[str]
    ) -> Any:
        try:
            async with self._session.post(
                url, data=data, headers=headers, timeout=self._timeout(timeout_seconds), allow_redirects=False
            ) as response:
                content = await self._read(response)
                status, answer_headers = response.status, response.headers
        except TimeoutError as exc:
            raise ProviderTimeoutError(f"{self._name}: no complete answer within {timeout_seconds:g} s.") from exc
        except aiohttp.ClientPayloadError as exc:
            raise MalformedReplyError(f"{self._name}: the answer broke off: {self._clean(str(exc))}") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ProviderConnectionError(f"{self._name}: {self._clean(str(exc) or type(exc).__name__)}") from exc
        if status != 200:
            raise self._error(status, answer_headers, content)
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as exc:
            raise MalformedReplyError(f"{self._name}: the answer is not JSON: {exc}", status=status) from exc

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(seconds)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
            if len(self._timeouts) >= _KEPT_TIMEOUTS:
                self._timeouts.clear()
            self._timeouts[seconds] = timeout
        return timeout

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        # A compressed or chunked body has no trustworthy length, so it is measured while it arrives.
        length = response.content_length
        if length is not None and length <= MAX_REPLY_BYTES and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                response.close()
                raise MalformedReplyError(f"{self._name}: the answer is larger than {MAX_REPLY_BYTES} bytes.")
            chunks.append(chunk)
        return b"".join(chunks)

    def _clean(self, text: str) -> str:
        text = mask(text, self._secrets)
        return text if len(text) <= MAX_ERROR_CHARACTERS else text[:MAX_ERROR_CHARACTERS] + "…"

    def _error(self, status: int, headers: CIMultiDictProxy[str], content: bytes) -> ProviderError:
        said = _provider_message(content)
        message = f"{self._name}: HTTP {status}: {self._clean(said) or 'no message'}"
        wait = retry_after_seconds(headers)
        marks = content[:4096].decode("utf-8", "replace").lower()
        if status == 429:
            if any(mark in marks for mark in _QUOTA_MARKS):
                return QuotaExhaustedError(message, status=status)
            return RateLimitedError(message, status=status, retry_after=wait)
        if status >= 500 or status in _RETRYABLE:
            return ProviderOverloadedError(message, status=status, retry_after=wait)
        if any(mark in marks for mark in _CONTEXT_MARKS):
            return ContextLengthError(message, status=status)
        if any(mark in marks for mark in _QUOTA_MARKS):
            return QuotaExhaustedError(message, status=status)
        if status in (401, 403):
            return ProviderAccessError(f"{message} Check the configured key of {self._name}.", status=status)
        if status == 404:
            return ProviderNotFoundError(f"{message} Check the model's name and the base URL.", status=status)
        return RequestRejectedError(message, status=status)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by ``retry-after-ms`` or ``Retry-After`` (RFC 9110 §10.2.3, in seconds only).

    The date form needs two agreeing clocks and no model provider uses it; it counts as absent.
    """
    for name, scale in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name)
        if value is not None:
            try:
                seconds = float(value) * scale
            except ValueError:
                continue
            if 0 <= seconds < float("inf"):
                return seconds
    return None


def _provider_message(content: bytes) -> str:
    """The sentence in an error body: ``error.message`` (OpenAI, Anthropic), ``error``, ``message`` or ``detail``."""
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content[: 4 * MAX_ERROR_CHARACTERS].decode("utf-8", "replace").strip()
    if isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        error = fields.get("error")
        if isinstance(error, dict):
            fields = cast("dict[str, Any]", error)
        elif isinstance(error, str):
            return error
        for name in ("message", "detail"):
            if isinstance(fields.get(name), str):
                return fields[name]
    return orjson.dumps(body).decode()
