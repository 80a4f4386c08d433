"""The guard as a transport of httpx, for libraries that bring a client of their own (MCP).

Every request, redirected ones too, passes the same checks as ``GuardedClient``: the URL, then all addresses of its
name, then a connection to one of those addresses, with TLS and ``Host`` by the name. What comes back is bounded.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv6Address

import httpx2

from assay.outbound.addresses import parse_address
from assay.outbound.client import GuardedClient
from assay.outbound.errors import ResponseTooLargeError


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests where the guard lets them go.

    Args:
        guard: Checks URLs and addresses.
        max_response_bytes: Of all responses together, for one conversation with one server.
        tls: Trust for TLS; the system's certificate authorities if None.
    """

    def __init__(self, guard: GuardedClient, *, max_response_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._inner = httpx2.AsyncHTTPTransport(verify=tls or ssl.create_default_context(), trust_env=False)
        self._left = max_response_bytes
        self._limit = max_response_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Check, connect, and bound what comes back.

        Raises:
            OutboundError: The guard refuses.
        """
        target = self._guard.policy.check_url(str(request.url))
        addresses = await self._guard.resolve(target)
        address = parse_address(addresses[0])
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        # The name stays in the Host header, which is set already, and in TLS; only the connection goes by address.
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=host),
            headers=request.headers.raw,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        response = await self._inner.handle_async_request(pinned)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self)
        return response

    def take(self, size: int) -> None:
        """Count what was received.

        Raises:
            ResponseTooLargeError: It is too much.
        """
        self._left -= size
        if self._left < 0:
            raise ResponseTooLargeError(f"The server sent more than {self._limit:,} bytes.")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A body whose bytes are counted as they come."""

    def __init__(self, inner: httpx2.AsyncByteStream, transport: GuardedTransport) -> None:
        self._inner = inner
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._transport.take(len(part))
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
