"""The caller's streams joined to a container's, over the channel to its monitor: `run`, `start -a`, `attach`.

One poll loop. Nothing in it blocks on the channel: what is typed waits here while the monitor is busy with output, and
output is taken meanwhile; were both sides to wait for the other to read, neither would ever go on.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import ExitStack, suppress

from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.protocol.frames import (
    EXIT,
    MESSAGE,
    STDERR,
    STDIN,
    STDIN_END,
    STDOUT,
    encode,
    encode_message,
    encode_resize,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from sandbox.protocol.channel import Channel
    from sandbox.protocol.frames import Frame

_CHUNK = 32 * 1024
_OUTGOING_LIMIT = 256 * 1024
#: not passed on: they mean something to this process itself, or are sent by its own doing
_OWN_SIGNALS = frozenset(
    {signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGKILL, signal.SIGSTOP, signal.SIGWINCH, signal.SIGTTIN,
     signal.SIGTTOU, signal.SIGTSTP, signal.SIGCONT}
)  # fmt: skip
#: after so many a person wants to be out, whatever the container makes of them
_INTERRUPTS = 3


class Streams(NamedTuple):
    """Three descriptors of whoever is joined; they stay the caller's. -1 for an input that is not read."""

    stdin_fd: int
    stdout_fd: int
    stderr_fd: int

    def write(self, kind: int, data: bytes) -> None:
        """Write what a container wrote to its STDOUT or STDERR. Raises BrokenPipeError, SandboxError."""
        write_all(self.stderr_fd if kind == STDERR else self.stdout_fd, data)


class ClientStreams(NamedTuple):
    """What of the caller's streams is joined, and how."""

    streams: Streams
    stdin: bool = False
    #: the container has a terminal
    terminal: bool = False
    proxy_signals: bool = True
    detach_keys: bytes = b"\x10\x11"
    #: the container's
    name: str = ""
    #: where sizes of a terminal that is not the caller's own come from, rows and columns of two bytes each; -1 for none
    sizes_fd: int = -1

    @property
    def passes_keys(self) -> bool:
        """Raw mode, window size, detach keys."""
        return self.terminal and self.stdin


class Outcome(NamedTuple):
    """How a session ended: `exit_code` None where the monitor was gone without telling one."""

    exit_code: int | None
    detached: bool = False


