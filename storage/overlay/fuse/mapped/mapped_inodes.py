"""The files of a mapped bind mount that the kernel knows, each by a descriptor that cannot be led astray.

An inode is an O_PATH descriptor, opened by one name below its parent's and never through a symbolic link: whatever
links the container or the host make meanwhile, it stays the file that was looked up. The kernel says when it has
forgotten one. It is open for the server alone: /proc/self/fd/N opens it anew, which follows nothing but itself.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from typing import NamedTuple

ROOT = 1
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: processes show themselves there: a container that opens them through the server would be the server
_REFUSED_FILESYSTEMS = frozenset({"proc"})


class Inode:
    """A file the kernel knows. `lookups` is how often it was told of it, less what it has forgotten."""

    __slots__ = ("fd", "key", "lookups")

    def __init__(self, fd: int, key: tuple[int, int]) -> None:
        self.fd = fd
        self.key = key
        self.lookups = 0

    @property
    def path(self) -> str:
        """A path of this very file, for calls that take no descriptor; not for opening a symbolic link."""
        return f"/proc/self/fd/{self.fd}"


class Found(NamedTuple):
    number: int
    status: os.stat_result


class Inodes:
    """All of them. Raises OSError as the system calls do."""

    def __init__(self, source: str) -> None:
        allow_many_descriptors()
        fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
        status = os.fstat(fd)
        self._devices = _allowed_devices()
        self._check_device(status)
        root = Inode(fd, (status.st_dev, status.st_ino))
        self._by_number = {ROOT: root}
        self._by_key = {root.key: ROOT}

    def __getitem__(self, number: int) -> Inode:
        return self._by_number[number]

    def fd(self, number: int) -> int:
        """The O_PATH descriptor of an inode."""
        return self._by_number[number].fd

    def status(self, number: int) -> os.stat_result:
        return os.fstat(self._by_number[number].fd)

    def look_up(self, parent: int, name: bytes) -> Found:
        """What `name` is in the directory `parent`; the kernel will have been told of it once more."""
        fd = os.open(name, _PATH, dir_fd=self._by_number[parent].fd)
        try:
            status = os.fstat(fd)
            self._check_device(status)
            key = (status.st_dev, status.st_ino)
            number = self._by_key.get(key, 0)
            if not number:
                number = self._new_number(key)
                self._by_number[number] = Inode(fd, key)
                self._by_key[key] = number
                fd = -1
        finally:
            if fd >= 0:
                os.close(fd)
        self._by_number[number].lookups += 1
        return Found(number, status)

    def count_again(self, number: int) -> None:
        """The kernel was told of an inode it knows."""
        self._by_number[number].lookups += 1

    def forget(self, number: int, times: int) -> None:
        """The kernel has forgotten it so many times."""
        if number == ROOT or number not in self._by_number:
            return
        inode = self._by_number[number]
        inode.lookups -= times
        if inode.lookups <= 0:
            del self._by_number[number]
            del self._by_key[inode.key]
            os.close(inode.fd)

    def _new_number(self, key: tuple[int, int]) -> int:
        device, number = key
        # the host's own number wherever it is free: with several file systems below the source it may not be
        while number <= ROOT or number in self._by_number:
            number = (number * 31 + device + 2) & ((1 << 63) - 1)
        return number

    def _check_device(self, status: os.stat_result) -> None:
        if status.st_dev not in self._devices:
            raise OSError(errno.EACCES, "a file system that is not shown")


def allow_many_descriptors() -> None:
    """A descriptor for each file that is known takes more than the usual limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _allowed_devices() -> frozenset[int]:
    """The file systems that are mounted now, but for those of processes; what is mounted later is not shown."""
    allowed: set[int] = set()
    refused: set[int] = set()
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            major, minor = fields[2].split(":")
            kind = fields[fields.index("-", 6) + 1]
            (refused if kind in _REFUSED_FILESYSTEMS else allowed).add(os.makedev(int(major), int(minor)))
    return frozenset(allowed - refused)


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
