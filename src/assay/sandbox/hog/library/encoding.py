"""URLs, base 64, digests, network addresses, versions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import urllib.parse
from collections.abc import Callable
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.registry import function, need_text
from assay.sandbox.hog.text import plain_text, texts
from assay.sandbox.hog.values import Value, type_name

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VERSION = re.compile(r"\d{1,18}(?:\.\d{1,18})+", re.ASCII)
# Four bytes for a character, three characters for a byte.
_PERCENT_GROWTH = 12


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@function("encodeURLComponent", 1)
def encode_url(budget: Budget, text: Value) -> str | None:
    """Percent coding of everything but letters, digits and ``_.-~``."""
    if text is None:
        return None
    budget.charge_text(len(need_text(text, "encodeURLComponent")) * _PERCENT_GROWTH)
    return urllib.parse.quote(_bytes(text), safe="")


@function("decodeURLComponent", 1)
def decode_url(budget: Budget, text: Value) -> str | None:
    """The reverse; bad escapes stay as they are."""
    if text is None:
        return None
    budget.charge_text(len(need_text(text, "decodeURLComponent")))
    return urllib.parse.unquote(text)


@function("tryDecodeURLComponent", 1)
def try_decode_url(budget: Budget, text: Value) -> str | None:
    """The reverse; null for bad escapes."""
    if not isinstance(text, str) or _BAD_ESCAPE.search(text):
        return None
    budget.charge_text(len(text))
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        return None


@function("base64Encode", 1)
def base64_encode(budget: Budget, text: Value) -> str | None:
    """Base 64 of UTF-8."""
    if text is None:
        return None
    budget.charge_text(len(need_text(text, "base64Encode")) * 6)
    return base64.b64encode(_bytes(text)).decode()


@function("base64Decode", 1)
def base64_decode(budget: Budget, text: Value) -> str | None:
    """The reverse.

    Raises:
        HogFailure: The text is no base 64 of UTF-8.
    """
    if text is None:
        return None
    decoded = try_base64_decode(budget, need_text(text, "base64Decode"))
    if decoded is None:
        raise HogFailure("Function `base64Decode` needs base 64 of UTF-8 text")
    return decoded


@function("tryBase64Decode", 1)
def try_base64_decode(budget: Budget, text: Value) -> str | None:
    """The reverse; null when it fails."""
    if not isinstance(text, str):
        return None
    budget.charge_text(len(text))
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _binary(digest: bytes) -> str:
    return digest.decode("latin-1")


_ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
    "binary": _binary,
}


def _encoded(digest: bytes, encoding: Value) -> str:
    encode = _ENCODINGS.get("hex" if encoding is None else str(encoding))
    if encode is None:
        raise HogFailure(f"Unknown encoding: {str(encoding)[:32]}; it is one of {', '.join(_ENCODINGS)}")
    return encode(digest)


def _digest_functions(name: str) -> None:
    def digest(budget: Budget, text: Value, encoding: Value = None) -> str | None:
        if text is None:
            return None
        data = need_text(text, name)
        budget.step(1 + len(data) // 256)
        return _encoded(hashlib.new(name, _bytes(data), usedforsecurity=False).digest(), encoding)

    def chain(budget: Budget, items: Value, encoding: Value = None) -> str:
        return _encoded(_hmac_chain(budget, items, name), encoding)

    function(name, 1, 2)(digest)
    function(f"{name}Hex", 1)(digest)
    if name != "md5":
        function(f"{name}HmacChain", 1, 2)(chain)
        function(f"{name}HmacChainHex", 1)(chain)


def _hmac_chain(budget: Budget, items: Value, name: str) -> bytes:
    """HMAC of the second item with the first as key; the result is the key for the next item, and so on."""
    if not isinstance(items, list | tuple) or len(cast("list[Any]", items)) < 2:
        raise HogFailure(f"Function `{name}HmacChain` needs an array of at least two, not a {type_name(items)}")
    first, *rest = texts(budget, cast("list[Any]", items), plain_text)
    key = _bytes(first)
    for text in rest:
        budget.step(1 + len(text) // 256)
        key = hmac.new(key, _bytes(text), name).digest()
    return key


for _name in ("md5", "sha1", "sha256"):
    _digest_functions(_name)


@function("isIPAddressInRange", 2)
def is_ip_address_in_range(budget: Budget, address: Value, network: Value) -> bool:
    """Whether an address of version 4 or 6 lies in a network; false for anything that is none."""
    try:
        return ipaddress.ip_address(str(address)[:64]) in ipaddress.ip_network(str(network)[:64], strict=False)
    except ValueError:
        return False


@function("sortableSemver", 1)
def sortable_semver(budget: Budget, text: Value) -> list[int]:
    """The numbers of the first dotted version in a text."""
    if not isinstance(text, str):
        return []
    budget.step(1 + len(text) // 256)
    found = _VERSION.search(text)
    if found is None:
        return []
    numbers = [int(part) for part in found[0].split(".")]
    budget.charge_items(len(numbers))
    return numbers
