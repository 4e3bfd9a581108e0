"""Mounts FUSE by mount(2), so that no set-uid helper and none of its restrictions is in the way."""

from __future__ import annotations

import errno
import os
import stat

from storage.errors import StorageError
from storage.named_tuple import NamedTuple
from storage.syscalls import mount

DEVICE = "/dev/fuse"


class FuseOptions(NamedTuple):
    """How it is mounted. `filesystem` and `source` are what /proc/self/mountinfo shows; `flags` are mount(2)'s;
    `root_mode` is the type of the root as stat(2) gives it, for a mount may be of a file.
    """

    filesystem: str
    source: str
    flags: int = 0
    root_mode: int = stat.S_IFDIR


def open_device() -> int:
    """A descriptor for one mount. OSError, which `device_error` explains."""
    return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)


def mount_device(device_fd: int, target: str, options: FuseOptions) -> None:
    """Mount at `target` what is served with `device_fd`, opened in the user namespace that owns the mount. The mount is
    there at once, and answers when it is served. OSError where the kernel refuses.
    """
    owner = f"user_id={os.getuid()},group_id={os.getgid()}"
    # whether a user may do something is the kernel's to decide, by owner and mode, for every user of the namespace
    data = f"fd={device_fd},rootmode={options.root_mode:o},{owner},allow_other,default_permissions"
    mount(options.source, target, options.filesystem, options.flags, data)


def mount_fuse(target: str, options: FuseOptions) -> int:
    """Open and mount; the descriptor to serve it with, as "/dev/fd/N". OSError where either is refused."""
    device_fd = open_device()
    try:
        mount_device(device_fd, target, options)
    except BaseException:
        os.close(device_fd)
        raise
    return device_fd


def device_error(error: OSError, proc: str = "/proc") -> StorageError:
    """What it means that /dev/fuse cannot be opened: whether the node is missing, the module behind it, or the leave.

    `proc` is procfs, or a stand-in of tests.
    """
    has_driver = _has_driver(f"{proc}/misc")
    if error.errno == errno.ENOENT and has_driver:
        return StorageError(
            f"there is no {DEVICE}",
            cause="the kernel has FUSE, but the device node was not made",
            mend=f"sudo mknod -m 0666 {DEVICE} c 10 229; in a container: start it with --device {DEVICE}",
        )
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        message = f"there is no {DEVICE}" if error.errno == errno.ENOENT else f"{DEVICE} cannot be opened"
        return StorageError(message, cause="the kernel module fuse is not loaded", mend="sudo modprobe fuse")
    cause = os.strerror(error.errno or 0)
    if error.errno == errno.EPERM:
        return StorageError(
            f"{DEVICE} cannot be opened",
            cause=f"{cause}: the container around us was not given the device",
            mend=f"start that container with --device {DEVICE}",
        )
    return StorageError(f"{DEVICE} cannot be opened", cause=cause, mend=f"sudo chmod 0666 {DEVICE}")


def _has_driver(misc: str) -> bool:
    """Whether the kernel knows the device of number 10:229; proc(5): /proc/misc has a row for each driver there is."""
    try:
        with open(misc) as file:
            return any(row.split()[1:] == ["fuse"] for row in file)
    except OSError:
        return False
