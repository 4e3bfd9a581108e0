"""What a stack of layers shows at a path, without mounting it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from storage.whiteouts import is_opaque, is_opaque_at, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerStack:
    """A directory as layers show it: `fds` are what each layer has of it, topmost first. `close` closes them."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds

    @classmethod
    def open(cls, trees: Sequence[str]) -> LayerStack:
        """The root directory of `trees`, lowest first."""
        fds: list[int] = []
        for tree in reversed(trees):
            fds.append(os.open(tree, _OPEN))
            if is_opaque(fds[-1]):
                break
        return cls(fds)

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def find(self, name: bytes) -> tuple[int, os.stat_result] | None:
        """The entry `name`: the directory of the layer that it is in, and its status; None where none is shown."""
        for fd in self._fds:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            return None if is_whiteout(fd, name, status) else (fd, status)
        return None

    def enter(self, name: bytes) -> LayerStack:
        """The directory `name`, of nothing where it is none."""
        fds: list[int] = []
        for fd in self._fds:
            try:
                fds.append(os.open(name, _OPEN, dir_fd=fd))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                break
            if is_opaque_at(fd, name):
                break
        return LayerStack(fds)

    def names(self) -> set[bytes]:
        """What is shown in the directory."""
        seen: set[bytes] = set()
        shown: set[bytes] = set()
        for fd in self._fds:
            for name in set(map(os.fsencode, os.listdir(fd))) - seen:
                seen.add(name)
                if not is_whiteout(fd, name, os.stat(name, dir_fd=fd, follow_symlinks=False)):
                    shown.add(name)
        return shown


def look_up(trees: Sequence[str], path: str) -> os.stat_result | None:
    """The status of what `trees`, lowest first, show at `path`, no link followed; None where nothing is there."""
    here = LayerStack.open(trees)
    *above, name = os.fsencode(path).split(b"/")
    try:
        for part in above:
            inner = here.enter(part)
            here.close()
            here = inner
        found = here.find(name)
        return None if found is None else found[1]
    finally:
        here.close()
