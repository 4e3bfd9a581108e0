"""A container's health check in its monitor: when it is run, what is kept of it, and who hears that it has changed."""

from __future__ import annotations

import os
import time

# with what a probe needs: at its time an upgrade may be about to replace the files
import sandbox.runtime.enter  # noqa: F401
from sandbox.container.model.events import Tell
from sandbox.container.model.transitions import HealthChanged
from sandbox.container.monitor.health_log import read_health, write_health
from sandbox.container.monitor.health_rules import (
    Health,
    after_probe,
    at_start,
    late_text,
    probe_words,
    rules_of,
    wait_ns,
)
from sandbox.container.monitor.probe import Probe
from sandbox.errors import ConflictError
from sandbox.event_followers import anybody_follows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.monitor.health_rules import ProbeResult
    from sandbox.container.monitor.plan import HealthPlaces
    from sandbox.container.monitor.record_writer import RecordWriter
    from sandbox.container.monitor.roles import Answer, Prober
    from sandbox.runtime.reactor import Reactor, Timer

_NS = 10**9
#: linux/sched.h
_PF_EXITING = 0x4


class HealthWatch:
    """Probes from `begin` to `end`, over and over; one probe at a time. `told` hears of each change."""

    def __init__(
        self,
        config: ContainerConfig,
        prober: Prober,
        reactor: Reactor,
        writer: RecordWriter,
        places: HealthPlaces,
        told: Callable[[bool], None] = lambda is_healthy: None,
    ) -> None:
        self._words = probe_words(config.health, config.shell)
        self._rules = rules_of(config.health)
        self._prober = prober
        self._reactor = reactor
        self._writer = writer
        self._told = told
        self._places = places
        self._health = read_health("", places.kept)
        self._pid = 0
        self._began_ns = 0
        self._timer: Timer | None = None
        self._probe: Probe | None = None
        #: of a probe whose events are told; "" where nobody follows
        self._exec_id = ""
        #: who waits for the next result
        self._waiting: list[Answer] = []

    def begin(self, pid: int) -> None:
        """The container runs, `pid` being its first process."""
        self._pid, self._began_ns = pid, time.monotonic_ns()
        self._keep(at_start(self._health))
        self._told(False)
        self._probe_later()

    def end(self) -> None:
        """It does not run any more, nor does a probe; twice is safe."""
        self._pid = 0
        self.pause()

    def close(self) -> None:
        """Keep the results where they are found when the container has ended."""
        self.end()
        write_health(self._places.kept, self._health)

    def pause(self) -> None:
        """Run none until `resume`; one that is under way is ended and does not count."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._probe is not None:
            probe, self._probe = self._probe, None
            probe.cancel()
        self._answer(ConflictError("is not running"))

    def resume(self) -> None:
        """Go on, with a whole interval before the next probe."""
        if self._pid and self._timer is None and self._probe is None:
            self._probe_later()

    def probe_now(self, answer: Answer) -> bool:
        """Run one at once, or let one that is under way be it; `answer` gets None when its result is kept, an error
        where it is given up. False where none is run: the container does not run, or is paused.
        """
        if self._timer is None and self._probe is None:
            return False
        self._waiting.append(answer)
        if self._timer is not None:
            self._timer.cancel()
            self._begin_probe()
        return True

    @property
    def _age_ns(self) -> int:
        return time.monotonic_ns() - self._began_ns

    def _probe_later(self) -> None:
        wait = wait_ns(self._health, self._rules, self._age_ns)
        self._timer = self._reactor.after(wait / _NS, self._begin_probe)

    def _begin_probe(self) -> None:
        self._timer = None
        age_ns = self._age_ns
        probe = Probe(self._reactor, self._rules.timeout_ns / _NS, lambda result: self._probed(probe, result, age_ns))
        self._probe = probe
        self._tell_began()
        probe.begin(lambda output_fd: self._prober.begin_probe(self._pid, self._words, output_fd))

    def _probed(self, probe: Probe, result: ProbeResult, age_ns: int) -> None:
        self._probe = None
        if result.exit_code and _is_ending(self._pid):
            # its end is the probe's, at whatever point that was, and says nothing of how it did
            return
        self._tell_ended(result)
        if probe.was_late:
            result = result._replace(exit_code=-1, output=late_text(self._rules, result.output))
        before, health = self._health, after_probe(self._health, self._rules, result, age_ns)
        self._keep(health)
        if health.status != before.status:
            self._writer.write(HealthChanged(health.status).apply)
            self._told(health.status == "healthy")
        self._answer(None)
        if self._pid:
            self._probe_later()

    def _answer(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer(error)

    def _keep(self, health: Health) -> None:
        self._health = health
        write_health(self._places.running, health)

    def _tell_began(self) -> None:
        """Events of probes are many, and few read them: they are written while somebody does."""
        self._exec_id = os.urandom(32).hex() if anybody_follows(self._places.followers) else ""
        if self._exec_id:
            known = {"execID": self._exec_id}
            # Docker: the program, a space, its arguments with spaces between
            command = f"{self._words[0]} {' '.join(self._words[1:])}"
            self._writer.write(Tell(f"exec_create: {command}", known))
            self._writer.write(Tell(f"exec_start: {command}", known))

    def _tell_ended(self, result: ProbeResult) -> None:
        if self._exec_id:
            self._writer.write(Tell("exec_die", {"execID": self._exec_id, "exitCode": str(result.exit_code)}))


def _is_ending(pid: int) -> bool:
    """Whether a child is on its way out: the kernel ends all that is in its namespace first, pid_namespaces(7)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            flags = file.read().rpartition(b")")[2].split()[6]
    except OSError:
        return True
    return bool(int(flags) & _PF_EXITING)
