"""The text of keys and capture tokens.

A key is a prefix and 43 base62 characters, 256 bits of entropy. With that much a plain SHA-256 is a safe digest: there
is nothing to guess, so nothing to slow down. Keys are found by their digest, whose bytes a caller cannot steer, so the
time of the lookup tells nothing about other keys.
"""

from __future__ import annotations

import hashlib
import secrets
import string

KEY_PREFIX = "mk-"
JOBS_KEY_PREFIX = "ovr_"
"""Of keys made through the API of jobs; any key works with any API."""
CAPTURE_PREFIX = "phc_"
DISPLAY_LENGTH = 7
"""Characters of a key that may be shown: its prefix and four more."""

_ALPHABET = string.digits + string.ascii_letters
_LENGTH = 43  # 62**43 > 2**256


def generate_key(prefix: str = KEY_PREFIX) -> str:
    """A new API key."""
    return prefix + _random_text()


def generate_capture_token() -> str:
    """A new capture token. It is public; its length only keeps projects apart."""
    return CAPTURE_PREFIX + _random_text()


def digest_token(token: str) -> bytes:
    """The 32 bytes that are stored in place of a key."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _random_text() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
