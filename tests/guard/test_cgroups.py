"""Pods and containers are read from cgroup paths of both drivers, on both versions."""

from __future__ import annotations

import pytest

from guard.cgroups import place_of

UUID = "8f1c2d3e-1234-4abc-8def-0123456789ab"
STATIC = "0123456789abcdef0123456789abcdef"
BOX = "a" * 64
UNDERSCORED = UUID.replace("-", "_")


@pytest.mark.parametrize(
    ("cgroup", "pod", "container"),
    [
        (f"0::/kubepods/burstable/pod{UUID}/{BOX}", UUID, BOX),
        (f"5:cpu:/qa-1/kubepods/besteffort/pod{STATIC}/{BOX}\n0::/\n", STATIC, BOX),
        (f"2:pids:/\n3:cpu:/belay/dev/kubepods/pod{STATIC}/{BOX}", STATIC, BOX),
        (
            f"0::/kubepods.slice/b.slice/kubepods-b-pod{UNDERSCORED}.slice/cri-containerd-{BOX}.scope",
            UUID,
            BOX,
        ),
        (f"0::/kubepods.slice/kubepods-pod{STATIC}.slice/crio-{BOX}.scope", STATIC, BOX),
        (f"0::/../../pod{UUID}/{BOX}", UUID, BOX),
        (f"0::/kubepods/pod{STATIC}", STATIC, ""),
    ],
)
def test_a_pod_is_recognised(cgroup: str, pod: str, container: str) -> None:
    place = place_of(cgroup)
    assert place is not None
    assert (place.pod_uid, place.container_id) == (pod, container)
    assert place.static == (pod == STATIC)


@pytest.mark.parametrize(
    "cgroup",
    [
        "",
        "0::/init.scope",
        "0::/system.slice/etcd.service",
        f"0::/user.slice/pod{STATIC}/{BOX}",
        "4:cpu:/kubepods",
        f"0::/kubepods/tripod{STATIC}/{BOX}",
        f"0::/kubepods/burstable/podcast/{BOX}",
    ],
)
def test_what_is_no_pod_is_left_alone(cgroup: str) -> None:
    assert place_of(cgroup) is None
