"""Putting the guard on a node, and taking it off again. Runs on the node, in a short-lived pod.

The key is made here and never leaves. The static-pod manifest comes last and in one step: the
kubelet runs whatever lies in its directory the moment it appears.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

from guard.disk import NodeDisk, sync_directory, write_file
from guard.journal import Journal
from guard.policy import Paths, PolicyError, load_policy, policy_json
from guard.protocol import STAGE_QA, Phase, Policy
from guard.static_pod import FILE_NAME, manifest_text

KEY_DAYS = 36500
_OPENSSL_CONFIG = """\
[req]
distinguished_name = name
x509_extensions = guard
prompt = no
[name]
CN = belay-guard
[guard]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
"""


class InstallError(Exception):
    """The guard was not installed or removed; the text says why and what to do."""


def install(paths: Paths, policy: Policy, image: str, *, fresh_key: bool = False) -> str:
    """Install or update the guard of this node; returns its certificate (PEM).

    Its journal and tombstones stay, and so does its key unless `fresh_key` asks for another or
    the one that lies there is no use.

    Raises `InstallError` when another Belay's guard is here, an order is live, or the stage is
    not QA; nothing was changed then.
    """
    if policy.stage != STAGE_QA:
        raise InstallError(f"stage {policy.stage!r}: a guard is installed on {STAGE_QA!r} only")
    _refuse_other_installation(paths, policy.installation)
    _refuse_live_order(paths)
    if not paths.manifests.is_dir():
        raise InstallError(
            f"{paths.manifests} is not there: this node runs no static pods from files"
        )
    paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.state.chmod(0o700)
    if fresh_key or not _has_key(paths):
        make_key(paths)
    disk = NodeDisk()
    disk.replace(paths.policy, policy_json(policy).encode())
    aside = paths.kubernetes / f".{FILE_NAME}.new"
    write_file(aside, manifest_text(policy, image).encode())
    aside.replace(paths.manifests / FILE_NAME)
    sync_directory(paths.manifests)
    return paths.certificate.read_text(encoding="ascii")


def uninstall(paths: Paths, installation: str) -> None:
    """Remove the guard, its key and its memory.

    Raises `InstallError` while an order is live, or may be; nothing was removed then.
    """
    _refuse_other_installation(paths, installation)
    _refuse_live_order(paths, in_doubt=True)
    (paths.manifests / FILE_NAME).unlink(missing_ok=True)
    if paths.manifests.is_dir():
        sync_directory(paths.manifests)
    if paths.stash.is_dir():
        paths.stash.rmdir()
    if paths.state.is_dir():
        for entry in paths.state.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _has_key(paths: Paths) -> bool:
    """Do key and certificate lie there and belong together?"""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths.certificate, paths.key)
    except (OSError, ssl.SSLError):
        # Missing, or a power cut fell between the two: a new pair is pinned anew.
        return False
    return True


def make_key(paths: Paths) -> None:
    """A P-256 key and a certificate of its own that Belay pins; both 0600."""
    with tempfile.TemporaryDirectory(dir=paths.state, prefix=".key-") as folder:
        config, key, certificate = (Path(folder) / name for name in ("c.cnf", "k.pem", "c.pem"))
        config.write_text(_OPENSSL_CONFIG, encoding="ascii")
        previous = os.umask(0o077)
        try:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(KEY_DAYS),
                 "-config", str(config), "-keyout", str(key), "-out", str(certificate)],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise InstallError("openssl is not in this image; the key cannot be made") from error
        except subprocess.CalledProcessError as error:
            raise InstallError(f"openssl made no key: {error.stderr.decode()[-300:]}") from error
        finally:
            os.umask(previous)
        for made, place in ((key, paths.key), (certificate, paths.certificate)):
            made.chmod(0o600)
            made.replace(place)
    sync_directory(paths.state)


def _refuse_other_installation(paths: Paths, installation: str) -> None:
    if not paths.policy.exists():
        return
    try:
        found = load_policy(paths.policy)
    except PolicyError:
        # Unreadable: nobody can serve with it, so there is nobody to refuse for.
        return
    if found.installation != installation:
        raise InstallError(
            f"this node has a guard of another Belay ({found.installation}); that one must"
            " uninstall it first, or remove it on the node with `python3 -m guard uninstall`"
        )


def _refuse_live_order(paths: Paths, *, in_doubt: bool = False) -> None:
    """By what every version of a guard writes: an older one must not drop a newer one's order.

    `in_doubt`: refuse, too, where it cannot be told, and where the stash still holds something:
    only a guard that starts puts that back.
    """
    try:
        found = Journal(NodeDisk(), paths.state).named_order()
    except (OSError, ValueError) as error:
        if not in_doubt:
            return  # the guard that is installed now puts back what it finds
        raise InstallError(
            f"{paths.state}/order.json cannot be read ({error}): whether an order is live is not"
            " known. Start the guard again, which puts back what it finds; look at the node; then"
            " remove that file"
        ) from error
    if found is not None and found[1] != Phase.UNDONE:
        raise InstallError(
            f"order {found[0]} is {found[1]} on this node; undo it first (in Belay, or with"
            " `python3 -m guard undo-all` on the node)"
        )
    if in_doubt and paths.stash.is_dir() and any(paths.stash.iterdir()):
        raise InstallError(
            f"{paths.stash}, the stash, is not empty: start the guard again, which puts back what"
            " it finds, and look at what is left in it"
        )


def said(marker: str, **facts: str) -> str:
    """The line that Belay looks for in the pod's log."""
    return marker + json.dumps(facts)
