"""Replies kept in PostgreSQL, by the digest of what was asked.

The key covers the project, the model's identity (protocol, address, upstream name), the messages, the parameters that
bear on the reply, and the number of the repetition. The reply is stored as JSON bytes rather than ``jsonb``: nobody
queries into it, it parses once, and a model's NUL character, which ``jsonb`` refuses, passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import text

from assay.db.engine import SessionFactory
from assay.gateway.types import ModelReply, ModelRequest, ToolCall, Usage
from assay.kit.clock import utc_now
from assay.kit.errors import InvalidError

_GET = text("SELECT key, reply FROM response_cache WHERE key = ANY(CAST(:keys AS bytea[]))")
_PUT = text(
    "INSERT INTO response_cache (key, reply, created_at) "
    "SELECT key, reply, :now FROM unnest(CAST(:keys AS bytea[]), CAST(:replies AS bytea[])) AS new (key, reply) "
    "ON CONFLICT (key) DO NOTHING"
)
_DELETE_OLDER = text("DELETE FROM response_cache WHERE created_at < :before")


def cache_key(request: ModelRequest, identity: str) -> bytes:
    """SHA-256 of the canonical request.

    Args:
        request: What is asked.
        identity: ``ResolvedModel.identity`` of the model that answers.

    Raises:
        InvalidError: A message is not JSON.
    """
    messages = [
        (message.role, message.content)
        if not message.tool_calls and message.tool_call_id is None
        else (message.role, message.content, message.tool_calls, message.tool_call_id)
        for message in request.messages
    ]
    project = None if request.project_id is None else request.project_id.hex
    facts = (project, identity, request.generation.fingerprint.hex(), request.repeat, messages)
    try:
        return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest()
    except TypeError as exc:
        raise InvalidError(f"The messages are not JSON: {exc}.", param="messages") from exc


class ResponseCache:
    """Batch access to the table ``response_cache``."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, ModelReply]:
        """The stored replies among the keys."""
        return {key: _load(stored) for key, stored in (await self.get_bytes(keys)).items()}

    async def put_many(self, pairs: Sequence[tuple[bytes, ModelReply]]) -> None:
        """Store replies. A key that is there already keeps its reply, so that every reader sees the same one."""
        await self.put_bytes({key: _dump(reply) for key, reply in pairs})

    async def get_bytes(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is stored under the keys, as it was stored."""
        if not keys:
            return {}
        async with self._sessions() as session:
            rows = (await session.execute(_GET, {"keys": list(keys)})).all()
        return {bytes(key): bytes(stored) for key, stored in rows}

    async def put_bytes(self, entries: Mapping[bytes, bytes]) -> None:
        """Store what belongs to keys; a key that is there already keeps what it has."""
        if not entries:
            return
        # One order for all writers, or two of them could lock each other's rows.
        rows = sorted(entries.items())
        parameters = {"keys": [key for key, _ in rows], "replies": [reply for _, reply in rows], "now": utc_now()}
        async with self._sessions.begin() as session:
            await session.execute(_PUT, parameters)

    async def delete_older(self, before: Any) -> int:
        """Delete replies stored before an instant; returns how many."""
        async with self._sessions.begin() as session:
            result = await session.execute(_DELETE_OLDER, {"before": before})
        return int(getattr(result, "rowcount", 0))


def _dump(reply: ModelReply) -> bytes:
    usage = reply.usage
    fields: dict[str, Any] = {
        "t": reply.text,
        "m": reply.model,
        "p": reply.provider,
        "i": reply.response_id,
        "f": reply.finish_reason,
        "u": [
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            usage.cache_write_tokens,
        ],
    }
    if reply.reasoning is not None:
        fields["r"] = reply.reasoning
    if reply.cost_usd is not None:
        fields["c"] = str(reply.cost_usd)
    if reply.tool_calls:
        fields["x"] = [[call.id, call.name, call.arguments] for call in reply.tool_calls]
    return orjson.dumps(fields)


def _load(stored: bytes) -> ModelReply:
    fields = orjson.loads(stored)
    cost = fields.get("c")
    return ModelReply(
        fields["t"],
        fields["m"],
        fields["p"],
        fields["i"],
        fields["f"],
        fields.get("r"),
        Usage(*fields["u"]),
        None if cost is None else Decimal(cost),
        tuple(ToolCall(*call) for call in fields.get("x", ())),
        (),
        True,
    )
