"""A real HTTP or HTTPS server that receives webhooks and misbehaves on demand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body, parsed."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """The server; an async context manager. What it answers may be changed while it runs."""

    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    statuses: list[int] = field(default_factory=list[int])
    """Of the next answers; then ``status``."""
    status: int = 200
    body: bytes = b"ok"
    content_type: str = "text/plain"
    huge_bytes: int = 0
    """Answer with so many bytes, in chunks."""
    drip: bool = False
    """Send a byte now and then, and never end."""
    location: str | None = None
    """Sent as the ``Location`` header."""
    requests: list[Received] = field(default_factory=list[Received])
    written: int = 0
    """Bytes of huge answers that were handed to the network."""
    port: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it; set unless a test clears it."""
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self.hold.set()
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.hold.set()
        self.drip = False
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, host: str | None = None, path: str = "/hook") -> str:
        """The server's address, by another name if given."""
        return f"{'http' if self.tls is None else 'https'}://{host or self.host}:{self.port}{path}"

    @property
    def event_types(self) -> list[str]:
        """Types of the events of all requests, in order of arrival."""
        return [request.event["type"] for request in self.requests]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = Received(request.method, request.path, dict(request.headers), await request.read())
        self.requests.append(received)
        await self.hold.wait()
        status = self.statuses.pop(0) if self.statuses else self.status
        headers = {} if self.location is None else {"Location": self.location}
        if self.huge_bytes or self.drip:
            return await self._stream(request, status)
        return web.Response(status=status, body=self.body, headers=headers, content_type=self.content_type)

    async def _stream(self, request: web.BaseRequest, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while self.drip:
            await response.write(b".")
            await asyncio.sleep(0.05)
        while self.written < self.huge_bytes:
            await response.write(b"x" * 65536)
            self.written += 65536
        return response
