"""A real HTTP server that plays a model provider: OpenAI's and Anthropic's endpoints, with faults on demand.

In a test::

    async with ModelServer(Behaviour(latency_seconds=0.01)) as server:
        ...  # server.url, server.stats

As a process, its first line of output is ``{"url": …, "pid": …}``::

    python -m tests.support.model_server --port 0 --latency 0.05 --fault-rate 0.05

The default reply is what follows ``answer=`` in the prompt, up to white space, else ``ok``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import orjson
from aiohttp import BodyPartReader, web

ReplyFunction = Callable[[str, Mapping[str, Any]], str]
"""From the prompt (the last user turn) and the request body to the reply's text."""

_ANSWER = re.compile(r"answer=(\S+)")
_JSON = {"Content-Type": "application/json"}


def default_reply(prompt: str, body: Mapping[str, Any]) -> str:
    """What the prompt asks for with ``answer=…``, else ``ok``."""
    found = _ANSWER.search(prompt)
    return found.group(1) if found else "ok"


@dataclass(slots=True)
class Behaviour:
    """What the server does; may be changed while it runs."""

    reply: ReplyFunction = default_reply
    latency_seconds: float = 0.0
    rate_429: float = 0.0
    rate_500: float = 0.0
    retry_after_seconds: float | None = None
    """Sent with every 429."""
    seed: int = 0
    hang: bool = False
    """Do not answer before ``ModelServer.release``, or the server's end."""
    hanging: str | None = None
    """Do not answer bodies that hold this text."""
    refused: set[str] = field(default_factory=set[str])
    """Prompts that get a 400."""
    malformed: bool = False
    """Answer 200 with text that is not JSON."""
    truncated: bool = False
    """Announce a longer body than is sent."""
    huge_bytes: int = 0
    """Answer 200 with so many bytes, in chunks."""
    script: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    """(status, body) of the next answers, before everything else."""
    script_headers: dict[str, str] = field(default_factory=dict[str, str])
    embedding_dimensions: int = 8
    random_vectors: bool = False
    """Whether vectors are drawn at random, by their text; else they are all alike but for the text's length."""
    key_statuses: dict[str, int] = field(default_factory=dict[str, int])
    """Status of the models list, by the key that asks for it; 200 for others."""


