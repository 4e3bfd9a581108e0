"""The rows of the overlay benchmark: each a function of the mount point that returns after the work is done."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.overlay_trees import import_command

if TYPE_CHECKING:
    from collections.abc import Callable

_MEGABYTE = 1 << 20
_CREATED = 3000


class Scene(NamedTuple):
    """What the rows find: the mount point, the archive outside of it, and what is to be imported."""

    root: str
    archive: str
    modules: tuple[str, ...]


class Work(NamedTuple):
    """A row. `fresh` has the file system mounted anew before it."""

    title: str
    run: Callable[[Scene], None]
    fresh: bool = False


def _shell(command: str, root: str) -> None:
    subprocess.run(["sh", "-c", command], cwd=root, check=True, stdin=subprocess.DEVNULL)


def _walk(scene: Scene) -> None:
    subprocess.run(["find", scene.root, "-printf", "%s%T@\n"], stdout=subprocess.DEVNULL, check=True)


def _tar_listing(scene: Scene) -> None:
    _shell("tar -cf /dev/null usr", scene.root)


def _stat(scene: Scene) -> None:
    # the names come from the listing, so the time is that of lookups and attributes
    for directory, _directories, files in os.walk(f"{scene.root}/usr/share/part001"):
        for name in files:
            for _ in range(20):
                os.stat(f"{directory}/{name}")


def _create(scene: Scene) -> None:
    data = b"x" * 1000
    for number in range(_CREATED):
        if number % 100 == 0:
            os.mkdir(f"{scene.root}/new{number // 100}")
        fd = os.open(f"{scene.root}/new{number // 100}/f{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, data)
        os.close(fd)


def _remove(scene: Scene) -> None:
    for number in range(_CREATED // 100):
        shutil.rmtree(f"{scene.root}/new{number}")


def _untar(scene: Scene) -> None:
    _shell(f"tar -xf {scene.archive}", scene.root)


def _read_tree(scene: Scene) -> None:
    # GNU tar skips the data when it writes to /dev/null itself
    _shell("tar -cf - usr | cat >/dev/null", scene.root)


def _write(scene: Scene) -> None:
    block = os.urandom(_MEGABYTE)
    with open(f"{scene.root}/large", "wb", buffering=0) as file:
        for _ in range(256):
            file.write(block)


def _read(scene: Scene) -> None:
    with open(f"{scene.root}/large", "rb", buffering=0) as file:
        block = bytearray(_MEGABYTE)
        while file.readinto(block):
            pass


def _git(scene: Scene, *words: str) -> None:
    command = ["git", "-c", "core.fsmonitor=false", "-c", "safe.directory=*", "-C", f"{scene.root}/tree", *words]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True, env=env)


def prepare_git(scene: Scene) -> None:
    """Make the untarred tree a repository: what `git status` is asked about."""
    _git(scene, "init", "-q")
    _git(scene, "add", ".")
    _git(scene, "status", "--short")


def _git_status(scene: Scene) -> None:
    _git(scene, "status", "--short")


def _imports(scene: Scene) -> None:
    subprocess.run(import_command(scene.root, scene.modules), stdout=subprocess.DEVNULL, check=True)


ROWS: dict[str, Work] = {
    "walk-cold": Work("metadata walk of 10,000 files, cold", _walk, fresh=True),
    "walk-warm": Work("metadata walk, warm", _walk),
    "listing": Work("tree listing by tar", _tar_listing),
    "stat": Work("stat of 500 files, 20 times each", _stat),
    "read-tree": Work("read the whole tree", _read_tree),
    "imports": Work("Python start with 300 imports", _imports),
    "create": Work("create 3,000 small files", _create),
    "remove": Work("remove them", _remove),
    "untar": Work("untar 2,600 files of 58 MB", _untar),
    "git-status": Work("`git status` of them, warm", _git_status),
    "write": Work("sequential write of 256 MB", _write),
    "read": Work("sequential read of 256 MB", _read),
}
