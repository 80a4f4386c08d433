"""The guarded client against real servers: what it reaches, what it does not, and where it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.receiver import Receiver

from assay.outbound.client import GuardedClient, Lookup, OutboundLimits
from assay.outbound.errors import (
    AddressRefusedError,
    ConnectionFailedError,
    NameNotFoundError,
    OutboundTimeoutError,
    RequestTooLargeError,
    UrlRefusedError,
)
from assay.outbound.policy import OutboundPolicy

LOOPBACK = OutboundPolicy.of([], [ip_network("127.0.0.1/32")])
QUICK = OutboundLimits(timeout_seconds=0.4)


class Names:
    """A resolver whose answers are given in turn; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def receiver(authority: Authority) -> AsyncGenerator[Receiver]:
    async with Receiver(tls=authority.server_context("hooks.example", "127.0.0.1")) as receiver:
        yield receiver


def client_of(authority: Authority, lookup: Lookup, policy: OutboundPolicy = LOOPBACK) -> GuardedClient:
    return GuardedClient(policy, lookup=lookup, tls=authority.trust())


async def test_the_name_stays_in_tls_and_host_while_the_address_is_pinned(
    authority: Authority, receiver: Receiver
) -> None:
    client = client_of(authority, Names(["127.0.0.1"]))
    response = await client.request(
        "POST", receiver.url("hooks.example", "/a?b=c"), headers={"Content-Type": "application/json"}, body=b'{"x":1}'
    )
    assert (response.status, response.body, response.complete) == (200, b"ok", True)
    request = receiver.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/a", b'{"x":1}')
    assert request.headers["Host"] == f"hooks.example:{receiver.port}"
    assert request.headers["User-Agent"] == "Assay"


async def test_a_name_that_rebinds_is_asked_once_and_stays_where_it_was_checked(
    authority: Authority, receiver: Receiver
) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with Receiver(tls=receiver.tls, host="127.0.0.2", port=receiver.port) as inside:
        client = client_of(authority, names)
        assert (await client.request("POST", receiver.url("hooks.example"))).status == 200
        assert (names.asked, len(receiver.requests)) == (1, 1)
        # By now the name leads to an address that is not allowed.
        with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.2, which is a loopback"):
            await client.request("POST", receiver.url("hooks.example"))
        assert (names.asked, len(receiver.requests), len(inside.requests)) == (2, 1, 0)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"]])
async def test_a_name_that_leads_inside_is_refused_and_nothing_is_sent(
    authority: Authority, receiver: Receiver, found: list[str]
) -> None:
    client = client_of(authority, Names(found), OutboundPolicy())
    with pytest.raises(AddressRefusedError):
        await client.request("POST", receiver.url("hooks.example"))
    assert receiver.requests == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "169.254.169.254", "[fd00:ec2::254]", "0.0.0.0"],
)
async def test_literal_addresses_are_checked_as_well(authority: Authority, receiver: Receiver, host: str) -> None:
    names = Names(["8.8.8.8"])
    with pytest.raises(AddressRefusedError):
        await client_of(authority, names, OutboundPolicy()).request("POST", receiver.url(host))
    assert (names.asked, receiver.requests) == (0, [])


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_refused(authority: Authority, receiver: Receiver, host: str) -> None:
    client = GuardedClient(OutboundPolicy(), tls=authority.trust())
    with pytest.raises((AddressRefusedError, NameNotFoundError, UrlRefusedError)):
        await client.request("POST", receiver.url(host))
    assert receiver.requests == []


async def test_redirects_are_answers_and_are_not_followed(authority: Authority, receiver: Receiver) -> None:
    async with Receiver(host="127.0.0.1") as inside:
        receiver.status, receiver.location = 302, inside.url()
        response = await client_of(authority, Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"))
        assert response.status == 302
        assert response.headers["Location"] == inside.url()
        assert inside.requests == []


async def test_proxies_of_the_environment_are_not_used(
    authority: Authority, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(path=""))
        await client_of(authority, Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"))
        assert proxy.requests == []
    assert len(receiver.requests) == 1


async def test_a_huge_answer_is_read_to_the_limit(authority: Authority, receiver: Receiver) -> None:
    receiver.huge_bytes = 10 * 1024 * 1024
    response = await client_of(authority, Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"))
    assert (response.status, response.body, response.complete) == (200, b"x" * 1024, False)
    assert receiver.written < receiver.huge_bytes


async def test_an_answer_of_exactly_the_limit_is_whole(authority: Authority, receiver: Receiver) -> None:
    receiver.body = b"y" * 1024
    response = await client_of(authority, Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"))
    assert (response.body, response.complete) == (receiver.body, True)


async def test_a_body_that_never_ends_does_not_undo_its_status(authority: Authority, receiver: Receiver) -> None:
    receiver.drip = True
    response = await client_of(authority, Names(["127.0.0.1"])).request(
        "POST", receiver.url("hooks.example"), limits=QUICK
    )
    assert (response.status, response.complete) == (200, False)
    assert response.body.startswith(b".")


async def test_no_answer_in_time(authority: Authority, receiver: Receiver) -> None:
    receiver.hold.clear()
    with pytest.raises(OutboundTimeoutError, match=r"0\.4 s"):
        await client_of(authority, Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"), limits=QUICK)


async def test_a_resolver_that_hangs_counts_as_no_answer(authority: Authority) -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(OutboundTimeoutError):
        await client_of(authority, hang).request("POST", "https://hooks.example/", limits=QUICK)


async def test_a_request_beyond_the_limit_is_not_sent(authority: Authority, receiver: Receiver) -> None:
    client = client_of(authority, Names(["127.0.0.1"]))
    with pytest.raises(RequestTooLargeError, match="262,144"):
        await client.request("POST", receiver.url("hooks.example"), body=b"x" * (256 * 1024 + 1))
    assert receiver.requests == []


async def test_faults_of_the_connection_are_named(authority: Authority, receiver: Receiver, tmp_path: Path) -> None:
    client = client_of(authority, Names(["127.0.0.1"]))
    with pytest.raises(ConnectionFailedError, match="certificate"):
        await client.request("POST", receiver.url("other.example"))
    with pytest.raises(ConnectionFailedError, match="certificate"):
        await client_of(Authority(tmp_path), Names(["127.0.0.1"])).request("POST", receiver.url("hooks.example"))
    async with Receiver() as gone:
        pass
    with pytest.raises(ConnectionFailedError, match="No connection"):
        await client.request("POST", f"https://hooks.example:{gone.port}/")
    assert receiver.requests == []


async def test_a_name_without_addresses(authority: Authority) -> None:
    with pytest.raises(NameNotFoundError, match=r"nowhere\.invalid"):
        await GuardedClient(OutboundPolicy(), tls=authority.trust()).request("POST", "https://nowhere.invalid/")
    with pytest.raises(NameNotFoundError):
        await client_of(authority, Names([])).request("POST", "https://nowhere.invalid/")


async def test_plain_http_reaches_a_listed_loopback_host_only(authority: Authority) -> None:
    async with Receiver() as plain:
        listed = OutboundPolicy.of(["hooks.example"], [])
        response = await client_of(authority, Names(["127.0.0.1"]), listed).request("POST", plain.url("hooks.example"))
        assert response.status == 200
        with pytest.raises(AddressRefusedError, match="plain HTTP"):
            await client_of(authority, Names(["8.8.8.8"]), listed).request("POST", plain.url("hooks.example"))
        with pytest.raises(UrlRefusedError):
            await client_of(authority, Names(["127.0.0.1"]), OutboundPolicy()).request("POST", plain.url())
    assert len(plain.requests) == 1
