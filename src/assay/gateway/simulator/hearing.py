"""How a simulated model "hears": it does not. It reads the comment that a WAV file carries, and drops words of it.

The comment is the field ``ICMT`` of a RIFF file's ``LIST`` chunk of type ``INFO``, where audio programs keep remarks.
Nothing is known of a clip without one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

UNKNOWN = ""
_HEAD = struct.Struct("<4sI")


def hear(audio: bytes, *, accuracy: float, draw: Random) -> str:
    """The words of a clip's comment, each kept as often as the accuracy says."""
    return " ".join(word for word in read_comment(audio).split() if draw.random() < accuracy)


def read_comment(audio: bytes) -> str:
    """The comment of a WAV file; empty when there is none."""
    if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        return UNKNOWN
    for name, content in _chunks(audio, 12):
        if name == b"LIST" and content[:4] == b"INFO":
            found = next((value for key, value in _chunks(content, 4) if key == b"ICMT"), b"")
            return found.rstrip(b"\0").decode("utf-8", "replace")
    return UNKNOWN


def clip_with_comment(comment: str) -> bytes:
    """A twentieth of a second of silence with a comment; 8 kHz, 8 bits, one channel."""
    info = b"INFO" + _chunk(b"ICMT", comment.encode() + b"\0")
    parts = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)) + _chunk(b"LIST", info)
    return _chunk(b"RIFF", b"WAVE" + parts + _chunk(b"data", b"\x80" * 400))


def _chunk(name: bytes, content: bytes) -> bytes:
    return _HEAD.pack(name, len(content)) + content + b"\0" * (len(content) % 2)


def _chunks(content: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk; what is cut off is left out."""
    while start + _HEAD.size <= len(content):
        name, size = _HEAD.unpack_from(content, start)
        body = start + _HEAD.size
        if body + size > len(content):
            return
        yield name, content[body : body + size]
        start = body + size + size % 2
