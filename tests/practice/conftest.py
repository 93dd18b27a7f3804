"""Directories of their own for tests that need no range."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ranges and cache in a temporary directory, so that nothing of the machine is touched."""
    monkeypatch.setenv("BELAY_RANGES_DIR", str(tmp_path / "ranges"))
    monkeypatch.setenv("BELAY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path
