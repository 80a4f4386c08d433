"""Bodies and queries, bounded and free of what cannot be stored, before any model looks at them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message, Receive

from assay.kit.errors import InvalidError, LimitError
from assay.kit.storable import find_unstorable, render_path

MAX_JSON_BYTES = 1024 * 1024
MAX_JSON_DEPTH = 64

_CHUNK_BYTES = 256 * 1024


class BodyTooLargeError(LimitError):
    """The body passes the route's bound."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.")


class BodyError(InvalidError):
    """The body is not JSON, or holds a value that cannot be stored."""

    code = "invalid_body"


class QueryError(InvalidError):
    """A query parameter holds a value that the database cannot compare with anything."""

    code = "invalid_query"


def check_query(request: Request) -> None:
    """Refuse NUL characters.

    Raises:
        QueryError: Naming the parameter.
    """
    for name, value in request.query_params.multi_items():
        if "\0" in name or "\0" in value:
            shown = name.replace("\0", "?")
            raise QueryError(f"`{shown}` holds a NUL character; remove it.", param=shown)


def bounded(receive: Receive, limit: int) -> Receive:
    """The same stream of messages, ended by ``BodyTooLargeError`` once the body passes ``limit`` bytes."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLargeError(limit)
        return message

    return receive_bounded


def check_length(request: Request, limit: int) -> None:
    """Refuse a declared length over the bound before reading any of it.

    Raises:
        BodyTooLargeError: ``Content-Length`` passes ``limit``.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError(limit)


def check_json(body: bytes) -> None:
    """Refuse a body that is not strict JSON or holds what cannot be stored.

    Raises:
        BodyError: With the line and column, or the path, of the fault.
    """
    for path, reason in find_unstorable(parse_json(body), max_depth=MAX_JSON_DEPTH):
        shown = render_path(path)
        raise BodyError(f"{shown or 'body'}: {reason}", param=shown or None)


def parse_json(body: bytes) -> Any:
    """The value of strict JSON.

    Raises:
        BodyError: With the line and column of the fault.
    """
    try:
        # The first parser is the stricter one; the second keeps integers that the first turns into floats.
        orjson.loads(body)
        return json.loads(body)
    except RecursionError as fault:
        raise BodyError("The body nests too deeply.") from fault
    except ValueError as fault:
        raise BodyError(f"The body is not valid JSON: {fault}") from fault


async def digest_form(form: FormData) -> bytes:
    """A digest of what a form says: equal for equal parts, whatever the boundary between them."""
    digest = hashlib.sha256()
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            part = [name, value.filename, value.content_type, await _digest_upload(value)]
        else:
            part = [name, value]
        digest.update(orjson.dumps(part))
    return digest.digest()


async def _digest_upload(upload: UploadFile) -> str:
    digest = hashlib.sha256()
    while chunk := await upload.read(_CHUNK_BYTES):
        digest.update(chunk)
    await upload.seek(0)
    return digest.hexdigest()
