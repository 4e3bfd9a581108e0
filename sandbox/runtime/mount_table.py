"""The mount a path lies on, from /proc/self/mountinfo, proc_pid_mountinfo(5)."""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple


class MountInfo(NamedTuple):
    mount_point: str
    filesystem: str
    options: frozenset[str]


def find_mount(path: str, mountinfo: str = "/proc/self/mountinfo") -> MountInfo:
    """The mount that `path`, which need not exist, lies on."""
    wanted = os.path.realpath(path)
    found = MountInfo("/", "unknown", frozenset())
    for mount in read_mounts(mountinfo):
        # not shorter: a later mount on the same point hides the earlier one
        if _is_below(wanted, mount.mount_point) and len(mount.mount_point) >= len(found.mount_point):
            found = mount
    return found


def read_mounts(mountinfo: str = "/proc/self/mountinfo") -> list[MountInfo]:
    """All mounts, in the kernel's order."""
    mounts = []
    with open(mountinfo, errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            # optional fields end at a lone hyphen
            after = fields.index("-", 6)
            mounts.append(MountInfo(_unescape(fields[4]), fields[after + 1], frozenset(fields[5].split(","))))
    return mounts


def _is_below(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(f"{directory}/")


def _unescape(text: str) -> str:
    # space, tab, newline and backslash are written in octal
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
