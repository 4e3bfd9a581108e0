"""Mounts FUSE: by mount(2) where we may, so that no set-uid helper and none of its restrictions is in the way."""

from __future__ import annotations

import os
from typing import NamedTuple

from storage.syscalls import MS_NODEV, MS_NOSUID, MS_RDONLY, mount

FSTYPE = "fuse.sandbox-overlay"


class MountOptions(NamedTuple):
    """How the file system is mounted. `source` is shown in /proc/mounts."""

    source: str = "sandbox-overlay"
    read_only: bool = False
    suid: bool = True
    dev: bool = True
    allow_other: bool = True


def mount_fuse(target: str, options: MountOptions) -> int:
    """Mount at `target`; the descriptor of /dev/fuse to serve it with, as "/dev/fd/N". OSError where it is refused.

    The mount is there at once, and answers when it is served.
    """
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = (
            (MS_RDONLY if options.read_only else 0)
            | (0 if options.suid else MS_NOSUID)
            | (0 if options.dev else MS_NODEV)
        )
        data = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},default_permissions"
        if options.allow_other:
            data += ",allow_other"
        mount(options.source, target, FSTYPE, flags, data)
    except BaseException:
        os.close(fd)
        raise
    return fd
