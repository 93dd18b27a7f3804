"""The recipes of every image on the range, cached as archives that name their content."""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

from practice import versions
from practice.components import Built, Say, content_hash
from practice.imagefile import Image, Recipe, build, shared_libraries, write_archive
from practice.plan import cache_dir
from practice.system import REPOSITORY, RangeError, file_lock

KUBE_LOCAL = "/usr/local/bin"
GUARD_NAME = f"{versions.REPOSITORY}/belay-guard"
NOT_FOR_GUARD = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages",
    "dist-packages", "__pycache__", "pydoc_data", "distutils", "venv",
}  # fmt: skip


def archives_dir() -> Path:
    """Where the archives lie; every node sees it as /opt/images."""
    return cache_dir() / "images"


def system_recipes(built: Built) -> dict[str, Recipe]:
    """Images that are imported into every node and never pulled."""
    programs = built.programs
    nft, conntrack = Path("/usr/sbin/nft"), Path("/usr/sbin/conntrack")
    components = (
        "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy",
    )  # fmt: skip
    kube = Recipe(
        names=[f"{versions.REPOSITORY}/{name}:{versions.KUBERNETES}" for name in components]
        + [f"{versions.REPOSITORY}/etcd:{versions.ETCD_TAG}"],
        files={
            f"{KUBE_LOCAL}/kube": programs["kube"],
            "/usr/sbin/nft": nft,
            "/usr/sbin/conntrack": conntrack,
            "/bin/busybox": Path("/usr/bin/busybox"),
        }
        | shared_libraries(nft, conntrack),
        links={f"{KUBE_LOCAL}/{name}": "kube" for name in (*components, "etcd")}
        | {"/bin/sh": "busybox"},
    )
    return {
        "pause": _single(versions.PAUSE, "/pause", programs["pause"]),
        "kube": kube,
        "coredns": _single(
            f"{versions.REPOSITORY}/coredns:{versions.COREDNS}", "/coredns", programs["coredns"]
        ),
        "contour": _single(versions.CONTOUR_IMAGE, "/bin/contour", programs["contour"]),
        "envoy": _single(versions.ENVOY_IMAGE, f"{KUBE_LOCAL}/envoy", programs["envoy"]),
        "registry": _single(versions.REGISTRY_IMAGE, "/bin/registry", programs["registry"]),
    }


def shop_image(built: Built) -> Image:
    """The sample service, for pushing to the range's own registry."""
    return build(_single("shop", "/shop", built.programs["shop"]))


def _single(name: str, path: str, program: Path) -> Recipe:
    """An image of one program and the libraries it needs."""
    static = program.name in ("pause", "shop", "coredns", "contour", "registry")
    libraries = {} if static else shared_libraries(program)
    return Recipe(names=[name], files={path: program} | libraries, entrypoint=[path])


def archive(name: str, recipe: Recipe) -> Path:
    """The archive of a recipe, written when the cache has none of exactly this content."""
    path = archives_dir() / f"{name}-{_recipe_key(recipe)}.tar"
    if not path.exists():
        write_archive(build(recipe), recipe.names, path)
    return path


def _recipe_key(recipe: Recipe) -> str:
    words = [repr((recipe.names, recipe.entrypoint, sorted(recipe.links.items()), recipe.env))]
    for name, source in sorted(recipe.files.items()):
        real = source.resolve(strict=True)
        stat = real.stat()
        words.append(f"{name} {real} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def system_archives(built: Built, say: Say) -> list[str]:
    """File names of the archives of every system image, made when they are missing."""
    with file_lock(cache_dir() / ".lock"):
        names = []
        for name, recipe in system_recipes(built).items():
            if not (archives_dir() / f"{name}-{_recipe_key(recipe)}.tar").exists():
                say(f"writing the {name} image")
            names.append(archive(name, recipe).name)
        return names


def guard_tag() -> str:
    """The guard image's tag: the product's version and a hash of the guard's source."""
    with (REPOSITORY / "pyproject.toml").open("rb") as source:
        version = tomllib.load(source)["project"]["version"]
    return f"{version}-{content_hash(REPOSITORY / 'guard')[:12]}"


def guard_image_name() -> str:
    """The guard image's full name with its tag."""
    return f"{GUARD_NAME}:{guard_tag()}"


def guard_archive() -> Path:
    """The guard image: an interpreter, its standard library, nft, openssl, and the guard.

    A changed guard has another tag, so that nobody takes an old image for the new program.
    """
    source = REPOSITORY / "guard"
    if not (source / "__init__.py").exists():
        raise RangeError(f"there is no guard package at {source}: its image cannot be built")
    path = archives_dir() / f"guard-{guard_tag()}-{_python_key()}.tar"
    with file_lock(cache_dir() / ".lock"):
        if not path.exists():
            write_archive(build(_guard_recipe(source)), [guard_image_name()], path)
    return path


def _guard_recipe(source: Path) -> Recipe:
    interpreter = Path(sys.executable).resolve()
    nft, openssl = Path("/usr/sbin/nft"), Path("/usr/bin/openssl")
    files = {str(interpreter): interpreter, str(nft): nft, str(openssl): openssl}
    files["/etc/ssl/openssl.cnf"] = Path("/etc/ssl/openssl.cnf")
    stdlib = Path(sysconfig.get_path("stdlib"))
    tree = _compiled_stdlib(stdlib)
    modules = [path for path in tree.rglob("*") if path.is_file()]
    files |= {f"{stdlib}/{path.relative_to(tree)}": path for path in modules}
    extensions = [path for path in modules if path.suffix == ".so"]
    files |= shared_libraries(interpreter, nft, openssl, *extensions)
    files |= {
        f"/opt/belay/guard/{path.relative_to(source)}": path
        for path in source.rglob("*")
        if path.is_file() and not NOT_FOR_GUARD & set(path.relative_to(source).parts)
    }
    if f"{stdlib}/os.py" not in files:
        raise RangeError(f"{stdlib} has no os.py: this interpreter's standard library is not whole")
    return Recipe(
        names=[guard_image_name()],
        files=files,
        links={"/usr/bin/python3": str(interpreter)} if str(interpreter) != "/usr/bin/python3"
        else {},
        entrypoint=["/usr/bin/python3", "-m", "guard"],
        env={"PYTHONPATH": "/opt/belay", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONHOME": sys.base_prefix},
    )  # fmt: skip


def _python_key() -> str:
    real = Path(sys.executable).resolve()
    text = f"{real} {real.stat().st_size} {real.stat().st_mtime_ns} {sys.version}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _compiled_stdlib(stdlib: Path) -> Path:
    """A copy of the standard library with byte code that needs no checking of file times.

    Without it the guard would compile what it imports at every start of its container.
    """
    tree = cache_dir() / "python" / _python_key()
    if tree.exists():
        return tree
    draft = tree.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)

    def unwanted(_: str, names: list[str]) -> list[str]:
        return [n for n in names if n in NOT_FOR_GUARD or n.startswith("config-")]

    shutil.copytree(stdlib, draft, ignore=unwanted, ignore_dangling_symlinks=True)
    compileall.compile_dir(
        str(draft), quiet=2, stripdir=str(draft), prependdir=str(stdlib),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    draft.rename(tree)
    return tree
