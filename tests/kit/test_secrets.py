from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.kit.secrets import MASK, SecretBox, SecretKeyError, mask

KEY = "0123456789abcdef"


@given(st.text())
def test_what_was_encrypted_is_decrypted(secret: str) -> None:
    assume_encodable = secret.encode("utf-8", "replace").decode()
    box = SecretBox(KEY)
    token = box.encrypt(assume_encodable)
    assert SecretBox(KEY).decrypt(token) == assume_encodable
    assert token != box.encrypt(assume_encodable)


def test_the_token_does_not_show_the_secret() -> None:
    assert b"sk-secret" not in SecretBox(KEY).encrypt("sk-secret")


SPOIL: list[Callable[[bytes], bytes]] = [lambda t: t[:-4] + b"AAAA", lambda t: b"", lambda t: b"plain text"]


@pytest.mark.parametrize("spoil", SPOIL)
def test_an_altered_token_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SecretKeyError, match="ASSAY_SECRET_KEY differs"):
        SecretBox(KEY).decrypt(spoil(SecretBox(KEY).encrypt("x")))


def test_another_key_is_refused() -> None:
    with pytest.raises(SecretKeyError):
        SecretBox(KEY + "!").decrypt(SecretBox(KEY).encrypt("x"))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SecretKeyError, match="at least 16"):
        SecretBox("short")


def test_mask_replaces_the_longest_first_and_spares_short_words() -> None:
    text = "key sk-abcdef-long and sk-abcdef, a"
    assert mask(text, ["sk-abcdef", "sk-abcdef-long", "a"]) == f"key {MASK} and {MASK}, a"
