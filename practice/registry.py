"""Pushing an image to the range's registry, over plain HTTP, as its protocol asks."""

from __future__ import annotations

import http.client
import json

from practice.imagefile import Image
from practice.system import RangeError

OCI = "application/vnd.oci.image."


def push(image: Image, host: str, port: int, name: str, tag: str) -> None:
    """Push one image as `name:tag`. Raises RangeError with the registry's own words."""
    layer = _push_blob(host, port, name, image.layer, image.layer_digest)
    config = _push_blob(host, port, name, image.config, image.config_digest)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}manifest.v1+json",
        "config": config | {"mediaType": f"{OCI}config.v1+json"},
        "layers": [layer | {"mediaType": f"{OCI}layer.v1.tar"}],
    }
    headers = {"Content-Type": f"{OCI}manifest.v1+json"}
    _call(host, port, "PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), headers)


def has(host: str, port: int, name: str, tag: str) -> bool:
    """Whether the registry answers and has that tag."""
    link = http.client.HTTPConnection(host, port, timeout=5)
    try:
        link.request(
            "HEAD", f"/v2/{name}/manifests/{tag}", headers={"Accept": f"{OCI}manifest.v1+json"}
        )
        return link.getresponse().status == 200
    except OSError:
        return False
    finally:
        link.close()


def _push_blob(host: str, port: int, name: str, data: bytes, digest: str) -> dict[str, object]:
    started = _call(host, port, "POST", f"/v2/{name}/blobs/uploads/", b"", {})
    place = started.removeprefix(f"http://{host}:{port}")
    joint = "&" if "?" in place else "?"
    headers = {"Content-Type": "application/octet-stream"}
    _call(host, port, "PUT", f"{place}{joint}digest=sha256:{digest}", data, headers)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _call(host: str, port: int, verb: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    """One request; returns the Location that the registry answers with."""
    link = http.client.HTTPConnection(host, port, timeout=30)
    try:
        link.request(verb, path, body, headers)
        answer = link.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as error:
        raise RangeError(f"the registry at {host}:{port} does not answer: {error}") from error
    finally:
        link.close()
    if answer.status not in (201, 202):
        raise RangeError(f"the registry refused {verb} {path}: {answer.status} {text.strip()}")
    return answer.headers.get("Location", "")
