"""Writes container image archives: one layer, the same bytes for the same content, no Docker."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from practice.system import run

IMAGE_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Recipe:
    """What goes into one image. `files` maps a path in the image to a file of this machine."""

    names: list[str]
    files: dict[str, Path]
    entrypoint: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """A finished image: its configuration and its only layer."""

    config: bytes
    layer: bytes

    @property
    def config_digest(self) -> str:
        return hashlib.sha256(self.config).hexdigest()

    @property
    def layer_digest(self) -> str:
        return hashlib.sha256(self.layer).hexdigest()


def build(recipe: Recipe) -> Image:
    """Make the image: sorted entries, no times, root's ownership, modes 0755 and 0644."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in _directories([*recipe.files, *recipe.links]):
            entry = _entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
            tar.addfile(entry)
        for name, source in sorted(recipe.files.items()):
            real = source.resolve(strict=True)
            executable = bool(real.stat().st_mode & 0o111)
            entry = _entry(name.lstrip("/"), tarfile.REGTYPE, 0o755 if executable else 0o644)
            entry.size = real.stat().st_size
            with real.open("rb") as data:
                tar.addfile(entry, data)
        for name, aim in sorted(recipe.links.items()):
            entry = _entry(name.lstrip("/"), tarfile.SYMTYPE, 0o777)
            entry.linkname = aim
            tar.addfile(entry)
    layer = buffer.getvalue()
    env = {"PATH": IMAGE_PATH} | recipe.env
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": recipe.entrypoint, "Env": [f"{k}={v}" for k, v in env.items()]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "belay practice range"}],
    }
    return Image(json.dumps(config, sort_keys=True).encode(), layer)


def write_archive(image: Image, names: Sequence[str], path: Path) -> None:
    """Write the image as an archive that `ctr images import` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    config_name, layer_name = f"{image.config_digest}.json", f"{image.layer_digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]}]
    with tarfile.open(draft, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in (
            (config_name, image.config),
            (layer_name, image.layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = _entry(name, tarfile.REGTYPE, 0o644)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    draft.rename(path)


def shared_libraries(*binaries: Path) -> dict[str, Path]:
    """The shared libraries that programs need, as image path → file, by asking ldd."""
    found: dict[str, Path] = {}
    for binary in binaries:
        for path in re.findall(r"(/\S+\.so\S*)", run(["ldd", str(binary)])):
            found[path] = Path(path)
    return found


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _directories(names: Sequence[str]) -> list[str]:
    wanted = {"tmp"}
    for name in names:
        wanted.update(str(p).lstrip("/") for p in PurePosixPath(name).parents)
    return sorted(wanted - {"", "."})
