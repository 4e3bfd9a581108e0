"""A small tmpfs with files of given owners and modes, from which each is bound into a container."""

from __future__ import annotations

import errno
import os

from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.rootfs import make_filesystem
from sandbox.runtime.unmapped_ids import complete, find_unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE_BYTES = 4096
_ATTRIBUTES = sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC


class TmpfsFile(NamedTuple):
    """One file; `mode` are permission bits, the ids those inside."""

    name: str
    data: bytes
    uid: int
    gid: int
    mode: int


def mount_file_tmpfs(directory: str, files: Sequence[TmpfsFile]) -> None:
    """Mount a tmpfs with the files at `directory`, which only the caller can look into. Raises OSError;
    UnmappedIdError for an owner that containers do not have.
    """
    pages = sum(len(file.data) // _PAGE_BYTES + 2 for file in files)
    mount_fd = make_filesystem("tmpfs", ("mode=700", f"size={pages * _PAGE_BYTES}"), _ATTRIBUTES)
    try:
        for file in files:
            _write(mount_fd, file)
        sc.move_mount(mount_fd, "", sc.AT_FDCWD, directory, sc.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(mount_fd)


def _write(directory_fd: int, file: TmpfsFile) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(file.name, flags, 0o600, dir_fd=directory_fd)
    try:
        rest = memoryview(file.data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        try:
            os.fchown(fd, file.uid, file.gid)
        except OSError as error:
            unmapped = find_unmapped(file.uid, (file.gid,)) if error.errno == errno.EINVAL else None
            if unmapped is not None:
                raise complete(unmapped) from error
            raise
        # after the owner, whose change takes set-id bits away
        os.fchmod(fd, file.mode)
    finally:
        os.close(fd)
