"""`RUN --mount=type=cache`: directories in the store, which outlive builds until `builder prune`.

    DATA/build-mounts/<digest of the id>        the directory; its record is in the database (build_mount)
    DATA/build-mounts/<digest of the id>.lock   flock: shared by `sharing=shared`, alone for `locked`

`private` takes the first of <digest>, <digest>-1, … that nobody uses. A step takes the locks of all its caches in one
order, whatever the order of its flags: two steps never wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import posixpath
from itertools import count
from typing import TYPE_CHECKING

from sandbox.runtime.spec import BindMount
from storage.locks import unlock
from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from sandbox.builder.cache.step_cache import StepCache
    from sandbox.dockerfile.mounts import Mount

    #: gives a new tree with the first content of a cache, to be renamed
    FirstContent = Callable[[Mount], str]


class CacheMounts:
    """The caches of a build's RUNs; `directory` is where all of them lie."""

    def __init__(self, cache: StepCache, directory: str) -> None:
        self._cache = cache
        self._directory = directory

    def lock(self, mounts: Sequence[Mount], directory: str, stack: ExitStack) -> dict[str, str]:
        """Take what a step needs, as long as `stack` is open; waits for others. The name of the directory by each
        cache's key (`name_of`).
        """
        kinds: dict[str, str] = {}
        for mount in mounts:
            if mount.type == "cache":
                name = name_of(mount, directory)
                # twice in one step is once, by the stricter of both
                kinds[name] = max(kinds.get(name, ""), mount.sharing or "shared", key=_STRICTNESS.index)
        if kinds:
            make_private_directory(self._directory)
        return {name: self._lock_one(name, kinds[name], stack) for name in sorted(kinds)}

    def mount(self, wanted: Mount, target: str, name: str, first_content: FirstContent) -> BindMount:
        """The mount of the directory `name`, which is made where it is missing."""
        place = f"{self._directory}/{name}"
        if not os.path.isdir(place):
            self._make(wanted, place, first_content)
        self._cache.note_mount(name, wanted.id or target)
        return BindMount(place, target, wanted.readonly)

    def _lock_one(self, name: str, kind: str, stack: ExitStack) -> str:
        if kind != "private":
            fd = self._open_lock(name)
            stack.callback(unlock, fd)
            fcntl.flock(fd, fcntl.LOCK_EX if kind == "locked" else fcntl.LOCK_SH)
            return name
        for number in count():
            mine = f"{name}-{number}" if number else name
            fd = self._open_lock(mine)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
            else:
                stack.callback(unlock, fd)
                return mine
        raise AssertionError("numbers do not end")

    def _open_lock(self, name: str) -> int:
        # removed only by `builder prune`, while no build is at work
        return os.open(f"{self._directory}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _make(self, wanted: Mount, place: str, first_content: FirstContent) -> None:
        made = first_content(wanted)
        os.chmod(made, 0o755 if wanted.mode is None else wanted.mode & 0o7777)
        os.chown(made, wanted.uid or 0, wanted.gid or 0)
        try:
            # not over one that another step, which shares it, made meanwhile and has filled
            os.rename(made, place)
        except OSError:
            if not os.path.isdir(place):
                raise


_STRICTNESS = ("", "shared", "private", "locked")


def name_of(mount: Mount, directory: str) -> str:
    """The name of a cache's directory. One id with another owner, mode or first content is another cache, as in
    BuildKit. Hashed: an id is no path (CVE-2024-9675).
    """
    target = posixpath.join("/", directory, mount.target)
    apart = (mount.id or target, mount.uid, mount.gid, mount.mode, mount.source_name, mount.source)
    return hashlib.sha256(repr(apart).encode(errors="surrogateescape")).hexdigest()
