"""Inode numbers: one for each file over its whole life, also over copy-up and after another mount.

A file has the number that the underlying file system gives it; where layers lie on several, their place in the list
of devices is in the upper bits. What is copied up keeps its lower number, in an xattr that the kernel's overlay hides.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.overlay.fuse.index import IndexedStatus

ROOT_NUMBER = 1
NUMBER_XATTR = "user.overlay.sandbox.number"
_DEVICE_SHIFT = 48
_SPARE = 1 << 62
#: 1 is the root's in FUSE, and what the root of a tmpfs has; 0 is no number
_TAKEN = 2
_DIGITS = frozenset(b"0123456789abcdef")


class Numbers:
    """Gives numbers. Devices must be told in the same order at each mount."""

    def __init__(self) -> None:
        self._devices: dict[int, int] = {}
        self._spare = _SPARE

    def of(self, status: os.stat_result | IndexedStatus) -> int:
        """The number of a file that was found in a layer, or made in the upper directory."""
        return self.of_inode(status.st_ino, status.st_dev)

    def of_inode(self, number: int, device: int) -> int:
        """As `of`, of the two fields that count."""
        place = self._devices.setdefault(device, len(self._devices))
        if number >> _DEVICE_SHIFT or number < _TAKEN or place >= 1 << 12:
            return self.spare()
        return number | place << _DEVICE_SHIFT

    def spare(self) -> int:
        """A number that no file has: for one whose own is taken. It is another one at the next mount."""
        self._spare += 1
        return self._spare


def store_number(place: int | bytes, number: int) -> None:
    """Write down the number of a file that is being copied up; where no xattr can be, nowhere."""
    try:
        if isinstance(place, int):
            os.setxattr(place, NUMBER_XATTR, b"%x" % number)
        else:
            os.setxattr(place, NUMBER_XATTR, b"%x" % number, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EACCES):
            raise


def stored_number(place: bytes) -> int | None:
    """The number that was written down for a file of the upper directory."""
    try:
        value = os.getxattr(place, NUMBER_XATTR, follow_symlinks=False)
    except OSError:
        return None
    # as it is written above, and nothing else that int() takes
    if not 0 < len(value) <= 16 or not _DIGITS.issuperset(value):
        return None
    number = int(value, 16)
    return number if _TAKEN <= number < _SPARE else None
