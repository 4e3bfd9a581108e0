"""The caller's side of `exec`: its streams carried to the process and back, until the process ends; and of a build's
shell.

The process never gets the caller's own descriptors: one of a terminal or a file would let it act on the host's side.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

from sandbox.container.monitor.stdio import ContainerEnds, MonitorEnds, Stdio, make_pipes
from sandbox.errors import ConflictError
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple
from sandbox.protocol.frames import RESIZE, Frame
from sandbox.runtime.enter import set_up_exec
from sandbox.runtime.process import Stdio as ProcessStdio
from sandbox.runtime.reactor import READ, Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.session.attach import ClientStreams
    from sandbox.runtime.launch import Started
    from sandbox.runtime.spec import ProcessSpec

_CHUNK = 64 * 1024


class ExecTarget(NamedTuple):
    """Where the process runs: `container_start` tells the container's first process from a later one of its number."""

    container_pid: int
    container_start: int
    cgroup: str = ""
    process_limit: int = 0


def run_detached(target: ExecTarget, spec: ProcessSpec) -> int:
    """Start the process with no streams; its pid, which is a child of the caller. Raises SandboxError."""
    started = _start(target, spec, ProcessStdio())
    os.close(started.pidfd)
    if started.terminal_fd is not None:
        os.close(started.terminal_fd)
    return started.pid


def run_attached(target: ExecTarget, spec: ProcessSpec, client: ClientStreams) -> int | None:
    """Run the process with the caller's streams; returns its exit code, None when detached. Raises SandboxError."""
    ends: ContainerEnds | None = None
    kept: MonitorEnds | None = None
    if spec.terminal:
        from sandbox.runtime.terminal import get_window_size

        process_stdio = ProcessStdio(window_size=get_window_size(client.streams.stdin_fd))
    else:
        ends, kept = make_pipes(open_stdin=client.stdin)
        process_stdio = ProcessStdio(*ends)
    try:
        started = _start(target, spec, process_stdio)
    finally:
        if ends is not None:
            ends.close()
    if kept is None:
        kept = _terminal_ends(started)
    return _Relay(started, kept, client).run()


def relay_terminal(started: Started, client: ClientStreams) -> int:
    """Carry the caller's streams to the terminal of a process it has started, until that ends; its exit code. The
    descriptors of `started` are closed then.
    """
    # no keys detach from it
    return _Relay(started, _terminal_ends(started), client).run() or 0


def _terminal_ends(started: Started) -> MonitorEnds:
    assert started.terminal_fd is not None
    return MonitorEnds(started.terminal_fd, started.terminal_fd)


def _start(target: ExecTarget, spec: ProcessSpec, stdio: ProcessStdio) -> Started:
    pending = set_up_exec(target.container_pid, spec, stdio, cgroup=target.cgroup, process_limit=target.process_limit)
    # at its gate: where the number was another process's, nothing has run in there
    if process_start(target.container_pid) != target.container_start:
        pending.abandon()
        raise ConflictError("the container is not running")
    return pending.release()


class _Relay:
    def __init__(self, started: Started, ends: MonitorEnds, client: ClientStreams) -> None:
        self._started = started
        self._reactor = Reactor()
        self._ends = client.streams
        self._stdio = Stdio(self._reactor, ends, self._ends.write)
        self._reads_input = client.stdin
        self._detach_keys = client.detach_keys
        self._sizes_fd = client.sizes_fd
        self._exit_code: int | None = None
        self._filter: Callable[[bytes], tuple[bytes, bool]] = lambda data: (data, False)

    def run(self) -> int | None:
        with ExitStack() as stack:
            if self._reads_input and self._stdio.is_terminal and os.isatty(self._ends.stdin_fd):
                from sandbox.runtime.terminal import DetachKeys, RawTerminal

                self._filter = DetachKeys(self._detach_keys).feed
                stack.enter_context(RawTerminal(self._ends.stdin_fd))
                stack.callback(signal.signal, signal.SIGWINCH, signal.getsignal(signal.SIGWINCH))
                signal.signal(signal.SIGWINCH, lambda _number, _frame: self._resize())
                self._resize()
            elif self._stdio.is_terminal:
                from sandbox.runtime.terminal import RawTerminal

                stack.enter_context(RawTerminal(self._ends.stdout_fd, output_only=True))
            if self._sizes_fd >= 0:
                self._reactor.watch(self._sizes_fd, READ, self._take_sizes)
            self._reactor.watch(self._started.pidfd, READ, lambda _events: self._ended())
            self._stdio.on_input_taken = self._watch_input
            if self._reads_input:
                self._watch_input()
            self._reactor.run()
        return self._exit_code

    def _resize(self) -> None:
        from sandbox.runtime.terminal import get_window_size

        size = get_window_size(self._ends.stdin_fd)
        if size is not None:
            self._stdio.resize(size.rows, size.columns)

    def _take_sizes(self, _events: int) -> None:
        data = os.read(self._sizes_fd, _CHUNK)
        if not data:
            self._reactor.forget(self._sizes_fd)
            return
        # written whole, for they are shorter than what a pipe takes at once; the last one counts
        rows, columns = Frame(RESIZE, data[-4:]).window_size
        self._stdio.resize(rows, columns)

    def _watch_input(self) -> None:
        if not self._reads_input:
            return
        try:
            self._reactor.watch(self._ends.stdin_fd, READ, self._input_ready)
        except PermissionError:
            # epoll_ctl(2): a regular file cannot be watched; it can always be read
            self._reactor.after(0.0, self._read_file)

    def _input_ready(self, _events: int) -> None:
        self._read_input()

    def _read_file(self) -> None:
        if self._read_input() and not self._stdio.input_full:
            self._reactor.after(0.0, self._read_file)

    def _read_input(self) -> bool:
        try:
            data = os.read(self._ends.stdin_fd, _CHUNK)
        except OSError:
            data = b""
        passed, detached = self._filter(data)
        if passed:
            self._stdio.write_input(passed)
        if not data or detached:
            self._reads_input = False
            self._reactor.forget(self._ends.stdin_fd)
            if detached:
                self._reactor.stop()
            else:
                self._stdio.end_input()
        elif self._stdio.input_full:
            self._reactor.forget(self._ends.stdin_fd)
        return self._reads_input

    def _ended(self) -> None:
        _pid, status = os.waitpid(self._started.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._exit_code = 128 - code if code < 0 else code
        # what it left running may hold the streams open for ever: what is there now is all that is shown
        self._stdio.drain()
        self._stdio.close()
        self._reactor.forget(self._started.pidfd)
        os.close(self._started.pidfd)
        self._reactor.stop()
