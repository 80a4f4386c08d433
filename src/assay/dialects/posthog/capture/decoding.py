"""From bytes to JSON, bounded (P§6.2).

Clients of ten years wrap their JSON in up to three layers: a transport encoding, a form with a field ``data``, and
base64 or gzip inside that. What a layer is can be seen from its first bytes, which are more reliable than what headers
and query parameters say of it: JSON begins with a bracket, gzip with its two magic bytes, and base64 is the rest.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qs

from assay.core.capture.decoding import GZIP_MAGIC, GZIP_WINDOW, decompress, parse
from assay.core.capture.errors import UndecodableError

MAX_LAYERS = 3

_JSON_STARTS = b'{["'
FORM_TYPE = "application/x-www-form-urlencoded"
_FORM_START = b"data="


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
        data = decompress(data, GZIP_WINDOW, limit) if data.startswith(GZIP_MAGIC) else _from_base64(data)
    return data


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
