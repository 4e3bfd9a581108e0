"""The file systems that are held beside each other: each mounts the same layers, and each is called the same way.

Everything here runs as uid 0 of a mapped user namespace with a mount namespace of its own (tests.storage.namespace).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storage.overlay.kernel import mount_overlay
from storage.syscalls import MNT_DETACH, MS_BIND, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Sequence


class Layers(NamedTuple):
    """Lower directories, topmost first, and the writable ones."""

    lowers: tuple[str, ...]
    upper: str
    work: str


class StandError(Exception):
    """A file system that would not mount, with what it said."""


class Stand(Protocol):
    """One file system. `mount` returns the pid of its server, 0 where the kernel serves it."""

    name: str

    def mount(self, layers: Layers, target: str) -> int: ...


class PlainStand:
    """The directory itself, which is the truth about POSIX: `layers.upper` must hold the whole tree."""

    name = "plain"

    def mount(self, layers: Layers, target: str) -> int:
        mount(layers.upper, target, None, MS_BIND, None)
        return 0


class KernelStand:
    """The kernel's overlayfs with `userxattr`."""

    name = "kernel"

    def mount(self, layers: Layers, target: str) -> int:
        mount_overlay(layers.lowers, layers.upper, layers.work, target)
        return 0


class FuseStand:
    """A program with fuse-overlayfs's command line."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name, self._words = name, tuple(words)

    def mount(self, layers: Layers, target: str) -> int:
        options = f"lowerdir={':'.join(layers.lowers)},upperdir={layers.upper},workdir={layers.work}"
        # descriptors of its own: a server keeps them, and a pipe would never end
        with open(f"{layers.work}.log", "w+b") as log:
            done = subprocess.run(
                [*self._words, "-o", options, target], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
            log.seek(0)
            if done.returncode != 0:
                raise StandError(f"{self.name}: {done.returncode}: {log.read().decode(errors='replace').strip()}")
        return server_of(target)


def sandbox_overlay_words() -> list[str]:
    """How `sandbox-overlay` is called here, or [] where it is not installed."""
    program = os.environ.get("SANDBOX_OVERLAY_COMMAND") or shutil.which(
        "sandbox-overlay", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    )
    return [program] if program else []


def stand_named(name: str) -> Stand:
    """`plain`, `kernel`, `fuse-overlayfs` or `sandbox-overlay`."""
    match name:
        case "plain":
            return PlainStand()
        case "kernel":
            return KernelStand()
        case "fuse-overlayfs":
            return FuseStand(name, [name])
        case "sandbox-overlay":
            return FuseStand(name, sandbox_overlay_words() or [name])
    raise KeyError(name)


def server_of(target: str) -> int:
    """The pid of the process that serves the mount at `target`, known by its command line. StandError without one."""
    word = os.fsencode(target)
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if word in words and any(part.startswith(b"lowerdir=") for part in words):
                return int(name)
    raise StandError(f"nobody serves {target}")


def unmount(target: str, server: int) -> None:
    """Take the mount down, and wait for its server to have ended."""
    waiter = _watch(server)
    try:
        with suppress(OSError):
            umount2(target, MNT_DETACH)
        _wait_end(waiter, server)
    finally:
        if waiter is not None:
            os.close(waiter)


def kill_server(server: int) -> None:
    """SIGKILL, and wait until it is gone; the dead mount stays."""
    waiter = _watch(server)
    if waiter is None:
        return
    try:
        os.kill(server, signal.SIGKILL)
        _wait_end(waiter, server)
    finally:
        os.close(waiter)


def _watch(server: int) -> int | None:
    if not server:
        return None
    try:
        return os.pidfd_open(server)
    except ProcessLookupError:
        return None


def _wait_end(waiter: int | None, server: int) -> None:
    if waiter is None:
        return
    import select

    poll = select.poll()
    poll.register(waiter, select.POLLIN)
    if not poll.poll(20_000):
        # a file that is still open keeps the server, and the server keeps the mount namespace
        os.kill(server, signal.SIGKILL)
        poll.poll()