class Session:
    """Carries bytes and signals both ways until the container ends, or the person detaches."""

    def __init__(self, channel: Channel, streams: ClientStreams) -> None:
        self._channel = channel
        self._streams = streams
        self._ends = streams.streams
        self._outgoing = bytearray()
        self._reads_input = streams.stdin
        self._exit_code: int | None = None
        self._detached = False
        self._at_end = False
        self._signals_fd = -1
        self._interrupts = 0
        self._filter: Callable[[bytes], tuple[bytes, bool]] = lambda data: (data, False)

    def run(self) -> Outcome:
        """Serve until the end. The channel stays the caller's to close."""
        with ExitStack() as stack:
            if self._streams.passes_keys:
                self._enter_terminal(stack)
            elif self._streams.terminal:
                from sandbox.runtime.terminal import RawTerminal

                stack.enter_context(RawTerminal(self._ends.stdout_fd, output_only=True))
            self._catch_signals(stack)
            self._channel.connection.setblocking(False)
            self._take_frames()
            while not self._at_end and not self._detached:
                self._turn()
        return Outcome(self._exit_code, self._detached)

    def _turn(self) -> None:
        poller = select.poll()
        channel_fd = self._channel.connection.fileno()
        poller.register(channel_fd, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        poller.register(self._signals_fd, select.POLLIN)
        if self._reads_input and len(self._outgoing) < _OUTGOING_LIMIT:
            poller.register(self._ends.stdin_fd, select.POLLIN)
        for fd, events in poller.poll():
            if fd == self._signals_fd:
                self._pass_signals()
            elif fd == self._ends.stdin_fd:
                self._read_input()
            elif events & ~select.POLLOUT:
                self._receive()
        if self._outgoing:
            self._send()

    def _enter_terminal(self, stack: ExitStack) -> None:
        from sandbox.runtime.terminal import DetachKeys, RawTerminal

        self._filter = DetachKeys(self._streams.detach_keys).feed
        stack.enter_context(RawTerminal(self._ends.stdin_fd))
        self._send_window_size()

    def _catch_signals(self, stack: ExitStack) -> None:
        """Signals become bytes in a pipe (signal(7) §self-pipe, as Python offers it)."""
        self._signals_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        stack.callback(os.close, self._signals_fd)
        stack.callback(os.close, write_fd)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False))
        wanted = {signal.SIGWINCH} if self._streams.passes_keys else set()
        # with a raw terminal keys arrive as bytes, and the container's own terminal makes signals of them
        if self._streams.proxy_signals and not self._streams.passes_keys:
            proxied = signal.valid_signals() - _OWN_SIGNALS
            # what the caller ignores (nohup, a shell's background) stays so, and what is no handler of Python's but of
            # its faulthandler (PYTHONFAULTHANDLER), which could not be put back
            wanted |= {number for number in proxied if signal.getsignal(number) not in (signal.SIG_IGN, None)}
        for number in wanted:
            with suppress(OSError, ValueError):
                # 32 and 33 are the C library's own
                stack.callback(signal.signal, number, signal.signal(number, _ignore))

    def _pass_signals(self) -> None:
        for number in os.read(self._signals_fd, 512):
            if number == signal.SIGWINCH:
                self._send_window_size()
            else:
                self._outgoing += encode_message("signal", signal=number)
                self._count_interrupt(number)

    def _count_interrupt(self, number: int) -> None:
        """The third leaves the container to itself: pid 1 gets no signal that it has no handler for, and might stay."""
        self._interrupts += number in (signal.SIGINT, signal.SIGTERM)
        if self._interrupts == _INTERRUPTS:
            self._send()
            self._exit_code = 1
            self._at_end = True
            # Docker's words
            text = (
                f"\ngot {_INTERRUPTS} SIGTERM/SIGINTs, forcefully exiting\n  mend: sandbox kill {self._streams.name}\n"
            )
            self._ends.write(STDERR, text.encode())

    def _send_window_size(self) -> None:
        from sandbox.runtime.terminal import get_window_size

        size = get_window_size(self._ends.stdin_fd)
        if size is not None:
            self._outgoing += encode_resize(size.rows, size.columns)

    def _read_input(self) -> None:
        try:
            data = os.read(self._ends.stdin_fd, _CHUNK)
        except OSError:
            data = b""
        if not data:
            self._reads_input = False
            self._outgoing += encode(STDIN_END)
            return
        data, self._detached = self._filter(data)
        if data:
            self._outgoing += encode(STDIN, data)
        if self._detached:
            self._outgoing += encode_message("detach")
            self._channel.connection.setblocking(True)
            self._channel.send(bytes(self._outgoing))
            self._outgoing.clear()

    def _send(self) -> None:
        try:
            del self._outgoing[: self._channel.connection.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # the end comes with the next read

    def _receive(self) -> None:
        try:
            if not self._channel.fill():
                self._at_end = True
        except BlockingIOError:
            return
        self._take_frames()

    def _take_frames(self) -> None:
        while self._channel.pending:
            self._take(self._channel.pending.popleft())

    def _take(self, frame: Frame) -> None:
        if frame.kind in (STDOUT, STDERR):
            self._ends.write(frame.kind, frame.payload)
        elif frame.kind == EXIT:
            self._exit_code = frame.exit_code
        elif frame.kind == MESSAGE and frame.message["type"] == "error" and not self._streams.proxy_signals:
            raise SandboxError(str(frame.message["message"]))


def write_all(fd: int, data: bytes) -> None:
    """Write everything; a descriptor that somebody made non-blocking is waited for.

    Raises BrokenPipeError, and SandboxError where the output takes no more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SandboxError("cannot write the output", cause=error.strerror or str(error)) from error


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Python wants a handler for the number to reach the pipe."""
