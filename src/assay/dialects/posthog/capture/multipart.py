"""One AI event in parts, so that what is large travels beside the JSON and not inside it (P§6.1).

The first part is ``event``, a JSON object. ``event.properties`` may follow, and a part ``event.properties.<name>`` for
each large property: JSON is taken as the value it is, text as text, and anything else as a ``data:`` URL.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from assay.core.capture.decoding import inflate, parse
from assay.core.capture.errors import UndecodableError
from assay.core.capture.types import RawEvent

MAX_PARTS = 100
EVENT_PART = "event"
PROPERTIES_PART = "event.properties"
_PROPERTY_PREFIX = f"{PROPERTIES_PART}."
_JSON = "application/json"


@dataclass(slots=True)
class Part:
    """One part of the form."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    """With names in lower case."""
    body: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str:
        """The field's name; empty without one."""
        _, options = parse_options_header(self.headers.get("content-disposition", ""))
        return options.get(b"name", b"").decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """Without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def describe(self) -> dict[str, Any]:
        """The part, as the answer names what was accepted."""
        return {
            "name": self.name,
            "length": len(self.body),
            "content-type": self.headers.get("content-type"),
            "content-encoding": self.headers.get("content-encoding"),
        }


def split(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form.

    Raises:
        UndecodableError: It is no form, is cut off, or has too many parts.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise UndecodableError("The body must be multipart/form-data, with its boundary in the content type.")
    reader = _Reader()
    try:
        parser = MultipartParser(options[b"boundary"], cast("Any", reader.callbacks()))
        parser.write(body)
        parser.finalize()
    except MultipartParseError as fault:
        raise UndecodableError(f"The multipart body is damaged: {fault}") from fault
    if not reader.ended:
        raise UndecodableError("The multipart body is cut off.")
    return reader.parts


def read_event(parts: Sequence[Part], *, limit: int) -> RawEvent:
    """The event that the parts make up.

    Args:
        parts: As sent, each perhaps compressed by itself.
        limit: Most bytes of all parts once they are decompressed.

    Raises:
        UndecodableError, InflatedError, UnsupportedEncodingError: A part is not what it should be.
    """
    if not parts or parts[0].name != EVENT_PART:
        raise UndecodableError("The first part must be `event`, a JSON object.")
    values: dict[str, Any] = {}
    for part in parts:
        content = inflate(bytes(part.body), part.headers.get("content-encoding", ""), limit=limit)
        limit -= len(content)
        if part.name in values:
            raise UndecodableError(f"The part {part.name[:64]!a} occurs twice.")
        values[part.name] = _value(part, content)
    event = _object(values.pop(EVENT_PART), EVENT_PART)
    properties = {
        **_object(event.get("properties") or {}, "event.properties"),
        **_object(values.pop(PROPERTIES_PART, {}), PROPERTIES_PART),
    }
    for name, value in values.items():
        if not name.startswith(_PROPERTY_PREFIX):
            raise UndecodableError(
                f"The part {name[:64]!a} is neither `event` nor of the form `event.properties.<name>`."
            )
        properties[name.removeprefix(_PROPERTY_PREFIX)] = value
    return RawEvent(
        event=event.get("event"),
        distinct_id=event.get("distinct_id", properties.get("distinct_id")),
        uuid=event.get("uuid"),
        timestamp=event.get("timestamp"),
        properties=properties,
    )


def _value(part: Part, content: bytes) -> Any:
    if part.name in (EVENT_PART, PROPERTIES_PART) or part.content_type == _JSON:
        return parse(content)
    if part.content_type.startswith("text/") or not part.content_type:
        return content.decode("utf-8", "replace")
    return f"data:{part.content_type};base64,{base64.b64encode(content).decode()}"


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UndecodableError(f"`{name}` must be a JSON object.")
    return cast("dict[str, Any]", value)


class _Reader:
    """Collects what the parser tells."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_name,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_to_body,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise UndecodableError(f"The multipart body has more than {MAX_PARTS} parts.")
        self.parts.append(Part())

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _add_to_body(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].body += data[start:end]

    def _end_header(self) -> None:
        self.parts[-1].headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True
