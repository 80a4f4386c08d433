"""Secrets at rest and in text.

A stored secret is a Fernet token (AES-128-CBC with HMAC-SHA256). Its key is derived from ``ASSAY_SECRET_KEY`` by HKDF
(RFC 5869), so an operator may choose any text of sufficient length, and other uses of the same text get other keys.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from assay.kit.errors import InvalidError

MINIMUM_KEY_LENGTH = 16
"""Characters of ``ASSAY_SECRET_KEY``; shorter ones can be guessed."""

MASK = "[secret]"
_SHORTEST_MASKED = 6
"""Masking shorter texts would garble ordinary words."""


class SecretKeyError(InvalidError):
    """The secret key is unusable, or it is not the one that encrypted the stored secret."""

    code = "secret_key"


class SecretBox:
    """Encrypts short secrets for storage and opens them again."""

    __slots__ = ("_fernet", "signing_key")

    def __init__(self, key: str) -> None:
        """Derive the encryption key.

        Args:
            key: Value of ``ASSAY_SECRET_KEY``, at least 16 characters.

        Raises:
            SecretKeyError: The key is too short.
        """
        if len(key) < MINIMUM_KEY_LENGTH:
            raise SecretKeyError(
                f"ASSAY_SECRET_KEY has {len(key)} characters; use at least {MINIMUM_KEY_LENGTH} random ones.",
                param="ASSAY_SECRET_KEY",
            )
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(key, b"assay/stored-secrets/1")))
        self.signing_key = _derive(key, b"assay/account-tokens/1")
        """32 bytes that sign the tokens of local accounts."""

    def encrypt(self, secret: str) -> bytes:
        """An authenticated token of the secret; two calls give two different tokens."""
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, token: bytes) -> str:
        """The secret of a token.

        Raises:
            SecretKeyError: The token was made with another key, or was altered.
        """
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken as exc:
            raise SecretKeyError(
                "A stored secret cannot be decrypted: ASSAY_SECRET_KEY differs from the one that was in use when it "
                "was saved. Restore that key, or save the secret again.",
                param="ASSAY_SECRET_KEY",
            ) from exc


def _derive(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode())


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every occurrence of a secret replaced; the longest secrets go first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_MASKED:
            text = text.replace(secret, MASK)
    return text
