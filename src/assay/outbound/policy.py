"""Where requests may go: HTTPS to public addresses, and what the operator has put on the allow-list.

A name is judged by the addresses it has at the moment of the request: all of them must be acceptable, so that a name
with one public and one private address is refused rather than tried until the private one answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

from yarl import URL

from assay.outbound.addresses import Address, Network, parse_address, why_refused
from assay.outbound.errors import AddressRefusedError, UrlRefusedError

MAX_URL_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """The rule and the operator's exceptions to it."""

    allowed_hosts: frozenset[str] = frozenset()
    """Names whose addresses are not looked at, in lower case without a trailing dot."""
    allowed_networks: tuple[Network, ...] = ()
    """Addresses that are acceptable although they are not public."""

    @classmethod
    def of(cls, hosts: Iterable[str], networks: Iterable[Network]) -> Self:
        """The policy of an allow-list as it is configured."""
        return cls(frozenset(_plain(host) for host in hosts), tuple(networks))

    def check_url(self, text: str, *, param: str = "url") -> URL:
        """The URL, if requests to it are thinkable; what its name leads to is seen only when one is made.

        Raises:
            UrlRefusedError: Too long, malformed, with credentials, or not HTTPS. Plain HTTP is accepted only towards
                a host or literal address on the allow-list.
        """
        if len(text) > MAX_URL_CHARACTERS:
            raise UrlRefusedError(f"`{param}` is longer than {MAX_URL_CHARACTERS} characters.", param=param)
        url = _parse(text, param)
        if url.scheme not in {"https", "http"} or not url.host:
            raise UrlRefusedError(f"`{param}` must be an absolute HTTPS URL.", param=param)
        if url.raw_user is not None or url.raw_password is not None:
            raise UrlRefusedError(f"`{param}` must not carry a user name or password.", param=param)
        if url.scheme == "http" and not self._is_listed(url.raw_host or ""):
            raise UrlRefusedError(f"`{param}` must be an HTTPS URL.", param=param)
        return url.with_fragment(None)

    def check_addresses(self, url: URL, found: Sequence[str]) -> list[str]:
        """The addresses to connect to.

        Args:
            url: As ``check_url`` gave it.
            found: Every address of its host.

        Raises:
            AddressRefusedError: One of them is not public and not on the allow-list, or, for plain HTTP, not loopback.
        """
        host = _plain(url.raw_host or "")
        for text in found:
            address = parse_address(text.partition("%")[0])
            listed = host in self.allowed_hosts or any(address in network for network in self.allowed_networks)
            meaning = "scoped" if "%" in text else why_refused(address)
            if meaning is not None and not listed:
                raise AddressRefusedError(
                    f"{host} leads to {text}, which is a {meaning} address. Requests go to public addresses only, "
                    "unless the operator allows others with ASSAY_OUTBOUND_ALLOW_HOSTS or ASSAY_OUTBOUND_ALLOW_CIDRS."
                )
            if url.scheme == "http" and not (listed and address.is_loopback):
                raise AddressRefusedError(f"{host} leads to {text}; plain HTTP goes to loopback addresses only.")
        return list(found)

    def _is_listed(self, host: str) -> bool:
        if _plain(host) in self.allowed_hosts:
            return True
        address = literal_address(host)
        return address is not None and any(address in network for network in self.allowed_networks)


def literal_address(host: str) -> Address | None:
    """The address that a URL's host is, or None if it is a name."""
    try:
        return parse_address(host)
    except ValueError:
        return None


def _parse(text: str, param: str) -> URL:
    # White space and control characters are dropped by some parsers and not by others.
    if not text.isprintable() or any(character.isspace() or character == "\\" for character in text):
        raise UrlRefusedError(f"`{param}` holds white space, a backslash or a control character.", param=param)
    try:
        url = URL(text)
        _ = url.port, url.host
    except ValueError as fault:
        raise UrlRefusedError(f"`{param}` is not a URL.", param=param) from fault
    if isinstance(address := literal_address(url.raw_host or ""), IPv6Address) and address.scope_id is not None:
        raise UrlRefusedError(f"`{param}` names a network interface; leave out the part after %.", param=param)
    return url


def _plain(host: str) -> str:
    return host.strip().rstrip(".").lower()
