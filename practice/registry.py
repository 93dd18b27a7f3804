"""Pushing an image to the range's registry, over plain HTTP, as its protocol asks."""

from __future__ import annotations

import http.client
import json

from practice.imagefile import Image
from practice.system import RangeError

Place = tuple[str, int]
"""Address and port of a registry."""
OCI = "application/vnd.oci.image."


def push(image: Image, place: Place, name: str, tag: str) -> None:
    """Push one image as `name:tag`. Raises RangeError with the registry's own words."""
    layer = _push_blob(place, name, image.layer, image.layer_digest)
    config = _push_blob(place, name, image.config, image.config_digest)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}manifest.v1+json",
        "config": config | {"mediaType": f"{OCI}config.v1+json"},
        "layers": [layer | {"mediaType": f"{OCI}layer.v1.tar"}],
    }
    headers = {"Content-Type": f"{OCI}manifest.v1+json"}
    _call(place, "PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), headers)


def has(place: Place, name: str, tag: str) -> bool:
    """Whether the registry answers and has that tag."""
    link = http.client.HTTPConnection(*place, timeout=5)
    accept = {"Accept": f"{OCI}manifest.v1+json"}
    try:
        link.request("HEAD", f"/v2/{name}/manifests/{tag}", headers=accept)
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def _push_blob(place: Place, name: str, data: bytes, digest: str) -> dict[str, object]:
    started = _call(place, "POST", f"/v2/{name}/blobs/uploads/", b"", {})
    where = started.removeprefix(f"http://{place[0]}:{place[1]}")
    joint = "&" if "?" in where else "?"
    headers = {"Content-Type": "application/octet-stream"}
    _call(place, "PUT", f"{where}{joint}digest=sha256:{digest}", data, headers)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _call(place: Place, verb: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    """One request; returns the Location that the registry answers with."""
    link = http.client.HTTPConnection(*place, timeout=30)
    try:
        link.request(verb, path, body, headers)
        answer = link.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        who = f"{place[0]}:{place[1]}"
        raise RangeError(f"the registry at {who} does not answer: {error}") from error
    finally:
        link.close()
    if answer.status not in {201, 202}:
        raise RangeError(f"the registry refused {verb} {path}: {answer.status} {text.strip()}")
    return answer.headers.get("Location", "")
