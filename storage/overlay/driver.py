"""What every driver offers. Called as uid 0 of a mapped user namespace, in a mount namespace of the caller's own."""

from __future__ import annotations

import os
from contextlib import suppress

from storage.errors import StorageError
from storage.named_tuple import NamedTuple
from storage.syscalls import MNT_DETACH, umount2
from storage.waits import child_steps
from storage.whiteouts import is_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from storage.true_owners import TrueOwners
    from storage.waits import Steps
else:
    Protocol = object


class RootOptions(NamedTuple):
    """What only some drivers can do for a root file system; the others refuse it."""

    #: the most that may be written to it; 0 is no limit
    quota_bytes: int = 0
    #: a file that records what is read of the layers; "" is none
    trace_path: str = ""


class RootMount:
    """A mounted root file system. `pid` serves it, and `pidfd` is readable when that has ended; 0 and -1 where none
    does.
    """

    pid = 0
    pidfd = -1

    def __init__(self, target: str) -> None:
        self.target = target

    def wait_ready(self) -> None:
        """Wait until it can be looked into. Raises StorageError where that will never be."""

    def ready_steps(self) -> Steps[None]:
        """`wait_ready`, for who does something else meanwhile (`storage.waits`)."""
        yield from ()

    def failure(self) -> str:
        """Why it is gone, or "" while it is there."""
        return ""

    def kill(self) -> None:
        """End what serves it: whoever waits for it, and it for us, gets an error."""

    def unmount(self) -> str:
        """Unmount. "" where all that was written lies in the upper directory then, else why it may not. Twice is safe:
        the second time says nothing.
        """
        if self.target:
            target, self.target = self.target, ""
            umount2(target, MNT_DETACH)
        return ""

    def unmount_steps(self, *, discarded: bool = False) -> Steps[str]:
        """`unmount`, for who does something else meanwhile; nothing happens where it was unmounted by others.

        `discarded` promises that the upper directory is removed next, and that this process ends soon.
        """
        if self.target:
            target, self.target = self.target, ""
            if discarded:
                # open until this process ends, so that nothing is written back before: what is unmounted is a name
                os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                umount2(target, MNT_DETACH)
            else:
                yield from unmount_aside(target)
        return ""


def unmount_aside(target: str) -> Steps[None]:
    """Unmount in a child: the kernel may write back in there what is cached, and no signal ends that."""
    pid = os.fork()
    if pid == 0:
        with suppress(OSError):
            umount2(target, MNT_DETACH)
        os._exit(0)
    yield from child_steps(pid)


class Driver(Protocol):
    """Makes a writable root file system of read-only layers.

    `upper_dir` is the container's own storage directory: what the container changes lives below it and nowhere else.
    Every method raises StorageError.
    """

    name: str
    #: takes its time until it can be looked into: to be mounted before everything else
    starts_slowly: bool

    def preload(self) -> None:
        """Import what a mount needs. For a process that mounts many times, or whose children do: each mount is ready
        sooner then.
        """

    def prepare(self, upper_dir: str) -> None:
        """Make `upper_dir` ready; twice is safe."""

    def mount_root(
        self, layers: Sequence[str], upper_dir: str, target: str, options: RootOptions | None = None
    ) -> RootMount:
        """Mount the root file system at the directory `target`: `layers`, lowest first, under what `upper_dir` has.

        Again after a stop or a crash gives the same tree with the container's changes.
        """

    def true_owners(self, layers: Sequence[str], upper_dir: str) -> TrueOwners:
        """Whose the entries of such a tree are, where the file system cannot say."""

    def remove(self, upper_dir: str) -> None:
        """Remove all that `prepare` and `mount_root` made; nothing may be mounted from it. Missing is fine."""


def visible_layers(layers: Sequence[str]) -> Sequence[str]:
    """The layers from the topmost one whose root directory is opaque: overlayfs does not heed that mark on a root."""
    for index in range(len(layers) - 1, 0, -1):
        fd = os.open(layers[index], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if is_opaque(fd):
                return layers[index:]
        finally:
            os.close(fd)
    return layers


def refuse_options(name: str, options: RootOptions | None) -> None:
    """Raise StorageError for what driver `name` cannot do."""
    if options is not None and options != RootOptions():
        what = "limit the size of a root file system" if options.quota_bytes else "record what is read"
        raise StorageError(f"the storage driver {name} cannot {what}", mend="use --storage-driver fuse")
