"""Changes of files below some paths, as the kernel tells of them: inotify(7), a watch for each directory."""

from __future__ import annotations

import errno
import os
import select
import stat
import struct
import time

from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EVENT = struct.Struct("iIII")
# linux/inotify.h
_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_Q_OVERFLOW, _IGNORED = 0x4000, 0x8000
_MASK = _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_READ_BYTES = 256 * 1024
#: editors write a file in several steps: what comes within so long is one change, and no change waits longer than that
_QUIET_SECONDS, _LONGEST_SECONDS = 0.5, 5.0


class FileWatch:
    """Tells which paths have changed. What is not there yet is watched by the directory that it will be in."""

    def __init__(self, roots: Iterable[str]) -> None:
        """Raises HostError where the kernel gives no more watches."""
        from sandbox.runtime.syscalls import inotify_init1

        self._roots = tuple(roots)
        self._directories: dict[int, str] = {}
        try:
            self.descriptor = inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _explain(error) from error
        for root in self._roots:
            if os.path.isdir(root):
                for _ in self._watch_tree(root):
                    pass
            else:
                self._watch_above(root)

    def close(self) -> None:
        os.close(self.descriptor)

    def wait(self, output_fd: int = -1) -> frozenset[str]:
        """The paths that changed, once there is quiet after a change. Raises BrokenPipeError where `output_fd` has lost
        its reader.
        """
        poller = select.poll()
        poller.register(self.descriptor, select.POLLIN)
        if output_fd >= 0:
            poller.register(output_fd, 0)
        changed: set[str] = set()
        begun = 0.0
        while True:
            left = None
            if changed:
                left = min(_QUIET_SECONDS, begun + _LONGEST_SECONDS - time.monotonic())
            ready = poller.poll(None if left is None else max(0, int(left * 1000)))
            if any(fd == output_fd for fd, _ in ready):
                raise BrokenPipeError
            if not ready:
                return frozenset(changed)
            begun = begun if changed else time.monotonic()
            changed |= self._read()
            if changed and time.monotonic() >= begun + _LONGEST_SECONDS:
                return frozenset(changed)

    def _read(self) -> set[str]:
        data = os.read(self.descriptor, _READ_BYTES)
        found: set[str] = set()
        position = 0
        while position < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, position)
            name = data[position + _EVENT.size : position + _EVENT.size + length].rstrip(b"\0")
            position += _EVENT.size + length
            if mask & _Q_OVERFLOW:
                found |= self._everything()
            elif mask & _IGNORED:
                self._directories.pop(watch, None)
            elif watch in self._directories:
                path = os.path.join(self._directories[watch], os.fsdecode(name)) if name else self._directories[watch]
                found |= self._changed(path, mask)
        return {path for path in found if self._is_meant(path)}

    def _changed(self, path: str, mask: int) -> set[str]:
        found = {path}
        if mask & (_CREATE | _MOVED_TO) and self._is_meant(path) and _is_directory(path):
            # what was made in it before it was watched is told by nothing else
            found |= set(self._watch_tree(path))
        return found

    def _is_meant(self, path: str) -> bool:
        """Whether it is below a root, or on the way to one that is not there yet."""
        return any(path == root or path.startswith(f"{root.rstrip('/')}/") or root.startswith(f"{path}/")
                   for root in self._roots)  # fmt: skip

    def _everything(self) -> set[str]:
        """Some changes were not told: any file may be another one."""
        return {path for root in self._roots for path in self._watch_tree(root)}

    def _watch_tree(self, directory: str) -> Iterator[str]:
        """Watch the directory and those below it; what is in them."""
        for place, names, files in os.walk(directory):
            self._add(place)
            for name in (*names, *files):
                yield os.path.join(place, name)

    def _watch_above(self, path: str) -> None:
        place = os.path.dirname(path)
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        self._add(place)

    def _add(self, directory: str) -> None:
        from sandbox.runtime.syscalls import inotify_add_watch

        try:
            self._directories[inotify_add_watch(self.descriptor, directory, _MASK)] = directory
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _explain(error) from error


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _explain(error: OSError) -> HostError:
    if error.errno in (errno.ENOSPC, errno.EMFILE):
        return HostError(
            "the kernel watches no more directories for this user",
            cause=error.strerror or "",
            mend="sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512, as an administrator",
        )
    return HostError("files cannot be watched", cause=error.strerror or "")
