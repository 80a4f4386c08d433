"""Signatures: the key rule as a table, the reference library as judge, and no flipped bit that passes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from assay import WebhookVerificationError, verify_webhook
from assay.kit.webhooks import key_bytes, webhook_headers

NOW = 1_770_000_000
RAW_24 = bytes(range(24))
RAW_32 = bytes(range(200, 232))


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        pytest.param("whsec_" + encoded(RAW_24), RAW_24, id="24 bytes, the shortest that is decoded"),
        pytest.param("whsec_" + encoded(RAW_32), RAW_32, id="32 bytes, padded, with + and /"),
        pytest.param("whsec_" + encoded(RAW_24[:23]), None, id="23 bytes are too few"),
        pytest.param("whsec_" + encoded(RAW_32).rstrip("="), None, id="without padding"),
        pytest.param("whsec_" + base64.urlsafe_b64encode(bytes([251] * 32)).decode(), None, id="URL-safe alphabet"),
        pytest.param("whsec_" + encoded(RAW_24) + "\n", None, id="a line break after it"),
        pytest.param("whsec_" + encoded(RAW_24)[:16] + " " + encoded(RAW_24)[16:], None, id="a space within"),
        pytest.param("whsec_" + encoded(RAW_32) + "AAAA", None, id="data after the padding"),
        pytest.param("whsec_", None, id="nothing after the prefix"),
        pytest.param("whsec_not base64 at all, really!", None, id="other text after the prefix"),
        pytest.param("whsec_überraschung-überraschung-über", None, id="not ASCII"),
        pytest.param("WHSEC_" + encoded(RAW_24), None, id="prefix in capitals"),
        pytest.param(encoded(RAW_24), None, id="base64 without the prefix"),
        pytest.param("plain-shared-secret", None, id="plain text"),
    ],
)
def test_what_key_a_secret_stands_for(secret: str, key: bytes | None) -> None:
    assert key_bytes(secret) == (secret.encode() if key is None else key)


@pytest.mark.parametrize("secret", ["whsec_" + encoded(RAW_24), "whsec_" + encoded(RAW_32), "plain-shared-secret"])
def test_the_reference_library_accepts_what_is_signed(secret: str) -> None:
    body = '{"id":"evt_1","type":"eval.run.completed","größe":1}'.encode()
    headers = webhook_headers("evt_1", body, secret=secret, timestamp=int(time.time()))
    assert Webhook(key_bytes(secret)).verify(body, headers)["id"] == "evt_1"
    if secret.startswith("whsec_"):
        assert Webhook(secret).verify(body, headers)["id"] == "evt_1"
    assert verify_webhook(body, headers, secret=secret)["größe"] == 1


def test_the_signature_of_a_worked_example() -> None:
    # Computed with: printf '%s' 'evt_1.1770000000.{"a":1}' | openssl dgst -sha256 -hmac plain-shared-secret
    headers = webhook_headers("evt_1", b'{"a":1}', secret="plain-shared-secret", timestamp=NOW)
    assert headers == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1770000000",
        "webhook-signature": "v1,HEoEU8u3b453hK0PbmxIyADP21ev/8JU1vpXTjToVkI=",
        "X-Webhook-Signature": "sha256=9313f9eb29eb40739d33d78331f6d4812d72927e7a560deae42b3bd0a2f58b7a",
    }


def test_without_a_secret_nothing_is_signed() -> None:
    headers = webhook_headers("evt_1", b"{}", secret=None, timestamp=NOW)
    assert set(headers) == {"webhook-id", "webhook-timestamp"}
    with pytest.raises(WebhookVerificationError, match="webhook-signature"):
        verify_webhook(b"{}", headers, secret="plain-shared-secret", now=NOW)


@pytest.mark.parametrize(
    ("seconds_off", "accepted"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_the_time_may_be_off_by_five_minutes(seconds_off: int, accepted: bool) -> None:
    headers = signed()
    if accepted:
        assert verify_webhook(BODY, headers, secret=SECRET, now=NOW + seconds_off)
        return
    with pytest.raises(WebhookVerificationError, match="300 s"):
        verify_webhook(BODY, headers, secret=SECRET, now=NOW + seconds_off)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(name: str) -> None:
    headers = {key: value for key, value in signed().items() if key != name}
    with pytest.raises(WebhookVerificationError, match=name):
        verify_webhook(BODY, headers, secret=SECRET, now=NOW)


def test_one_good_signature_among_several_is_enough() -> None:
    headers = {name.upper(): value for name, value in signed().items()}
    other = webhook_headers("evt_1", BODY, secret="another-shared-secret", timestamp=NOW)["webhook-signature"]
    good = headers["WEBHOOK-SIGNATURE"]
    headers["WEBHOOK-SIGNATURE"] = f"v1a,AAAA {other} {good}"
    assert verify_webhook(BODY.decode(), headers, secret=SECRET, now=NOW)
    for bad in (f"v1a,AAAA {other}", good.removeprefix("v1,"), f"v2,{good.removeprefix('v1,')}", " ", ","):
        headers["WEBHOOK-SIGNATURE"] = bad
        with pytest.raises(WebhookVerificationError):
            verify_webhook(BODY, headers, secret=SECRET, now=NOW)


@pytest.mark.parametrize("timestamp", ["soon", "-1770000000", "1770000000.0", "1_770_000_000", "١٧٧٠٠٠٠٠٠٠", "9" * 400])
def test_a_time_of_another_form_is_refused(timestamp: str) -> None:
    with pytest.raises(WebhookVerificationError, match="Unix time"):
        verify_webhook(BODY, {**signed(), "webhook-timestamp": timestamp}, secret=SECRET, now=NOW)


@pytest.mark.parametrize("body", [b"[1]", b"not json", b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    headers = webhook_headers("evt_1", body, secret=SECRET, timestamp=NOW)
    with pytest.raises(WebhookVerificationError, match="body is not"):
        verify_webhook(body, headers, secret=SECRET, now=NOW)


SECRET = "plain-shared-secret"
BODY = b'{"id": "evt_1"}'


def signed() -> dict[str, str]:
    return webhook_headers("evt_1", BODY, secret=SECRET, timestamp=NOW)


secrets = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=16, max_size=256),
    st.binary(min_size=24, max_size=64).map(lambda raw: "whsec_" + encoded(raw)),
)
bodies = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4).map(
    lambda event: json.dumps(event).encode()
)


@given(secret=secrets, body=bodies, timestamp=st.integers(0, 10**12))
def test_what_is_signed_verifies(secret: str, body: bytes, timestamp: int) -> None:
    headers = webhook_headers("evt_9", body, secret=secret, timestamp=timestamp)
    verify_webhook(body, headers, secret=secret, now=timestamp)
    moment = datetime.fromtimestamp(timestamp % 10**10, UTC)
    again = webhook_headers("evt_9", body, secret=secret, timestamp=timestamp % 10**10)
    assert Webhook(key_bytes(secret)).sign("evt_9", moment, body.decode()) == again["webhook-signature"]


@given(secret=secrets, body=bodies.filter(len), where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_verifies(secret: str, body: bytes, where: int, bit: int) -> None:
    headers = webhook_headers("evt_9", body, secret=secret, timestamp=NOW)
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        changed = flip(headers[name].encode(), where, bit).decode("latin-1")
        refuse(body, {**headers, name: changed}, secret)
    refuse(flip(body, where, bit), headers, secret)


def flip(content: bytes, where: int, bit: int) -> bytes:
    flipped = bytearray(content)
    flipped[where % len(content)] ^= 1 << bit
    return bytes(flipped)


def refuse(body: bytes, headers: Mapping[str, str], secret: str) -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(body, headers, secret=secret, now=NOW, tolerance_seconds=10**11)


def test_a_receiver_loads_nothing_heavy() -> None:
    program = (
        "import sys; from assay import verify_webhook; "
        "heavy = {'aiohttp', 'sqlalchemy', 'fastapi', 'temporalio', 'pydantic', 'orjson', 'cryptography'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
