"""Hashing passwords: argon2id with the library's defaults (RFC 9106, second choice), off the event loop."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH = 8
MAX_LENGTH = 256


async def hash_password(password: str) -> str:
    """The text to store."""
    return await asyncio.to_thread(_hasher().hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one. Without one, it takes as long and is not."""
    return await asyncio.to_thread(_matches, stored or _decoy(), password) and stored is not None


def _matches(stored: str, password: str) -> bool:
    from argon2.exceptions import VerificationError

    try:
        return _hasher().verify(stored, password[:MAX_LENGTH])
    except VerificationError:
        return False


@cache
def _hasher() -> PasswordHasher:
    # Imported when somebody first signs in: a start that nobody waits for at the door is a faster start.
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _decoy() -> str:
    return _hasher().hash("no account has this password")
