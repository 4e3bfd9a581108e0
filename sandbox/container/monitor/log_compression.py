"""Compresses the file that a rotation has left, a little with each line that is written: no other process, no stall."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

from sandbox.container.monitor.log_files import COMPRESSED, compressed_header

_PART = ".part"
_BLOCK = 128 * 1024
#: the fastest level makes a tenth of most logs; the monitor serves the container meanwhile
_LEVEL = 1


class LogCompressor:
    """`path` becomes `path.gz` when `step` has been asked often enough. A full disk leaves it as it was."""

    def __init__(self, path: str) -> None:
        """Raises OSError where the file cannot be read or none be made."""
        self._path = path
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._checksum = 0
        self._length = 0
        self._source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(self._source)
            self.remaining = status.st_size
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._target = os.open(path + COMPRESSED + _PART, flags, 0o600)
        except OSError:
            os.close(self._source)
            raise
        self._waiting = compressed_header(status.st_ino)

    def step(self, count: int) -> bool:
        """Compress the next `count` bytes or a few more; whether there is no more to do, well or badly ended."""
        try:
            while count > 0:
                block = os.read(self._source, _BLOCK)
                if not block:
                    self._finish()
                    return True
                count -= len(block)
                self.remaining -= len(block)
                self._checksum = zlib.crc32(block, self._checksum)
                self._length += len(block)
                self._write(self._deflate.compress(block))
        except OSError:
            self.abandon()
            return True
        return False

    def abandon(self) -> None:
        """Leave the file as it is."""
        os.close(self._source)
        os.close(self._target)
        with suppress(OSError):
            os.unlink(self._path + COMPRESSED + _PART)

    def _finish(self) -> None:
        trailer = self._checksum.to_bytes(4, "little") + (self._length % (1 << 32)).to_bytes(4, "little")
        self._write(self._deflate.flush() + trailer)
        # both are there for a moment, and after a kill: each has all of it
        os.rename(self._path + COMPRESSED + _PART, self._path + COMPRESSED)
        os.unlink(self._path)
        os.close(self._source)
        os.close(self._target)

    def _write(self, data: bytes) -> None:
        self._waiting += data
        while self._waiting:
            self._waiting = self._waiting[os.write(self._target, self._waiting) :]
