"""Is this address one on which Belay itself lives? A target that carries Belay is refused: its
fault would take away who watches, records and undoes."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings


def ours_among(addresses: Iterable[str], *, services: bool = True) -> list[str]:
    """Those of `addresses` that are this machine's, or, with `services`, those of Belay's database
    and broker (their names are resolved, so never ask within a transaction)."""
    hosts = _service_addresses() if services else frozenset()
    return sorted({each for each in addresses if each in hosts or is_local(each)})


def is_local(address: str) -> bool:
    """Whether this machine itself has the address. Sends nothing: the kernel says from where it
    would send to it, and to its own address that is the address itself.

    Loopback addresses are everybody's own, and say nothing.
    """
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    if given.is_loopback or given.is_unspecified:
        return False
    family = socket.AF_INET6 if given.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(given), 9))
        except OSError:
            return False
        return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == given


def _service_addresses() -> frozenset[str]:
    hosts = [
        str(settings.DATABASES["default"].get("HOST") or ""),
        urlsplit(str(settings.CELERY_BROKER_URL)).hostname or "",
    ]
    found: set[str] = set()
    for host in hosts:
        if not host or host.startswith("/"):
            continue  # a socket in the file system
        try:
            found |= {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
        except OSError:
            continue  # no name that this machine can resolve is an address of the cluster
    return frozenset(found)
