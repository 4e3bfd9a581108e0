"""A prepared process from its owner's side: started by fork and exec, since the owner may have threads."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import socket
import subprocess
import sys
from contextlib import suppress

from sandbox.own_modules import module_places
from sandbox.warm.failures import PreparedProcessError

#: the modules that an operation is looked for in, where nothing else is said
REGISTRY = "sandbox.warm.registry"
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; from sandbox.warm.prepared import main; "
    "main(int(sys.argv[1]), sys.argv[2])"
)
_LAST_WORDS_BYTES = 8192


class Prepared:
    """A prepared process that was started here; `door` is where calls go in."""

    def __init__(self, registry: str, descriptors: tuple[int, int] | None = None) -> None:
        """Raises PreparedProcessError."""
        self.door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # in a program that has closed its standard streams it may have the number of one
            number = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
            try:
                # by the interpreter alone: nothing of the caller's PYTHON variables or directory is imported
                self._process = subprocess.Popen(
                    [sys.executable, "-IS", "-c", _BOOT, str(number), registry, *module_places()],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(number,), cwd="/",
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                self.door.close()
                raise PreparedProcessError(
                    "cannot start a process for operations", cause=f"{sys.executable}: {error.strerror}"
                ) from error
            finally:
                os.close(number)
        if descriptors is not None:
            # what is started by a worker has that limit too
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, descriptors)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended; it is reaped then, and its pid may be another process's."""
        return self._process.poll() is not None

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, or is about to: nobody holds the other end of the door."""
        if self.has_ended or self.door.fileno() < 0:
            return True
        poller = select.poll()
        poller.register(self.door, 0)
        return bool(poller.poll(0))

    def end(self) -> None:
        """Have it end its workers, and then itself."""
        with suppress(OSError):
            # it may be gone already
            self.door.shutdown(socket.SHUT_WR)

    def reap(self) -> None:
        """Wait until it has ended."""
        self._process.wait()
        self.door.close()

    def last_words(self) -> str:
        """What it said when it met a fault of ours; "" where it was just gone."""
        try:
            return self.door.recv(_LAST_WORDS_BYTES, socket.MSG_DONTWAIT).decode(errors="replace")
        except OSError:
            return ""
