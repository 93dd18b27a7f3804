"""One way to write what can be written in two: percentages and apostrophes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
OURS = ("core", "gamedays", "config", "practice", "migrator", "guard", "templates", "static/js")
_PERCENT_APART = re.compile(r"(?:\d|\}) %(?!\})[^\w(]")
"""`66 %` and `{share} %`, but neither a template's `%}` nor a remainder in code."""


def texts() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *OURS],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name.endswith((".py", ".html", ".js"))]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [(re.compile("\N{RIGHT SINGLE QUOTATION MARK}"), "'"), (_PERCENT_APART, "66%")],
)
def test_there_is_one_way_to_write_it(wrong: re.Pattern[str], instead: str) -> None:
    found = texts()
    assert len(found) > 200
    places = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in found
        for line in path.read_text().splitlines()
        if wrong.search(line)
    ]
    assert places == [], f"write {instead}"
