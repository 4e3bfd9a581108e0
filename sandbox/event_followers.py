"""Who follows events just now, said by a lock: so that what nobody hears of need not be written.

A lock of an open file (F_OFD_SETLK, fcntl(2)) goes with its holder, however that ends, and to ask for it takes none.
"""

from __future__ import annotations

import fcntl
import os
import struct

from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.paths import Paths

#: struct flock, fcntl(2): type, whence, start, length, pid
_FLOCK = struct.Struct("hh4xqqi4x")


def followers_path(paths: Paths) -> str:
    """The file that followers lock."""
    return f"{paths.data_root}/locks/followers"


def begin_following(paths: Paths) -> int:
    """A descriptor; until it is closed the caller counts as one who follows. Raises OSError."""
    path = followers_path(paths)
    make_private_directory(os.path.dirname(path))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # shared, so that all of them get it at once
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_RDLCK))
    except OSError:
        os.close(fd)
        raise
    return fd


def anybody_follows(path: str) -> bool:
    """Whether somebody holds the lock of that file; not where it cannot be asked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(fd)


def _whole_file(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)
