"""Where probes may go. People type these addresses, and Belay's machine would do the asking: what
only that machine can reach (itself, a cloud's metadata service) is nobody's probe.

The check is made on the address that the connection then goes to, after the name was resolved.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings

from core.wire import AddressRefusedError

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
"""Metadata services that are not link-local. The best known, 169.254.169.254, is."""
_CARRY_V4 = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::/96", 0),  # IPv4-compatible, deprecated
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
)


def require_allowed(address: str) -> None:
    """Raise `AddressRefusedError` for an address that no probe may ask."""
    given = ipaddress.ip_address(address.partition("%")[0])
    for ip in _all_of(given):
        if ip.is_loopback and settings.BELAY_PROBE_ALLOW_LOOPBACK:
            continue
        if why := _why_not(ip):
            raise AddressRefusedError(f"no probe may ask {address}: {why}")


def _all_of(ip: IP) -> list[IP]:
    """The address, and the IPv4 address that it carries inside, if any."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    inner: list[IP] = [
        ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFF_FFFF)
        for network, shift in _CARRY_V4
        if ip in network and int(ip) > 1
    ]
    return inner or [ip]


def _why_not(ip: IP) -> str:
    if ip in _METADATA:
        return "a cloud's metadata service"
    if ip.is_loopback:
        return "Belay's own machine (unless BELAY_PROBE_ALLOW_LOOPBACK=1)"
    if ip.is_link_local:
        return "link-local, where clouds keep their metadata services"
    if ip.is_unspecified or (ip.version == 4 and int(ip) >> 24 == 0):
        return "no host's address"
    if ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
        return "the address of many hosts at once"
    return ""
