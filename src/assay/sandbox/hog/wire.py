"""What passes between `HogSandbox` and its workers: frames of JSON on pipes.

    parent → worker   one frame for the job (source, rule, limits), then one for the globals of each case
    worker → parent   an empty frame when it is ready, then one verdict for each case, in order

A frame is four bytes of length, big-endian, and so many bytes. Answers leave on a pipe that the program cannot reach,
and are read as data: a worker that went astray can say wrong things but not make the parent run anything.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from assay.sandbox.hog.errors import HogFailureKind
from assay.sandbox.hog.limits import HogLimits
from assay.sandbox.hog.verdict import OutputRule, OutputType, Verdict

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 1024 * 1024


def frame(body: bytes) -> bytes:
    """A body with its length before it."""
    return HEADER.pack(len(body)) + body


def encode(value: Any) -> bytes:
    """JSON, also of what orjson refuses: large integers and lone surrogates. Such a body begins with a space.

    Raises:
        TypeError: It is no JSON value.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return b" " + json.dumps(value).encode()


def decode(body: bytes) -> Any:
    """The reverse of `encode`: orjson would take large integers for floats."""
    return json.loads(body) if body.startswith(b" ") else orjson.loads(body)


def encode_job(source: str, rule: OutputRule, limits: HogLimits, *, cases: int) -> bytes:
    """What all cases of a batch share."""
    return encode({"source": source, "rule": asdict(rule), "limits": asdict(limits), "cases": cases})


def decode_rule(data: Mapping[str, Any]) -> OutputRule:
    """The rule of a job."""
    fields: dict[str, Any] = {**data, "type": OutputType(data["type"]), "options": tuple(data["options"])}
    return OutputRule(**fields)


def encode_verdict(verdict: Verdict) -> bytes:
    """A verdict."""
    return encode(asdict(verdict))


def decode_verdict(body: bytes) -> Verdict:
    """The reverse of `encode_verdict`.

    Raises:
        ValueError: The worker sent something else.
    """
    try:
        fields: dict[str, Any] = decode(body)
        if fields["categories"] is not None:
            fields["categories"] = tuple(fields["categories"])
        if fields["failure"] is not None:
            fields["failure"] = HogFailureKind(fields["failure"])
        return Verdict(**fields)
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no verdict: {exc}") from exc
