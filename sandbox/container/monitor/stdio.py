"""The standard streams of one run of a container, as the monitor holds them: three pipes, or a terminal's master.

Output is read as it comes and handed to one callback; `pause` stops reading, so that the container waits as it would
at a full pipe. Input is kept until the container takes it, and `input_full` says when no more should be brought.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from functools import partial

from sandbox.named_tuple import NamedTuple
from sandbox.protocol.frames import STDERR, STDOUT
from sandbox.runtime.reactor import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.runtime.reactor import Reactor

_CHUNK = 64 * 1024
_INPUT_LIMIT = 256 * 1024
#: drivers/tty/tty_buffer.c: twice what waits at most, at either side
_TERMINAL_BYTES = 256 * 1024


class ContainerEnds(NamedTuple):
    """What the container's process gets as 0, 1 and 2."""

    stdin_fd: int
    stdout_fd: int
    stderr_fd: int

    def close(self) -> None:
        for fd in self:
            os.close(fd)


class MonitorEnds(NamedTuple):
    """What the monitor keeps; -1 is none. With a terminal `stdin_fd` and `stdout_fd` are both its master."""

    stdin_fd: int
    stdout_fd: int
    stderr_fd: int = -1

    @property
    def is_terminal(self) -> bool:
        return self.stdin_fd >= 0 and self.stdin_fd == self.stdout_fd

    def close(self) -> None:
        """Give them up, where no run got them."""
        for fd in {*self} - {-1}:
            os.close(fd)


def make_pipes(*, open_stdin: bool) -> tuple[ContainerEnds, MonitorEnds]:
    """Pipes for the three streams; without `open_stdin` the container reads /dev/null."""
    stdout_read, stdout_write = os.pipe2(os.O_CLOEXEC)
    stderr_read, stderr_write = os.pipe2(os.O_CLOEXEC)
    if open_stdin:
        stdin_read, stdin_write = os.pipe2(os.O_CLOEXEC)
    else:
        stdin_read, stdin_write = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
    return ContainerEnds(stdin_read, stdout_write, stderr_write), MonitorEnds(stdin_write, stdout_read, stderr_read)


class Stdio:
    """Reads and writes the monitor's ends, which it owns from now on."""

    def __init__(self, reactor: Reactor, ends: MonitorEnds, on_output: Callable[[int, bytes], None]) -> None:
        self._reactor = reactor
        self._ends = ends
        self._on_output = on_output
        self._open = {fd: kind for fd, kind in ((ends.stdout_fd, STDOUT), (ends.stderr_fd, STDERR)) if fd >= 0}
        self._paused = False
        self._input = bytearray()
        self._input_fd = ends.stdin_fd
        self._input_ending = False
        #: called when `input_full` turned false
        self.on_input_taken: Callable[[], None] = _nobody
        for fd in {*self._open, *([self._input_fd] if self._input_fd >= 0 else [])}:
            os.set_blocking(fd, False)
        self._watch()

    @property
    def is_terminal(self) -> bool:
        return self._ends.is_terminal

    @property
    def input_full(self) -> bool:
        return len(self._input) >= _INPUT_LIMIT

    def pause(self) -> None:
        """Read no more output until `resume`."""
        if not self._paused:
            self._paused = True
            self._watch()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._watch()

    def write_input(self, data: bytes) -> None:
        """Pass `data` on when the container reads; dropped where it has no input or closed it."""
        if self._input_fd >= 0 and not self._input_ending:
            self._input += data
            self._write_input()

    def end_input(self) -> None:
        """Close the container's input once everything was passed on; a terminal stays open."""
        if self._input_fd >= 0 and not self.is_terminal:
            self._input_ending = True
            self._write_input()

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal's new size; the kernel sends SIGWINCH. Nothing happens without a terminal."""
        if self.is_terminal and self._ends.stdout_fd in self._open:
            fcntl.ioctl(self._ends.stdout_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def drain(self) -> None:
        """Read all that is left, for after the end of the container's first process.

        Nobody can write any more then, but who shares the processes of another container: of those there is no end.
        """
        for fd in list(self._open):
            left = _capacity(fd)
            while left > 0 and fd in self._open and (count := self._read(fd)):
                left -= count

    def close(self) -> None:
        """Close everything; twice is safe."""
        for fd in list(self._open):
            self._close_output(fd)
        self._close_input()

    def _watch(self) -> None:
        for fd in self._open:
            if self._paused:
                # not watched at all: epoll tells of a hang-up even where no event is asked for, over and over
                self._reactor.forget(fd)
            else:
                wants_write = WRITE if fd == self._input_fd and self._input else 0
                self._reactor.watch(fd, READ | wants_write, partial(self._ready, fd))
        if self._input_fd >= 0 and self._input_fd not in self._open:
            if self._input:
                self._reactor.watch(self._input_fd, WRITE, self._taken)
            else:
                self._reactor.forget(self._input_fd)

    def _ready(self, fd: int, events: int) -> None:
        if events & WRITE and fd == self._input_fd:
            self._write_input()
        if events & ~WRITE and fd in self._open:
            self._read(fd)

    def _taken(self, _events: int) -> None:
        self._write_input()

    def _read(self, fd: int) -> int:
        """Read once; how many bytes there were, 0 when there is nothing more for now."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: the last process closed the terminal
        if not data:
            self._close_output(fd)
            return 0
        self._on_output(self._open[fd], data)
        return len(data)

    def _write_input(self) -> None:
        was_full = self.input_full
        try:
            while self._input and self._input_fd >= 0:
                del self._input[: os.write(self._input_fd, self._input[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            # EPIPE: the container closed its input, as `head` does
            self._input.clear()
            self._input_ending = True
        if self._input_ending and not self._input:
            self._close_input()
        self._watch()
        if was_full and not self.input_full:
            self.on_input_taken()

    def _close_input(self) -> None:
        if self._input_fd >= 0 and self._input_fd not in self._open:
            self._reactor.forget(self._input_fd)
            if self._input_fd != self._ends.stdout_fd:
                os.close(self._input_fd)
        self._input_fd = -1
        self._input.clear()

    def _close_output(self, fd: int) -> None:
        self._reactor.forget(fd)
        del self._open[fd]
        os.close(fd)
        if fd == self._input_fd:
            self._close_input()


def _nobody() -> None:
    pass


def _capacity(fd: int) -> int:
    """The most that a pipe, pipe(7), or a terminal can hold."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError:
        return _TERMINAL_BYTES
