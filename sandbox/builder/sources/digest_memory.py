"""What files of contexts held, so that one that has not changed is not read again.

    DATA/cache/contexts/<dev>-<ino>     one file for each context, named by its root directory: 72 bytes an entry

A file is known by device, inode, size, modification and change time. The change time is the kernel's and cannot be set
back, so it differs after every write, but for one: a write within the same tick of the clock as the one before. As git
does with its index ("racily clean"), a digest is kept only where both times lay well before the reading began. The
whole is a cache: lost or damaged, files are read again.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from sandbox.paths import Paths

_ENTRY = struct.Struct("=QQQqq32s")
_MAGIC = b"sandbox context digests 1\n"
#: FAT keeps times in steps of two seconds, the coarsest of all
_SETTLED_NS = 2_500_000_000
#: contexts remembered; the longest unused goes first
_CONTEXTS_MOST = 64
_BYTES_MOST = 256 << 20

_Identity = tuple[int, int, int, int, int]


class DigestMemory:
    """The digests of files below one context's root. `save` keeps those that were asked for or added."""

    def __init__(self, paths: Paths, root_fd: int) -> None:
        self._directory = f"{paths.cache}/contexts"
        status = os.fstat(root_fd)
        self._path = f"{self._directory}/{status.st_dev}-{status.st_ino}"
        self._known: dict[_Identity, bytes] = {}
        self._used: dict[_Identity, bytes] = {}
        self._changed = False
        with suppress(OSError), open(self._path, "rb") as file:
            data = file.read(_BYTES_MOST)
            if data.startswith(_MAGIC) and not (len(data) - len(_MAGIC)) % _ENTRY.size:
                self._known = {
                    (dev, ino, size, mtime, ctime): digest
                    for dev, ino, size, mtime, ctime, digest in _ENTRY.iter_unpack(data[len(_MAGIC) :])
                }

    def find(self, status: os.stat_result) -> bytes | None:
        """The digest of the file with this status, where it was read before."""
        identity = _identify(status)
        digest = self._known.get(identity) or self._used.get(identity)
        if digest is not None:
            self._used[identity] = digest
        return digest

    def add(self, before: os.stat_result, after: os.stat_result, began_ns: int, digest: bytes) -> None:
        """Keep what was read between two statuses of an open file; `began_ns` is the clock's time before."""
        settled = max(before.st_mtime_ns, before.st_ctime_ns) < began_ns - _SETTLED_NS
        if settled and _identify(before) == _identify(after):
            self._used[_identify(before)] = digest
            self._changed = True

    def save(self) -> None:
        """Write what is worth keeping; a failure (a full disk) only means that files are read again."""
        if not self._changed and len(self._used) == len(self._known):
            return
        entries = [_ENTRY.pack(*identity, digest) for identity, digest in self._used.items()]
        with suppress(OSError):
            make_private_directory(self._directory)
            with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".", delete=False) as file:
                try:
                    file.write(_MAGIC + b"".join(entries))
                    file.flush()
                    os.rename(file.name, self._path)
                except OSError:
                    os.unlink(file.name)
                    raise
            self._forget_old()

    def _forget_old(self) -> None:
        files = [entry for entry in os.scandir(self._directory) if not entry.name.startswith(".")]
        files.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        for entry in files[_CONTEXTS_MOST:]:
            os.unlink(entry.path)


class Memories:
    """The memories of the contexts of one build, each read when it is first asked for."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._found: dict[int, DigestMemory] = {}

    def of(self, root_fd: int) -> DigestMemory:
        """The memory of the context with this root."""
        if root_fd not in self._found:
            self._found[root_fd] = DigestMemory(self._paths, root_fd)
        return self._found[root_fd]

    def save(self) -> None:
        """Keep what was learned."""
        for memory in self._found.values():
            memory.save()


def now_ns() -> int:
    """The clock that file times come from."""
    return time.time_ns()


def _identify(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
