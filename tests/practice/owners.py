"""A cluster's owner: the files that such a person has, and the commands to be typed."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from config.stack.layout import CHECKOUT
from practice.cluster import kubectl
from practice.plan import Plan
from tests.stack.running import clean_environment


def kubeconfig_with_a_login(admin: Path, folder: Path) -> Path:
    """The owner's kubeconfig as a company gives it out: a program is run for the credential."""
    config: dict[str, Any] = yaml.safe_load(admin.read_text(encoding="utf-8"))
    [user] = config["users"]
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": _plain(user["user"]["client-certificate-data"]),
            "clientKeyData": _plain(user["user"]["client-key-data"]),
        },
    }
    login = folder / "login"
    login.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    login.chmod(0o700)
    user["user"] = {
        "exec": {
            "apiVersion": credential["apiVersion"],
            "command": str(login),
            "interactiveMode": "Never",
        }
    }
    path = folder / "owner.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def _plain(data: str) -> str:
    return base64.b64decode(data).decode()


def belay(*words: str, folder: Path, typed: str = "") -> str:
    """`belay …` in a directory that is not the checkout's; what it printed."""
    done = subprocess.run(
        [str(CHECKOUT / "belay"), *words],
        cwd=folder, env=clean_environment(), input=typed, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"belay {shlex.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def take_back(plan: Plan, commands: list[str]) -> None:
    """Type the commands with which onboarding says that all of it can be taken back."""
    for command in commands:
        _kubectl, *words = command.split()
        kubectl(plan, words)


def taking_back_in(said: str) -> list[str]:
    """Those commands, as the owner reads them."""
    return [line.strip() for line in said.splitlines() if line.startswith("  kubectl delete ")]
