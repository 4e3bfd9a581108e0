"""Mounts FUSE by mount(2), so that no set-uid helper and none of its restrictions is in the way."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from storage.errors import StorageError
from storage.syscalls import mount

DEVICE = "/dev/fuse"


class FuseOptions(NamedTuple):
    """How it is mounted. `filesystem` and `source` are what /proc/self/mountinfo shows; `flags` are mount(2)'s;
    `root_mode` is the type of the root, for a mount may be of a file.
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


def device_error(error: OSError) -> StorageError:
    """What it means that /dev/fuse cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return StorageError(f"there is no {DEVICE}", cause="the kernel module is not loaded", mend="sudo modprobe fuse")
    cause = os.strerror(error.errno or 0)
    return StorageError(f"{DEVICE} cannot be opened", cause=cause, mend=f"sudo chmod 0666 {DEVICE}")
