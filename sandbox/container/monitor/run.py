"""One run of a container's program in its monitor: the process and its streams, from the release to the end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from sandbox.container.monitor.pause import Pause
from sandbox.container.monitor.stdio import Stdio
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.monitor.plan import Started
    from sandbox.container.monitor.roles import Freezer
    from sandbox.container.monitor.stdio import MonitorEnds
    from sandbox.runtime.reactor import Reactor, Timer


class RunEvents(NamedTuple):
    """Who is told what happens in a run."""

    took_output: Callable[[int, bytes], None]
    #: the container has taken input: more may be brought
    took_input: Callable[[], None]
    #: the exit code and the seconds it ran; the process is reaped, its output read
    ended: Callable[[int, float], None]


class Run:
    """Owns the process and the monitor's ends of its streams."""

    def __init__(
        self, reactor: Reactor, process: Started, ends: MonitorEnds, events: RunEvents, freezer: Freezer
    ) -> None:
        self._reactor = reactor
        self.pause = Pause(freezer, reactor)
        self._process = process
        self._ended = events.ended
        self._began = time.monotonic()
        self._kill_timer: Timer | None = None
        self.stdio = Stdio(reactor, ends, events.took_output)
        self.stdio.on_input_taken = events.took_input
        reactor.watch(process.pidfd, READ, self._process_ended)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Send a signal to the process. Raises ProcessLookupError where it has ended; OSError, ValueError and
        OverflowError for what is no signal.
        """
        if not self.pause.holds_back(number):
            signal.pidfd_send_signal(self._process.pidfd, number)

    def kill(self) -> None:
        """SIGKILL; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)

    def when_late(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` where the run goes on for so long; the last such call counts."""
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._kill_timer = self._reactor.after(seconds, act)

    def end(self) -> None:
        """Kill and reap the process, for a run that could not be recorded; `ended` is not told."""
        self.kill()
        os.waitpid(self._process.pid, 0)

    def _process_ended(self, _events: int) -> None:
        _pid, status = os.waitpid(self._process.pid, 0)
        self._reactor.forget(self._process.pidfd)
        os.close(self._process.pidfd)
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        # a cgroup that stayed frozen would hold the next run
        self.pause.end()
        # every process of the container is dead by now (pid_namespaces(7)), so this ends
        self.stdio.drain()
        self.stdio.close()
        code = os.waitstatus_to_exitcode(status)
        self._ended(128 - code if code < 0 else code, time.monotonic() - self._began)
