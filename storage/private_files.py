"""Files of the store for this user alone, whatever the caller's umask is."""

from __future__ import annotations

import os


def write_private_file(path: str, data: bytes) -> None:
    """A new file of mode 0600, on the disk when this returns. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
