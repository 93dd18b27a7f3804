"""What the scripts before everything else say when they cannot do their work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PYTHON = """\
#!/bin/sh
# Makes an environment whose pip fails as the test wishes.
case "$1 $2" in
"-m venv")
    mkdir -p .venv/bin
    printf '%s\\n' '#!/bin/sh' '[ "$1" = -c ] && exit 0' 'echo "ERROR: $PIP_SAYS"' \\
        '[ -z "$PIP_SAYS" ]' >.venv/bin/python
    chmod +x .venv/bin/python
    ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as `venv.sh` needs, with a Python that installs nothing."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / lock).write_text("one==1 --hash=sha256:0\ntwo==2 --hash=sha256:0\n")
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def make_venv(checkout: Path, pip_says: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/venv.sh", "run"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "PYTHON": str(checkout / "python"), "PIP_SAYS": pip_says},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def test_what_is_installed_is_not_installed_again(checkout: Path) -> None:
    first = make_venv(checkout)
    assert first.returncode == 0, first.stderr
    assert "installing the 2 locked Python packages" in first.stdout
    assert make_venv(checkout).stdout == ""


def test_a_log_that_cannot_be_written_is_the_reason(checkout: Path) -> None:
    """A folder in its place stands for one of another user: root may write everywhere."""
    (checkout / "build/venv.log").mkdir(parents=True)
    said = make_venv(checkout)
    assert said.returncode == 1
    assert "build/venv.log cannot be written by" in said.stderr
    assert "network" not in said.stderr


@pytest.mark.parametrize(
    ("pip_says", "reason"),
    [
        ("[Errno 13] Permission denied: '/x/.venv/lib'", "may not write there"),
        ("[Errno 28] No space left on device", "the disk is full"),
        ("Could not find a version that satisfies one==1", "is there a network?"),
    ],
)
def test_the_reason_is_what_the_log_says(checkout: Path, pip_says: str, reason: str) -> None:
    (checkout / "build").mkdir()
    (checkout / "build/venv.log").write_text("ERROR: something of last week\n")
    said = make_venv(checkout, pip_says)
    assert said.returncode == 1
    assert reason in said.stderr
    assert pip_says in said.stderr
    assert "last week" not in said.stderr
