"""Which pod and container a process belongs to, read from its /proc/PID/cgroup.

Both drivers write the same facts in two ways, under any parent group (`--cgroup-root`):

    cgroupfs  …/kubepods/burstable/pod<uid>/<container>
    systemd   …/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/
              cri-containerd-<container>.scope      (the uid with _ for -)

A reader in a cgroup namespace of its own sees its neighbours as `/../../pod<uid>/…`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_POD = re.compile(
    r"(?:^|-)pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
    r"(?:\.slice)?$"
)
_CONTAINER = re.compile(r"^(?:[a-z]+(?:-[a-z]+)*-)?(?P<id>[0-9a-f]{64})(?:\.scope)?$")
_STATIC_UID = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True, kw_only=True)
class Place:
    """The pod and container that a process runs in."""

    pod_uid: str
    container_id: str

    @property
    def static(self) -> bool:
        """A static pod's UID is the hash of its file; the API server gives out dashed UUIDs."""
        return bool(_STATIC_UID.match(self.pod_uid))


def place_of(cgroup: str) -> Place | None:
    """Find pod and container in the text of /proc/PID/cgroup; None for a process of no pod."""
    for line in cgroup.splitlines():
        path = line.rpartition(":")[2]
        if "kubepods" not in path and not path.startswith("/../"):
            continue
        segments = path.split("/")
        for position, segment in enumerate(segments):
            pod = _POD.search(segment)
            if pod is None:
                continue
            container = ""
            if position + 1 < len(segments):
                found = _CONTAINER.match(segments[position + 1])
                container = found["id"] if found else ""
            return Place(pod_uid=pod["uid"].replace("_", "-"), container_id=container)
    return None
