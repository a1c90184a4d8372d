"""Which internet addresses are public. Everything else is ours or our neighbours' and not fetched."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_CLOSED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_UNICAST_6: Final = ipaddress.ip_network("2000::/3")
_CLOSED_6: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
        *("3ffe::/16", "5f00::/16"),
    )
)


def is_public(address: Address) -> bool:
    """Whether packets to it leave for the open internet.

    From the special-purpose registries of IANA (2026-11): private, shared, loopback, link-local (and
    with it the metadata services), documentation, benchmark, multicast and reserved blocks are not
    public. Of IPv6 only 2000::/3 is, without the blocks that carry an IPv4 address (6to4, Teredo;
    mapped and NAT64 addresses lie outside it): those could lead to any of the former.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _CLOSED)
    return (
        address in _GLOBAL_UNICAST_6
        and address.scope_id is None
        and not any(address in block for block in _CLOSED_6)
    )
