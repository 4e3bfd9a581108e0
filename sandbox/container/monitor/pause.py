"""One run of a container, paused: all of its processes are held, and signals wait, until they are let go on."""

from __future__ import annotations

import signal

from sandbox.container.monitor.task import Task
from sandbox.errors import ConflictError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.monitor.plan import Started
    from sandbox.container.monitor.roles import Answer, Freezer
    from sandbox.runtime.freezing import HeldProcess
    from sandbox.runtime.reactor import Reactor
    from storage.waits import Steps


class CgroupFreezer:
    """Holds the processes of a cgroup of the container's own."""

    def __init__(self, cgroup: str) -> None:
        self._cgroup = cgroup

    def freeze_steps(self) -> Steps[None]:
        from sandbox.runtime.freezing import freeze_cgroup_steps  # few containers are ever paused

        return freeze_cgroup_steps(self._cgroup)

    def thaw(self) -> None:
        from sandbox.runtime.freezing import thaw_cgroup

        thaw_cgroup(self._cgroup)

    def holds_back(self, _number: int) -> bool:
        return False


class SignalFreezer:
    """Stops the processes of the container's pid namespace by SIGSTOP, and lets go on those that it stopped."""

    def __init__(self, process: Started) -> None:
        self._process = process
        self._held: tuple[HeldProcess, ...] = ()

    def freeze_steps(self) -> Steps[None]:
        from sandbox.runtime.freezing import stop_processes_steps

        self._held = yield from stop_processes_steps(self._process.pidfd, self._process.pid)

    def thaw(self) -> None:
        from sandbox.runtime.freezing import continue_processes

        held, self._held = self._held, ()
        continue_processes(held)

    def holds_back(self, number: int) -> bool:
        # they get it when they go on
        return number == signal.SIGCONT


class NoFreezer:
    """Of a container whose processes cannot be told from others': `what` it shares."""

    def __init__(self, what: str) -> None:
        self._what = what

    def freeze_steps(self) -> Steps[None]:
        """Raises SandboxError."""
        yield from ()
        raise SandboxError(
            "its processes cannot be told from those of others",
            cause=f"it shares the process numbers of {self._what}, and has no cgroup of its own",
            mend="run it with a limit, such as --pids-limit 4096, where cgroups are delegated (sandbox doctor)",
        )

    def thaw(self) -> None:
        """There is nothing to let go on."""

    def holds_back(self, _number: int) -> bool:
        return False


class Pause:
    """Whether a run is paused, from `begin` to `end`."""

    def __init__(self, freezer: Freezer, reactor: Reactor) -> None:
        self._freezer = freezer
        self._reactor = reactor
        self._task: Task | None = None
        self._answer: Answer | None = None
        self.is_on = False

    def begin(self, answer: Answer) -> None:
        """Hold all processes, and tell. Of a second one at the same time it is told that the run is paused."""
        if self.is_on or self._task is not None:
            answer(ConflictError("is already paused"))
            return
        self._answer = answer
        self._task = Task(self._reactor, self._freezer.freeze_steps(), self._frozen, self._failed)
        self._task.begin()

    def end(self) -> bool:
        """Let them go on; whether they were held. What is just being held is let go on as well."""
        if self._task is not None:
            self._task.cancel()
            self._freezer.thaw()
            self._failed(ConflictError("is being stopped"))
            return False
        was_on, self.is_on = self.is_on, False
        if was_on:
            self._freezer.thaw()
        return was_on

    def holds_back(self, number: int) -> bool:
        """Whether this signal must not be sent now, for it would let the process go on."""
        return self.is_on and self._freezer.holds_back(number)

    def _frozen(self, _nothing: object) -> None:
        self.is_on = True
        self._tell(None)

    def _failed(self, error: Exception) -> None:
        self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        answer, self._answer, self._task = self._answer, None, None
        if answer is not None:
            answer(error)
