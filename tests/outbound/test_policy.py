"""Which URLs are thinkable, before anything is resolved."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from assay.outbound.errors import AddressRefusedError, UrlRefusedError
from assay.outbound.policy import OutboundPolicy
from assay.settings import OutboundSettings

STRICT = OutboundPolicy()
DEVELOPMENT = OutboundPolicy.of(["Hooks.Test."], [ip_network("127.0.0.0/8"), ip_network("::1/128")])


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?token=1",
        "https://example.com:8443/",
        "https://bücher.example/haken",
        "https://[2606:4700:4700::1111]/",
        "https://10.0.0.1/",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_https_urls_are_accepted_before_they_are_resolved(url: str) -> None:
    assert STRICT.check_url(url).scheme == "https"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "HTTPS"),
        ("ftp://example.com/", "HTTPS"),
        ("file:///etc/passwd", "HTTPS"),
        ("//example.com/", "HTTPS"),
        ("example.com", "HTTPS"),
        ("", "HTTPS"),
        ("https://", "HTTPS|not a URL"),
        ("https:///path", "HTTPS|not a URL"),
        ("https://user@example.com/", "user name"),
        ("https://user:password@example.com/", "user name"),
        ("https://:password@example.com/", "user name"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com:port/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "interface|not a URL"),
        ("https://exa mple.com/", "white space"),
        ("https://example.com\\@10.0.0.1/", "backslash"),
        ("https://example.com/\r\nX: y", "white space"),
        ("https://example.com/\x00", "control"),
        ("https://example.com/" + "a" * 2048, "2048"),
    ],
)
def test_other_urls_are_refused(url: str, reason: str) -> None:
    with pytest.raises(UrlRefusedError, match=reason) as refused:
        STRICT.check_url(url, param="webhook_url")
    assert refused.value.param == "webhook_url"
    assert "password" not in refused.value.message.replace("user name or password", "")


@pytest.mark.parametrize(
    "url", ["http://hooks.test/", "http://127.0.0.1:8080/x", "http://[::1]/", "http://hooks.test./"]
)
def test_listed_hosts_may_be_plain_http(url: str) -> None:
    assert DEVELOPMENT.check_url(url).scheme == "http"
    with pytest.raises(UrlRefusedError):
        STRICT.check_url(url)


@pytest.mark.parametrize(
    ("url", "found", "accepted"),
    [
        ("https://example.com", ["8.8.8.8"], True),
        ("https://example.com", ["8.8.8.8", "10.0.0.1"], False),
        ("https://example.com", ["2606:4700::1", "::1"], True),
        ("https://example.com", ["fe80::1%eth0"], False),
        ("https://example.com", ["10.0.0.1"], False),
        ("https://hooks.test", ["10.0.0.1"], True),
        ("https://HOOKS.test.", ["10.0.0.1"], True),
        ("https://nothooks.test", ["10.0.0.1"], False),
        ("https://evil.hooks.test", ["10.0.0.1"], False),
        ("https://example.com", ["127.0.0.1"], True),
        ("https://example.com", ["::ffff:127.0.0.1"], True),
        ("http://hooks.test", ["127.0.0.1"], True),
        ("http://hooks.test", ["10.0.0.1"], False),
        ("http://hooks.test", ["8.8.8.8"], False),
        ("http://hooks.test", ["127.0.0.1", "8.8.8.8"], False),
    ],
)
def test_what_a_name_leads_to_decides(url: str, found: list[str], accepted: bool) -> None:
    target = DEVELOPMENT.check_url(url)
    if accepted:
        assert DEVELOPMENT.check_addresses(target, found) == found
        return
    with pytest.raises(AddressRefusedError, match="address"):
        DEVELOPMENT.check_addresses(target, found)


def test_the_allow_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OutboundSettings() == OutboundSettings(allow_hosts=(), allow_cidrs=())
    monkeypatch.setenv("ASSAY_OUTBOUND_ALLOW_HOSTS", "localhost, hooks.test,")
    monkeypatch.setenv("ASSAY_OUTBOUND_ALLOW_CIDRS", "127.0.0.0/8,::1/128")
    settings = OutboundSettings()
    assert settings.allow_hosts == ("localhost", "hooks.test")
    policy = OutboundPolicy.of(settings.allow_hosts, settings.allow_cidrs)
    assert policy.check_addresses(policy.check_url("http://localhost:1/"), ["::1"]) == ["::1"]
    monkeypatch.setenv("ASSAY_OUTBOUND_ALLOW_CIDRS", "127.0.0.1/8")
    with pytest.raises(ValueError, match="allow_cidrs"):
        OutboundSettings()
