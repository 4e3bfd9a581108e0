"""SIGKILL to the server in the middle of its work; what the next mount finds. Called as uid 0 of a namespace."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from storage.trees.tree import remove_tree
from tests.filesystem.calls import errno_name
from tests.filesystem.stands import Layers, kill_server, stand_named, unmount

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = 48 << 20
_FILES = 400


class Crash(NamedTuple):
    """What was found: an errno for access to the dead mount, what came back, and what lay about afterwards."""

    dead: str
    found: str
    left_in_work: list[str]
    #: how far the work had gone when the server was killed: bytes or entries
    progress: int


class _Mount:
    def __init__(self, place: str) -> None:
        self.stand = stand_named("sandbox-overlay")
        self.layers = Layers((f"{place}/lower",), f"{place}/upper", f"{place}/work")
        self.target = f"{place}/merged"
        for directory in (f"{place}/lower", f"{place}/upper", f"{place}/work", self.target):
            os.makedirs(directory, exist_ok=True)
        self.server = 0

    def start(self) -> None:
        self.server = self.stand.mount(self.layers, self.target)

    def stop(self) -> None:
        unmount(self.target, self.server)

    def kill_when(self, act: Callable[[str], object], progress: Callable[[], int], enough: int) -> tuple[int, str]:
        """Have another process `act`, kill the server when `progress` is `enough` or the act is over."""
        pid = os.fork()
        if pid == 0:
            code = 0
            try:
                act(self.target)
            except OSError as error:
                code = error.errno or 1
            os._exit(code)
        actor = os.pidfd_open(pid)
        try:
            seen = 0
            while seen < enough and os.waitid(os.P_PIDFD, actor, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                seen = progress()
            kill_server(self.server)
            _, status = os.waitpid(pid, 0)
        finally:
            os.close(actor)
        try:
            # attributes that the kernel keeps it still tells; an open file is the server's
            os.close(os.open(self.target, os.O_RDONLY | os.O_DIRECTORY))
            dead = f"ok, and the actor had {errno.errorcode.get(os.waitstatus_to_exitcode(status), 'ok')}"
        except OSError as error:
            dead = errno_name(error)
        self.stop()
        return seen, dead


def _files_below(directory: str) -> list[str]:
    return sorted(name for _, _, names in os.walk(directory) for name in names)


def copy_up_crash(place: str, seed: int) -> Crash:
    """Killed while a file of 48 MB is copied up for a write: the file is the old one, or the new one, whole."""
    dice = random.Random(seed)
    mount = _Mount(place)
    block = dice.randbytes(1 << 20)
    with open(f"{mount.layers.lowers[0]}/f", "wb") as file:
        for _ in range(_SIZE >> 20):
            file.write(block)
    os.chmod(f"{mount.layers.lowers[0]}/f", 0o4711)
    mount.start()
    try:

        def write(target: str) -> None:
            fd = os.open(f"{target}/f", os.O_WRONLY)
            os.pwrite(fd, b"NEW", 0)
            os.fsync(fd)

        enough = dice.randint(1, _SIZE + (4 << 20))
        seen, dead = mount.kill_when(write, lambda: _bytes_below(mount.layers.work), enough)
        upper = [name for name in _files_below(mount.layers.upper) if name == "f"]
        mount.start()
        content = Path(f"{mount.target}/f").read_bytes()
        status = os.stat(f"{mount.target}/f")
        if content[3:] != (block * (_SIZE >> 20))[3:] or content[:3] not in (b"NEW", block[:3]):
            found = f"neither old nor new: {len(content)} bytes, {content[:3]!r}, in the upper directory: {upper}"
        elif not upper and content[:3] == b"NEW":
            found = "new without a copy"
        else:
            found = "new" if content[:3] == b"NEW" else "old"
        if status.st_mode & 0o777 != 0o711 or status.st_nlink != 1:
            found = f"mode {status.st_mode:o}, {status.st_nlink} links"
    finally:
        mount.stop()
    left = _files_below(mount.layers.work)
    _clear(place)
    return Crash(dead, found, left, seen)


def _bytes_below(directory: str) -> int:
    total = 0
    for above, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(f"{above}/{name}").st_size
            except FileNotFoundError:
                continue
    return total


def rename_crash(place: str, seed: int) -> Crash:
    """Killed while a directory of a lower layer is renamed: it has one name, and everything is in it."""
    dice = random.Random(seed)
    mount = _Mount(place)
    os.mkdir(f"{mount.layers.lowers[0]}/d")
    names = [f"d/file-{number:03d}" for number in range(_FILES)]
    for name in names:
        with open(f"{mount.layers.lowers[0]}/{name}", "w") as file:
            file.write(name)
    mount.start()
    try:
        enough = dice.randint(1, _FILES + _FILES // 4)
        seen, dead = mount.kill_when(
            lambda target: os.rename(f"{target}/d", f"{target}/n"),
            lambda: len(_files_below(mount.layers.upper)),
            enough,
        )
        mount.start()
        there = [name for name in ("d", "n") if os.path.isdir(f"{mount.target}/{name}")]
        found = ",".join(there)
        if len(there) == 1:
            for name in names:
                with open(f"{mount.target}/{there[0]}{name[1:]}") as file:
                    if file.read() != name:
                        found = f"{name} has other data"
            count = len(os.listdir(f"{mount.target}/{there[0]}"))
            if count != _FILES:
                found = f"{count} files"
    finally:
        mount.stop()
    left = _files_below(mount.layers.work)
    _clear(place)
    return Crash(dead, found, left, seen)


def fsync_crash(place: str, seed: int) -> Crash:
    """Records, each followed by fsync, to a new file, one of a lower layer, and a renamed one: none may be lost."""
    dice = random.Random(seed)
    mount = _Mount(place)
    with open(f"{mount.layers.lowers[0]}/f", "wb") as file:
        file.write(b"below\n")
    mount.start()
    acknowledged = os.memfd_create("acknowledged")
    try:

        def write(target: str) -> None:
            fds = [os.open(f"{target}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in ("f", "new")]
            for number in range(1, 10_000):
                for fd in fds:
                    os.write(fd, b"%06d\n" % number)
                    os.fsync(fd)
                fd = os.open(f"{target}/aside", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                os.write(fd, b"%06d\n" % number)
                os.fsync(fd)
                os.close(fd)
                os.rename(f"{target}/aside", f"{target}/renamed")
                os.pwrite(acknowledged, b"%06d" % number, 0)

        enough = dice.randint(1, 60)
        seen, dead = mount.kill_when(write, lambda: int(os.pread(acknowledged, 6, 0) or b"0"), enough)
        last = int(os.pread(acknowledged, 6, 0))
        mount.start()
        found = "all"
        for name, prefix in (("f", b"below\n"), ("new", b"")):
            expected = prefix + b"".join(b"%06d\n" % number for number in range(1, last + 1))
            content = Path(f"{mount.target}/{name}").read_bytes()
            if not content.startswith(expected):
                found = f"{name}: {len(content)} of {len(expected)} bytes"
        content = Path(f"{mount.target}/renamed").read_bytes()
        if content not in (b"%06d\n" % last, b"%06d\n" % (last + 1)):
            found = f"renamed: {content!r} after {last}"
    finally:
        os.close(acknowledged)
        mount.stop()
    left = _files_below(mount.layers.work)
    _clear(place)
    return Crash(dead, found, left, seen)


def _clear(place: str) -> None:
    for name in os.listdir(place):
        remove_tree(f"{place}/{name}")
