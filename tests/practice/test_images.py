"""Image archives: the same content makes the same bytes, and other content other names."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from practice import imagefile, images
from practice.imagefile import Recipe


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o755)
    return path


def recipe(program: Path) -> Recipe:
    return Recipe(
        names=["x:1"],
        files={"/usr/bin/program": program, "/etc/text": program.with_name("text")},
        links={"/bin/sh": "program"},
        entrypoint=["/usr/bin/program"],
    )


def test_times_and_owners_of_the_machine_do_not_show(program: Path) -> None:
    program.with_name("text").write_text("text")
    first = imagefile.build(recipe(program))
    os.utime(program, (1, 1))
    program.with_name("text").touch()
    assert imagefile.build(recipe(program)) == first


def test_the_layer_holds_what_the_recipe_says(program: Path) -> None:
    text = program.with_name("text")
    text.write_text("text")
    text.chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(imagefile.build(recipe(program)).layer)) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
    assert entries["tmp"].mode == 0o1777
    assert entries["usr/bin"].isdir()
    assert entries["usr/bin/program"].mode == 0o755
    assert entries["etc/text"].mode == 0o644  # or a process that is not root could not read it
    assert entries["bin/sh"].linkname == "program"
    assert {(e.uid, e.gid, e.mtime) for e in entries.values()} == {(0, 0, 0)}


def test_the_archive_names_what_it_holds(program: Path, tmp_path: Path) -> None:
    program.with_name("text").write_text("text")
    image = imagefile.build(recipe(program))
    path = tmp_path / "images" / "x.tar"
    imagefile.write_archive(image, ["x:1", "y:1"], path)
    with tarfile.open(path) as tar:
        [manifest] = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest["Config"]))  # type: ignore[arg-type]
    assert manifest["RepoTags"] == ["x:1", "y:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{image.layer_digest}"]
    assert not list(path.parent.glob("*.new"))


def test_a_changed_guard_has_another_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_dirs: Path
) -> None:
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "guard").mkdir()
    source = tmp_path / "guard" / "__init__.py"
    source.write_text("")
    before = images.guard_tag()
    (tmp_path / "guard" / "__pycache__").mkdir()
    (tmp_path / "guard" / "__pycache__" / "x.pyc").write_text("compiled")
    assert images.guard_tag() == before
    source.write_text("changed = True")
    assert images.guard_tag() != before
    assert images.guard_tag().startswith("1.2.3-")
