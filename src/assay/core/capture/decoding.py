"""Bodies without their transport encoding, and the JSON in them; bounded, and forgiving towards careless writers."""

from __future__ import annotations

import json
import zlib
from typing import Any

import orjson

from assay.core.capture.errors import InflatedError, UndecodableError, UnsupportedEncodingError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 31
_ZLIB_WINDOW = 15


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
        return decompress(body, GZIP_WINDOW, limit)
    match encoding.strip().lower():
        case "deflate":
            return decompress(body, _ZLIB_WINDOW, limit)
        case "" | "identity" | "gzip" | "x-gzip":
            return body
        case other:
            raise UnsupportedEncodingError(other)


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


def decompress(data: bytes, window: int, limit: int) -> bytes:
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
