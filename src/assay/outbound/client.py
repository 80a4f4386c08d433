"""``GuardedClient``: an HTTP client for URLs that users give.

    check the URL → resolve its name, once → check every address → connect to those addresses and no others

The name is not resolved again for the connection, so a name server that changes its answer in between changes nothing.
TLS and the ``Host`` header keep the name. No redirects, no proxies, no cookies, no connection that outlives its
request; request, response and time are bounded.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from assay.outbound.addresses import parse_address
from assay.outbound.errors import (
    AddressRefusedError,
    ConnectionFailedError,
    NameNotFoundError,
    OutboundTimeoutError,
    RequestTooLargeError,
    ResponseTooLargeError,
)
from assay.outbound.policy import OutboundPolicy, literal_address

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to all its addresses, as texts.

Raises ``OSError`` when there are none.
"""

USER_AGENT = "Assay"
_MAX_HEADER_BYTES = 8190
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """Bounds of one request."""

    timeout_seconds: float = 10.0
    """From the look-up of the name to the end of the response."""
    max_request_bytes: int = 256 * 1024
    max_response_bytes: int = 1024
    """What follows in the response is not read."""


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most ``max_response_bytes``; empty when it went into a file."""
    complete: bool
    """Whether the body is whole: neither cut at the limit nor broken off."""


class GuardedClient:
    """Makes requests that cannot reach this server's own network.

    Args:
        policy: Where requests may go.
        lookup: Resolves names; the system's resolver if None.
        tls: Trust for TLS; the system's certificate authorities if None.
    """

    def __init__(
        self, policy: OutboundPolicy, *, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.policy = policy
        self._lookup = lookup or look_up
        self._tls = tls or ssl.create_default_context()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: OutboundLimits | None = None,
        into: Path | None = None,
    ) -> OutboundResponse:
        """Make one request; an answer of any status is a response.

        Args:
            method: HTTP method.
            url: What users gave.
            headers: To send.
            body: To send.
            limits: Bounds of time and size.
            into: A file for the body of an answer of status 200, which may be larger than memory.

        Raises:
            UrlRefusedError, AddressRefusedError, NameNotFoundError, RequestTooLargeError: Nothing was sent.
            ConnectionFailedError, OutboundTimeoutError: The receiver may or may not have seen the request.
            ResponseTooLargeError: More came than the file may hold.
        """
        limits = limits or OutboundLimits()
        target = self.policy.check_url(url)
        if len(body) > limits.max_request_bytes:
            raise RequestTooLargeError(
                f"The request has {len(body):,} bytes; the limit is {limits.max_request_bytes:,}."
            )
        deadline = asyncio.get_running_loop().time() + limits.timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self.resolve(target)
                async with self._session(addresses) as session:
                    return await _exchange(session, method, target, headers or {}, body, limits, deadline, into)
        except TimeoutError as fault:
            raise OutboundTimeoutError(f"No answer within {limits.timeout_seconds:g} s.") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise ConnectionFailedError(_describe(fault)) from fault

    async def resolve(self, url: URL) -> list[str]:
        """The addresses to connect to for a URL that ``check_url`` gave, all of them checked.

        Raises:
            AddressRefusedError, NameNotFoundError: There is nothing to connect to.
        """
        host, port = url.raw_host or "", url.port or 443
        if literal_address(host) is not None:
            return self.policy.check_addresses(url, [host])
        try:
            found = await self._lookup(host, port)
        except OSError as fault:
            raise NameNotFoundError(f"The name {host} has no address.") from fault
        if not found:
            raise NameNotFoundError(f"The name {host} has no address.")
        return self.policy.check_addresses(url, found)

    def _session(self, addresses: Sequence[str]) -> aiohttp.ClientSession:
        pinned = {parse_address(address) for address in addresses}

        def make_socket(target: tuple[Any, ...]) -> socket.socket:
            # The last word, whatever way the address took to get here.
            if parse_address(target[4][0]) not in pinned:
                raise PermissionError(f"{target[4][0]} was not checked")
            return socket.socket(target[0], target[1], target[2])

        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls,
            socket_factory=make_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )


class GuardedResolver(AbstractResolver):
    """Resolves names for a client that is not ours to drive, and refuses those that lead where none may go.

    For HTTPS URLs whose form, and whose host if it is an address, ``OutboundPolicy.check_url`` has checked.

    Args:
        policy: Where requests may go.
        lookup: Resolves names; the system's resolver if None.
    """

    def __init__(self, policy: OutboundPolicy, *, lookup: Lookup | None = None) -> None:
        self._policy = policy
        self._lookup = lookup or look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name.

        Raises:
            OSError: It has none, or one of them is refused.
        """
        found = await self._lookup(host, port)
        try:
            checked = self._policy.check_addresses(URL.build(scheme="https", host=host), found)
        except AddressRefusedError as error:
            raise PermissionError(errno.EACCES, error.message) from error
        return await _Pinned(checked).resolve(host, port, family)

    async def close(self) -> None:
        """Nothing is held."""


class _Pinned(AbstractResolver):
    """Answers every question with the addresses that were checked."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def _exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    limits: OutboundLimits,
    deadline: float,
    into: Path | None,
) -> OutboundResponse:
    # Compressed answers are not asked for: a small one may unfold into a very large one.
    sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    async with session.request(method, url, headers=sent, data=body or None, allow_redirects=False) as response:
        if into is not None and response.status == 200:
            complete = await _save(response, into, limits.max_response_bytes, deadline)
            return OutboundResponse(response.status, dict(response.headers), b"", complete)
        content, complete = await _read(response, limits.max_response_bytes, deadline)
        return OutboundResponse(response.status, dict(response.headers), content, complete)


async def _read(response: aiohttp.ClientResponse, limit: int, deadline: float) -> tuple[bytes, bool]:
    """The body up to the limit; once a status has come, a body that breaks off or never ends does not undo it."""
    content = bytearray()
    try:
        # Ends a little before the whole request does, so that what has come is kept.
        async with asyncio.timeout_at(deadline - 0.05):
            while len(content) <= limit:
                part = await response.content.read(limit + 1 - len(content))
                if not part:
                    return bytes(content), True
                content += part
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    # Without this, leaving the response would read the rest of it.
    response.close()
    return bytes(content[:limit]), False


async def _save(response: aiohttp.ClientResponse, path: Path, limit: int, deadline: float) -> bool:
    """The body into a file, as ``_read`` does into memory; returns whether it is whole."""
    size, gathered = 0, bytearray()
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async with asyncio.timeout_at(deadline - 0.05):
            while part := await response.content.read(_WRITE_BYTES):
                size += len(part)
                if size > limit:
                    raise ResponseTooLargeError(f"The answer has more than {limit:,} bytes.")
                gathered += part
                if len(gathered) >= _WRITE_BYTES:
                    await asyncio.to_thread(file.write, bytes(gathered))
                    gathered.clear()
            await asyncio.to_thread(file.write, bytes(gathered))
            return True
    except (TimeoutError, aiohttp.ClientError):
        return False
    finally:
        await asyncio.to_thread(file.close)
        # Without this, leaving the response would read the rest of it.
        response.close()


def _describe(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return f"The receiver's certificate is not valid: {fault.certificate_error}"
    if isinstance(fault, aiohttp.ClientConnectorError):
        return f"No connection: {fault.os_error.strerror or fault.os_error}"
    if isinstance(fault, aiohttp.ServerDisconnectedError):
        return "The receiver closed the connection without an answer."
    return f"No usable answer: {type(fault).__name__}"
