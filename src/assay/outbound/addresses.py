"""Which IP addresses are somebody else's on the public internet.

The tables follow the IANA special-purpose address registries (RFC 6890 and its updates), written out because what
Python's own ``is_global`` says has changed between patch releases. IPv6 is a list of what is allowed, since most of its
space is unassigned: global unicast, less the parts with a special meaning.

An IPv6 address that carries an IPv4 one is judged by what it leads to: mapped addresses and the well-known NAT64 prefix
(which is how an IPv6-only network reaches IPv4) by the address inside; compatible, 6to4, Teredo and local NAT64
addresses are refused whatever they carry, because nobody needs them any more.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",  # credentials of AWS containers
        "168.63.129.16",  # Azure's host, from a public range
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",
        "fd20:ce::254",  # Google Cloud
    )
)
_REFUSED_IPV4 = tuple(
    (IPv4Network(text), meaning)
    for text, meaning in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_IPV6 = tuple(
    (IPv6Network(text), meaning)
    for text, meaning in (
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_address(text: str) -> Address:
    """The address of a text as resolvers give it; an IPv4-mapped IPv6 address becomes the IPv4 one.

    Raises:
        ValueError: The text is no IP address.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def why_refused(address: Address) -> str | None:
    """What is special about an address (``private``, ``loopback``, …), or None if it is a public host's."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "scoped"
    inner = _unwrapped(address)
    if inner in _METADATA:
        return "cloud metadata"
    if isinstance(inner, IPv4Address):
        return next((meaning for network, meaning in _REFUSED_IPV4 if inner in network), None)
    for network, meaning in _REFUSED_IPV6:
        if inner in network:
            return meaning
    return None if inner in _GLOBAL_UNICAST else "reserved"


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
