"""From bytes to JSON, bounded (P§6.2).

Clients of ten years wrap their JSON in up to three layers: a transport encoding, a form with a field ``data``, and
base64 or gzip inside that. What a layer is can be seen from its first bytes, which are more reliable than what headers
and query parameters say of it: JSON begins with a bracket, gzip with its two magic bytes, and base64 is the rest.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any
from urllib.parse import parse_qs

import orjson

from assay.dialects.posthog.capture.errors import InflatedError, UndecodableError, UnsupportedEncodingError

GZIP_MAGIC = b"\x1f\x8b"
MAX_LAYERS = 3

_GZIP_WINDOW = 31
_ZLIB_WINDOW = 15
_JSON_STARTS = b'{["'
FORM_TYPE = "application/x-www-form-urlencoded"
_FORM_START = b"data="


def inflate(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Undo the transport encoding.

    Args:
        body: As received.
        encoding: ``Content-Encoding``, any case; a body that begins like gzip is taken for gzip whatever this says.
        limit: Most bytes of the result.

    Raises:
        UnsupportedEncodingError: The encoding is neither gzip nor deflate.
        UndecodableError: The data is damaged or cut off.
        InflatedError: The result passes the limit.
    """
    if body.startswith(GZIP_MAGIC):
        return _decompress(body, _GZIP_WINDOW, limit)
    match encoding.strip().lower():
        case "deflate":
            return _decompress(body, _ZLIB_WINDOW, limit)
        case "" | "identity" | "gzip" | "x-gzip":
            return body
        case other:
            raise UnsupportedEncodingError(other)


def decode_json(body: bytes, *, content_type: str, limit: int) -> Any:
    """The JSON value in a body, whatever it is wrapped in.

    Args:
        body: Without its transport encoding.
        content_type: Of the request.
        limit: Most bytes of the JSON text.

    Raises:
        UndecodableError: There is no JSON in it.
        InflatedError: The JSON text passes the limit.
    """
    if content_type.lower().startswith(FORM_TYPE) or body.startswith(_FORM_START):
        body = _form_data(body)
    return parse(unwrap(body, limit=limit))


def unwrap(data: bytes, *, limit: int) -> bytes:
    """The JSON text inside layers of base64 and gzip.

    Raises:
        UndecodableError: There is none.
        InflatedError: It passes the limit.
    """
    for _ in range(MAX_LAYERS):
        data = data.strip()
        if not data:
            raise UndecodableError("The body is empty. Send a JSON object with an event, or with a `batch` of them.")
        if data[0] in _JSON_STARTS:
            return data
        data = _decompress(data, _GZIP_WINDOW, limit) if data.startswith(GZIP_MAGIC) else _from_base64(data)
    return data


def parse(text: bytes) -> Any:
    """The value of a JSON text.

    What careless writers put into JSON is put right, so that one event does not cost a batch: NaN and infinity become
    null, bytes that are no UTF-8 become U+FFFD. Halves of surrogate pairs are left for the rules of single events.

    Raises:
        UndecodableError: It is no JSON, with the line and column.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"), parse_constant=lambda word: None)
    except RecursionError as fault:
        raise UndecodableError("The body nests too deeply.") from fault
    except ValueError as fault:
        raise UndecodableError(f"The body is not valid JSON: {fault}") from fault


def _form_data(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=20)
    except (UnicodeDecodeError, ValueError) as fault:
        raise UndecodableError("The form is not encoded as application/x-www-form-urlencoded.") from fault
    if not (found := fields.get("data")):
        raise UndecodableError("The form has no field `data`. Put the events there, as JSON or as JSON in base64.")
    return found[0].encode("utf-8", "replace")


def _from_base64(data: bytes) -> bytes:
    # Forms turn plus signs into spaces, URLs need another alphabet, and some writers leave the padding out.
    compact = data.replace(b" ", b"+").translate(bytes.maketrans(b"-_", b"+/"), b"\r\n")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error as fault:
        raise UndecodableError("The body is neither JSON, nor gzip, nor base64.") from fault


def _decompress(data: bytes, window: int, limit: int) -> bytes:
    """All members of a compressed stream, never more than one byte over the limit."""
    found = bytearray()
    try:
        while data:
            stream = zlib.decompressobj(window)
            found += stream.decompress(data, limit + 1 - len(found))
            if len(found) > limit:
                raise InflatedError(limit)
            if not stream.eof:
                raise UndecodableError("The compressed body is cut off.")
            data = stream.unused_data.lstrip(b"\0")
    except zlib.error as fault:
        raise UndecodableError(f"The compressed body is damaged: {fault}") from fault
    return bytes(found)
