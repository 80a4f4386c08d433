"""A small Hugging Face Hub: the two endpoints that imports use, with pages, redirects and a token to be checked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

import orjson
from aiohttp import web

REPOSITORY = "meetkai/lm-eval-harness-result"
TOKEN = "hf_secret_0123456789"


@dataclass(slots=True)
class Hub:
    """The server; an async context manager on loopback."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    page_size: int = 2
    status: int = 200
    redirect_to: str | None = None
    """Where file contents redirect to, besides the hub's own second host."""
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list[tuple[str, str, Mapping[str, str]]])
    """Host, path and headers of each request."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it."""
    port: int = 0
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self.open.set()
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.open.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The hub itself."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_url(self) -> str:
        """The same server by another name: where large files lie."""
        return f"http://localhost:{self.port}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.host, request.path, dict(request.headers)))
        await self.open.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path.startswith("/storage/"):
            return self._content(request.path.removeprefix("/storage/"))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        listing = f"/api/datasets/{REPOSITORY}/tree/main"
        if request.path.startswith(listing):
            return self._list(request, request.path.removeprefix(listing).strip("/"))
        contents = f"/datasets/{REPOSITORY}/resolve/main/"
        if request.path.startswith(contents):
            return self._resolve(unquote(request.path.removeprefix(contents)))
        return web.Response(status=404)

    def _list(self, request: web.BaseRequest, prefix: str) -> web.Response:
        found = sorted(path for path in self.files if path.startswith(prefix))
        if prefix and not found:
            return web.Response(status=404)
        start = int(request.query.get("cursor", "0"))
        page: list[dict[str, Any]] = [{"type": "directory", "path": "folder"}]
        page += [{"type": "file", "path": path, "size": 1} for path in found[start : start + self.page_size]]
        headers: dict[str, str] = {}
        if start + self.page_size < len(found):
            headers["Link"] = f'<{self.url}{request.path}?recursive=true&cursor={start + self.page_size}>; rel="next"'
        return web.Response(body=orjson.dumps(page), content_type="application/json", headers=headers)

    def _resolve(self, path: str) -> web.Response:
        if path not in self.files:
            return web.Response(status=404)
        if path.endswith(".jsonl"):
            location = self.redirect_to or f"{self.storage_url}/storage/{path}"
            return web.Response(status=302, headers={"Location": location})
        return self._content(path)

    def _content(self, path: str) -> web.Response:
        return web.Response(body=self.files[path]) if path in self.files else web.Response(status=404)


def document(doc_id: int, **fields: Any) -> dict[str, Any]:
    """A line of a samples file, as recent versions of the harness write it."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"{doc_id} + 1?", "answer": str(doc_id + 1)},
        "target": str(doc_id + 1),
        "arguments": {"gen_args_0": {"arg_0": f"Q: {doc_id} + 1?\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [[f"It is {doc_id + 1}."]],
        "filtered_resps": [str(doc_id + 1)],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        **fields,
    }


def samples(*documents: Mapping[str, Any]) -> bytes:
    """A samples file."""
    return b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in documents)


def results(model: str) -> bytes:
    """A results file."""
    return orjson.dumps({"results": {}, "model_name": model})
