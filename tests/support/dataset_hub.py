"""A small Hugging Face Hub for datasets: commits, redirects to storage, a token to be checked, and faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

import orjson
from aiohttp import web

REPOSITORY = "museum/questions"
TOKEN = "hf_operator_0123456789"


@dataclass(slots=True)
class DatasetHub:
    """The server; an async context manager on loopback."""

    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict[str, Mapping[str, bytes]])
    """Files by commit; the last one is ``main``."""
    gated: bool = False
    status: int = 200
    breaks_off: bool = False
    """Whether contents end in the middle."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list[tuple[str, str, str | None]])
    """Host, path and ``Authorization`` of each request."""
    port: int = 0
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The hub itself; its storage is the same server by another name."""
        return f"http://127.0.0.1:{self.port}"

    def fetched(self) -> list[str]:
        """Paths of the files whose contents were asked for."""
        return [path.split("/", 3)[3] for _, path, _ in self.requests if path.startswith("/storage/")]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.path)
        self.requests.append((request.host, path, request.headers.get("Authorization")))
        if self.status != 200:
            return web.Response(status=self.status)
        if path.startswith("/storage/"):
            _, _, commit, name = path.split("/", 3)
            return await self._content(request, self.commits[commit][name])
        if self.gated and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if path.startswith(f"/api/datasets/{REPOSITORY}/revision/"):
            return self._describe(path.rpartition("/")[2])
        prefix = f"/datasets/{REPOSITORY}/resolve/"
        if path.startswith(prefix):
            target = path.removeprefix(prefix)
            return web.Response(status=302, headers={"Location": f"http://localhost:{self.port}/storage/{target}"})
        return web.Response(status=404)

    def _describe(self, revision: str) -> web.Response:
        commit = list(self.commits)[-1] if revision == "main" else revision
        if commit not in self.commits:
            return web.Response(status=404)
        siblings = [{"rfilename": name} for name in self.commits[commit]]
        body = orjson.dumps({"id": REPOSITORY, "sha": commit, "siblings": siblings})
        return web.Response(body=body, content_type="application/json")

    async def _content(self, request: web.BaseRequest, content: bytes) -> web.StreamResponse:
        if not self.breaks_off:
            return web.Response(body=content)
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.close()
        return response