@dataclass(slots=True)
class Stats:
    """What the server saw."""

    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    prompts: Counter[str] = field(default_factory=Counter[str])
    """Requests that were answered, by prompt."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    last_headers: dict[str, str] = field(default_factory=dict[str, str])
    """With names in lower case."""
    last_path: str = ""
    last_body: Any = None


class ModelServer:
    """The server; an async context manager."""

    def __init__(
        self, behaviour: Behaviour | None = None, *, port: int = 0, host: str = "127.0.0.1", record: bool = True
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.stats = Stats()
        self._draw = random.Random(self.behaviour.seed)
        self._host, self._port, self._record = host, port, record
        self._runner: web.ServerRunner | None = None
        self._released = asyncio.Event()
        self._renderers: dict[str, Callable[[dict[str, Any]], tuple[str, bytes]]] = {
            "/v1/chat/completions": self._chat,
            "/v1/responses": self._responses,
            "/v1/embeddings": self._embeddings,
            "/v1/messages": self._messages,
        }

    @property
    def root(self) -> str:
        """Address without a path, as Anthropic's base URL is given."""
        return f"http://{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """Address with ``/v1``, as OpenAI's base URL is given."""
        return f"{self.root}/v1"

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def release(self) -> None:
        """Let those go on who hang."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/stats":
            return self._json(orjson.dumps(self._stats_view()))
        if path == "/v1/models":
            return self._models(request)
        stats = self.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        try:
            response = await self._answer(request, path)
            stats.statuses[response.status] += 1
            return response
        finally:
            stats.in_flight -= 1

    async def _answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        behaviour = self.behaviour
        body = await self._body(request, path)
        if self._record:
            self.stats.last_headers = {name.lower(): value for name, value in request.headers.items()}
            self.stats.last_path, self.stats.last_body = path, body
        if behaviour.hang or (behaviour.hanging is not None and behaviour.hanging.encode() in orjson.dumps(body)):
            await self._released.wait()
        if behaviour.latency_seconds > 0:
            await asyncio.sleep(behaviour.latency_seconds)
        if behaviour.script:
            status, content = behaviour.script.pop(0)
            return web.Response(status=status, body=content, headers={**_JSON, **behaviour.script_headers})
        faulty = await self._fault(request)
        if faulty is not None:
            return faulty
        if path == "/v1/audio/transcriptions":
            return self._json(orjson.dumps({"text": self._reply(body["prompt"], body), "duration": 1.5}))
        renderer = self._renderers.get(path)
        if renderer is None:
            return web.Response(status=404, body=_error(f"no route {path}", "not_found"), headers=_JSON)
        prompt, content = renderer(body)
        if behaviour.refused.intersection((prompt, *prompt.splitlines())):
            return web.Response(status=400, body=_error("refused", "invalid_request"), headers=_JSON)
        if self._record:
            self.stats.prompts[prompt] += 1
        return self._json(content)

    async def _body(self, request: web.BaseRequest, path: str) -> dict[str, Any]:
        if path != "/v1/audio/transcriptions":
            return orjson.loads(await request.read())
        fields: dict[str, Any] = {"prompt": ""}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            content = bytes(await part.read(decode=True))
            if part.name == "file":
                fields["file_bytes"], fields["filename"] = len(content), part.filename
            else:
                fields[str(part.name)] = content.decode()
        return fields

    async def _fault(self, request: web.BaseRequest) -> web.StreamResponse | None:
        behaviour = self.behaviour
        if behaviour.rate_429 or behaviour.rate_500:
            fate = self._draw.random()
            if fate < behaviour.rate_429:
                wait = behaviour.retry_after_seconds
                more = {} if wait is None else {"Retry-After": f"{wait:g}"}
                return web.Response(status=429, body=_error("slow down", "rate_limit"), headers={**_JSON, **more})
            if fate < behaviour.rate_429 + behaviour.rate_500:
                return web.Response(status=500, body=_error("internal fault", "server_error"), headers=_JSON)
        if behaviour.malformed:
            return self._json(b'{"choices": [')
        if behaviour.truncated:
            return await self._cut_off(request)
        if behaviour.huge_bytes:
            return await self._flood(request)
        return None

    async def _cut_off(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_JSON, "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": "x", "choices"')
        assert request.transport is not None
        request.transport.close()
        return response

    async def _flood(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers=_JSON)
        response.enable_chunked_encoding()
        await response.prepare(request)
        chunk = b" " * 1_000_000
        for _ in range(self.behaviour.huge_bytes // len(chunk) + 1):
            await response.write(chunk)
        return response

    def _models(self, request: web.BaseRequest) -> web.Response:
        """The list by which keys are tried."""
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        status = self.behaviour.key_statuses.get(key, 200)
        if status != 200:
            return web.Response(status=status, body=_error(f"not with {key}", "refused"), headers=_JSON)
        return self._json(orjson.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}))

    @staticmethod
    def _json(content: bytes) -> web.Response:
        return web.Response(body=content, headers=_JSON)

    def _reply(self, prompt: str, body: Mapping[str, Any]) -> str:
        return self.behaviour.reply(prompt, body)

    def _chat(self, body: dict[str, Any]) -> tuple[str, bytes]:
        prompt = _last_user(body["messages"])
        text = self._reply(prompt, body)
        message = {"role": "assistant", "content": text}
        reply = {
            "id": f"chatcmpl-{self.stats.requests}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": len(prompt) // 4 + 1,
                "completion_tokens": len(text) // 4 + 1,
                "total_tokens": len(prompt) // 4 + len(text) // 4 + 2,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
        return prompt, orjson.dumps(reply)

    def _responses(self, body: dict[str, Any]) -> tuple[str, bytes]:
        given = body["input"]
        prompt = given if isinstance(given, str) else _last_user(given)
        text = self._reply(prompt, body)
        content = [{"type": "output_text", "text": text}]
        usage = {
            "input_tokens": len(prompt) // 4 + 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(text) // 4 + 1,
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        reply = {
            "id": f"resp_{self.stats.requests}",
            "object": "response",
            "status": "completed",
            "model": body["model"],
            "output": [{"id": "msg_1", "type": "message", "role": "assistant", "content": content}],
            "usage": usage,
        }
        return prompt, orjson.dumps(reply)

    def _messages(self, body: dict[str, Any]) -> tuple[str, bytes]:
        prompt = _last_user(body["messages"])
        text = self._reply(prompt, body)
        reply = {
            "id": f"msg_{self.stats.requests}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": len(prompt) // 4 + 1,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 2,
                "output_tokens": len(text) // 4 + 1,
            },
        }
        return prompt, orjson.dumps(reply)

    def _embeddings(self, body: dict[str, Any]) -> tuple[str, bytes]:
        given = body["input"]
        texts: list[str] = [given] if isinstance(given, str) else given
        width = body.get("dimensions") or self.behaviour.embedding_dimensions
        rows = [
            {"object": "embedding", "index": index, "embedding": self._vector(text, width)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": sum(len(text) for text in texts), "total_tokens": sum(len(text) for text in texts)}
        # In reverse: clients must go by the index.
        reply = {"object": "list", "model": body["model"], "data": rows[::-1], "usage": usage}
        return "\n".join(texts), orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)

    def _vector(self, text: str, width: int) -> Any:
        if self.behaviour.random_vectors:
            return np.random.default_rng(zlib.crc32(text.encode())).standard_normal(width, dtype=np.float32)
        return [float(len(text))] + [0.5] * (width - 1)

    def _stats_view(self) -> dict[str, Any]:
        stats = self.stats
        return {
            "requests": stats.requests,
            "in_flight": stats.in_flight,
            "most_in_flight": stats.most_in_flight,
            "prompts": stats.prompts,
            "statuses": {str(status): number for status, number in stats.statuses.items()},
        }


def _error(message: str, code: str) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": code, "code": code}})


def _last_user(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message["content"]
            return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_server", description="A mock model provider on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimensions", type=int, help="of embeddings, which are then drawn at random")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of 429 and 500 answers, half of each")
    parser.add_argument("--rate-429", type=float, default=0.0)
    parser.add_argument("--rate-500", type=float, default=0.0)
    parser.add_argument("--retry-after", type=float, default=None, help="seconds, sent with each 429")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="count requests by prompt, shown at /stats")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    behaviour = Behaviour(
        latency_seconds=arguments.latency,
        rate_429=arguments.rate_429 + arguments.fault_rate / 2,
        rate_500=arguments.rate_500 + arguments.fault_rate / 2,
        retry_after_seconds=arguments.retry_after,
        seed=arguments.seed,
        embedding_dimensions=arguments.dimensions or 8,
        random_vectors=arguments.dimensions is not None,
    )
    async with ModelServer(behaviour, port=arguments.port, record=arguments.record) as server:
        sys.stdout.write(orjson.dumps({"url": server.url, "pid": os.getpid()}).decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    import uvloop

    uvloop.run(_serve(_arguments()))


if __name__ == "__main__":
    main()
