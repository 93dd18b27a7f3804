"""What an owner has and does before Belay knows a cluster."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import yaml

from core.onboarding.__main__ import main
from tests.rights_api import OWNER, RightsApi


def owners_kubeconfig(api: RightsApi, folder: Path, *, server: str = "") -> Path:
    """As a cloud's tool writes it: the token comes from a program of the owner's."""
    plugin = folder / "login"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": OWNER},
    }
    plugin.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    plugin.chmod(0o700)
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "interactiveMode": "Never",
    }
    ca = base64.b64encode(api.ca_pem.encode()).decode()
    path = folder / "owner.kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "owner",
                "contexts": [{"name": "owner", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": server or api.url,
                            "certificate-authority-data": ca,
                        },
                    }
                ],
                "users": [{"name": "u", "user": {"exec": run}}],
            }
        )
    )
    return path


def onboard(api: RightsApi, folder: Path, *words: str, name: str = "qa-two") -> Path:
    out = folder / "belay.kubeconfig"
    kubeconfig = owners_kubeconfig(api, folder)
    given = ["--kubeconfig", str(kubeconfig), "--out", str(out), "--yes", *words]
    assert main([name, *given]) == 0
    return out
