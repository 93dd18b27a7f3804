"""Envoy's own count of the requests that each upstream answered, from every Envoy of a cluster."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from core import wire
from core.addresses import require_allowed
from migrator.runners.base import Figures, FiguresMissingError

_TIMEOUT_S = 3.0
_ALIVE = "server.live"
"""What every Envoy tells: without it some other server answered, and its silence says nothing."""
_COMPLETED, _FAILED = "upstream_rq_completed", "upstream_rq_5xx"


class EnvoyFigures:
    """`Envoys` of the runners: `urls` are stats or admin listeners, one of each Envoy."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    @property
    def count(self) -> int:
        return len(self._urls)

    def read(self, upstreams: Iterable[str]) -> Figures:
        wanted = tuple(upstreams)
        if not self._urls:
            raise FiguresMissingError("nobody has named this cluster's Envoys.")
        with ThreadPoolExecutor(max_workers=len(self._urls)) as pool:
            read = list(pool.map(lambda url: _of(url, wanted), self._urls))
        return dict(zip(self._urls, read, strict=True))


def _of(url: str, upstreams: tuple[str, ...]) -> dict[str, int]:
    names = "|".join(re.escape(name) for name in upstreams)
    wanted = rf"cluster\.({names})\.({_COMPLETED}|{_FAILED})|{re.escape(_ALIVE)}"
    query = urlencode({"filter": f"^({wanted})$"})
    try:
        answer = wire.request(
            "GET",
            f"{url.rstrip('/')}/stats?{query}",
            timeout_s=_TIMEOUT_S,
            headers={"User-Agent": "belay-step"},
            check=require_allowed,
        )
    except (OSError, http.client.HTTPException, wire.AddressRefusedError) as error:
        raise FiguresMissingError(f"Envoy at {url}: {wire.reason_of(error)}.") from error
    if answer.status != 200 or answer.truncated:
        raise FiguresMissingError(f"Envoy at {url} answered {answer.status}.")
    lines = answer.body.decode("utf-8", "replace").splitlines()
    if not any(line.rpartition(":")[0] == _ALIVE for line in lines):
        raise FiguresMissingError(f"{url} answered, but not with an Envoy's figures.")
    # An upstream that no request ever met has no counter yet: that is none, and not unknown.
    figures = {f"{word}:{name}": 0 for name in upstreams for word in ("completed", "failed")}
    for line in lines:
        name, _colon, value = line.rpartition(":")
        for upstream in upstreams:
            for word, stat in (("completed", _COMPLETED), ("failed", _FAILED)):
                if name == f"cluster.{upstream}.{stat}" and value.strip().isdecimal():
                    figures[f"{word}:{upstream}"] = int(value)
    return figures
