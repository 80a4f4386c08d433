"""What is judged, as data that cannot pass for instructions.

Each part stands between marks that carry a code. The code is a digest of all the parts, so that nobody who writes a
part can know it: the text would have to hold its own digest. Equal material has an equal code, which is what lets
equal requests be answered from a cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_MATERIAL_CHARACTERS: Final = 150_000
_CODE_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Part:
    """One text, under a name that Assay chose (``Input``, ``Output``, ``Reference``)."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Material:
    """Parts, marked and short enough."""

    text: str
    code: str
    """Of the marks."""
    shortened: bool
    """Whether a part was too long and is not there as a whole."""


def mark(parts: Sequence[Part], *, secret: bytes = b"", most_characters: int = MAX_MATERIAL_CHARACTERS) -> Material:
    """Put parts between marks.

    Args:
        parts: In their order.
        secret: Enters the code; needed only where somebody could try 2¹²⁸ texts.
        most_characters: Of all texts together. Longer ones are shortened, the longest first: by leaving out lines at
            even distances, then by cutting (P§3.4).
    """
    texts = _fitted([part.text for part in parts], most_characters)
    code = _code(parts, texts, secret)
    blocks = [
        f"[begin {part.name} {code}]\n{text}\n[end {part.name} {code}]" for part, text in zip(parts, texts, strict=True)
    ]
    return Material("\n\n".join(blocks), code, any(part.text != text for part, text in zip(parts, texts, strict=True)))


def _code(parts: Sequence[Part], texts: Sequence[str], secret: bytes) -> str:
    digest = hashlib.blake2b(key=secret[:64], digest_size=_CODE_DIGITS // 2)
    for part, text in zip(parts, texts, strict=True):
        for piece in (part.name, text):
            data = piece.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()


def _fitted(texts: Sequence[str], most: int) -> list[str]:
    """Each text in its fair share: what short ones leave over goes to the longer ones."""
    shares = [0] * len(texts)
    left = most
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for done, place in enumerate(by_length):
        shares[place] = min(len(texts[place]), left // (len(texts) - done))
        left -= shares[place]
    return [shorten(text, share) for text, share in zip(texts, shares, strict=True)]


def shorten(text: str, most: int) -> str:
    """A text of at most ``most`` characters: whole, or with lines left out at even distances, or cut."""
    if len(text) <= most:
        return text
    lines = text.split("\n")
    stride = -(-len(text) // max(1, most))
    if len(lines) > stride:
        kept = lines[::stride]
        note = f"[shortened: {len(kept)} of {len(lines)} lines]\n"
        sampled = note + "\n".join(kept)
        if len(sampled) <= most:
            return sampled
        text = sampled
    ending = "\n[cut]"
    return text[: most - len(ending)] + ending if most > len(ending) else text[:most]
