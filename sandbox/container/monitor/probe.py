"""One probe of a health check under way in the monitor's loop: a command in the container, its end and its output.

Nothing here is waited for. A probe that takes too long is killed with all that it has started, and is over when the
kernel says so; one that hangs on a disk even then keeps the next one away, and nothing else.
"""

from __future__ import annotations

import os
import time

from sandbox.container.monitor.health_rules import MOST_OUTPUT_BYTES, NO_EXIT_CODE, ProbeResult, output_text
from sandbox.container.monitor.task import Task
from sandbox.errors import SandboxError, StartError
from sandbox.faults import explain_fault
from sandbox.runtime.descendants import kill_with_descendants
from sandbox.runtime.reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.runtime.enter import BegunExec, PendingExec
    from sandbox.runtime.launch import Started
    from sandbox.runtime.reactor import Reactor, Timer
    from storage.waits import Steps

    #: a process on its way into the container, which writes to the descriptor. Raises SandboxError, OSError
    Begin = Callable[[int], BegunExec]

_CHUNK = 64 * 1024


class Probe:
    """Runs from `begin` to the call of `done` with its result, or to `cancel`."""

    def __init__(self, reactor: Reactor, late_seconds: float, done: Callable[[ProbeResult], None]) -> None:
        self._reactor = reactor
        self._late_seconds = late_seconds
        self._done: Callable[[ProbeResult], None] | None = done
        self._began_ns = 0
        self._output = bytearray()
        self._output_cut = False
        self._output_fd = -1
        self._timer: Timer | None = None
        self._task: Task | None = None
        self._pending: PendingExec | None = None
        self._pid = 0
        self._pidfd = -1
        self.was_late = False

    def begin(self, begin: Begin) -> None:
        """Start it; where that fails at once `done` has been called."""
        self._began_ns = time.time_ns()
        self._timer = self._reactor.after(self._late_seconds, self._late)
        self._task = Task(self._reactor, self._steps(begin), self._runs, self._failed)
        self._task.begin()

    def cancel(self) -> None:
        """End it; `done` is not called any more."""
        self._done = None
        self._stop_timer()
        self._kill()

    def _steps(self, begin: Begin) -> Steps[Started]:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._output_fd = read_fd
        try:
            os.set_blocking(read_fd, False)
            begun = begin(write_fd)
            self._pending = begun.pending
            yield from begun.pending.ready_steps(begun.between, begun.entry)
            return (yield from begun.pending.release_steps())
        except OSError as error:
            raise StartError("cannot run the health check", cause=explain_fault(error)) from error
        finally:
            os.close(write_fd)

    def _runs(self, started: Started) -> None:
        self._task = None
        self._watch_end(started.pid, started.pidfd)
        self._reactor.watch(self._output_fd, READ, self._take)

    def _watch_end(self, pid: int, pidfd: int) -> None:
        self._pid, self._pidfd = pid, pidfd
        self._reactor.watch(pidfd, READ, lambda _events: self._ended())

    def _take(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            data = os.read(self._output_fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._close_output()
            return False
        kept = data[: MOST_OUTPUT_BYTES - len(self._output)]
        self._output += kept
        self._output_cut |= len(kept) < len(data)
        return not self._output_cut

    def _late(self) -> None:
        self.was_late = True
        self._timer = None
        self._kill()

    def _kill(self) -> None:
        if self._task is not None:
            self._stop_setting_up()
        elif self._pid:
            kill_with_descendants(self._pid)

    def _stop_setting_up(self) -> None:
        """It hangs before its program runs: entering a directory of a file system, say."""
        assert self._task is not None
        if self._pending is not None:
            self._pending.learn_number()
        self._task.cancel()
        self._task = None
        pid = self._pending.pid if self._pending is not None else 0
        if not pid:
            self._over(NO_EXIT_CODE)
            return
        # cancelled is killed; our child, so the number is its own until it is reaped
        self._watch_end(pid, os.pidfd_open(pid))

    def _ended(self) -> None:
        _pid, status = os.waitpid(self._pid, 0)
        self._forget()
        # what it has left running may hold the pipe open: what is there now is all
        while self._output_fd >= 0 and self._read():
            pass
        code = os.waitstatus_to_exitcode(status)
        self._over(128 - code if code < 0 else code)

    def _failed(self, error: Exception) -> None:
        self._task = None
        said = error.message if isinstance(error, SandboxError) else str(error)
        cause = error.cause if isinstance(error, SandboxError) else ""
        self._output += (f"{said}: {cause}" if cause else said).encode()[:MOST_OUTPUT_BYTES]
        self._over(NO_EXIT_CODE)

    def _over(self, exit_code: int) -> None:
        self._stop_timer()
        self._close_output()
        if self._done is not None:
            output = output_text(bytes(self._output), was_cut=self._output_cut)
            self._done(ProbeResult(self._began_ns, time.time_ns(), exit_code, output))

    def _forget(self) -> None:
        if self._pidfd >= 0:
            self._reactor.forget(self._pidfd)
            os.close(self._pidfd)
        self._pid, self._pidfd = 0, -1

    def _close_output(self) -> None:
        if self._output_fd >= 0:
            self._reactor.forget(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
