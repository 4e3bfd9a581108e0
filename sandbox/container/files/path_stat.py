"""What is at a path of a container, as Docker's `X-Docker-Container-Path-Stat` tells it."""

from __future__ import annotations

import stat

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: the kinds of files, and the bits of Go's os.FileMode for them
_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class PathStat(NamedTuple):
    """A file of a container; `mode` as stat(2) has it, `link_target` absolute, with all links of it followed."""

    name: str
    size_bytes: int
    mode: int
    mtime_ns: int
    link_target: str = ""

    @property
    def go_mode(self) -> int:
        """Go's os.FileMode."""
        bits = _KINDS.get(stat.S_IFMT(self.mode), 0) | self.mode & 0o777
        for bit, meaning in _BITS:
            bits |= meaning if self.mode & bit else 0
        return bits

    def document(self) -> dict[str, Any]:
        """Docker's JSON of it."""
        from sandbox.humane import rfc3339

        return {
            "name": self.name,
            "size": self.size_bytes,
            "mode": self.go_mode,
            # of a file the beginning of Unix time is a time, and not none
            "mtime": rfc3339(self.mtime_ns) if self.mtime_ns else "1970-01-01T00:00:00Z",
            "linkTarget": self.link_target,
        }
