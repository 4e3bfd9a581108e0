"""The process that brings services to what is wanted of them: one for each user and data root, while it is needed.

It decides (`deciding`), has workers do what there is to do (`doing`), and looks again when one of them has ended, when
somebody calls (`reconciler_calls`) or when a time has come. All it knows is in the rows: it may be killed at any
instruction, and the next one goes on.

With nothing to decide for a while it ends. Where services have containers it becomes a shell that waits for the next
call, some 200 kB, and then starts it anew: whoever calls may be a monitor, which cannot start it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import closing, suppress

import trio

from sandbox.errors import SandboxError
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple
from sandbox.operation_context import OperationContext
from sandbox.own_modules import module_places
from sandbox.paths import find_paths
from sandbox.reconciler_calls import call_path, call_reconciler, lock_path, turn_path
from sandbox.runtime.systemd_scopes import leave_session
from sandbox.service.acts import act_of
from sandbox.service.deciding import decide
from sandbox.service.store import all_services, due_services
from sandbox.state import connect_state
from sandbox.warm.line import Request
from sandbox.warm.trio_workers import open_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from sandbox.paths import Paths
    from sandbox.service.acts import Act
    from sandbox.service.planning import Decision
    from sandbox.service.task import Task
    from sandbox.warm.trio_workers import TrioWorkers

#: nothing to decide for so long, and it ends
QUIET_SECONDS = 2.0
#: what happens together is looked at together
_TOGETHER_SECONDS = 0.02
#: containers that are made or started at once
_AT_ONCE = 8
#: an act that fails of this machine is tried so often, each time later
_ATTEMPTS = 4
_RETRY_SECONDS = 0.5
#: while something is waited for, it is looked whether a monitor was killed
_LOOK_SECONDS = 5.0
_SLEEPER = 'read -r _; exec "$@"'
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from sandbox.service.reconciler import main; main()"


class _Busy(NamedTuple):
    """An act that is on."""

    act: Act
    scope: trio.CancelScope


class _Reconciler:
    def __init__(self, context: OperationContext, calls_fd: int, workers: TrioWorkers) -> None:
        self._context = context
        self._calls_fd = calls_fd
        self._workers = workers
        self._busy: dict[str, _Busy] = {}
        #: by task: how often an act has failed of this machine
        self._failures: dict[str, int] = {}
        #: by service: its ports and their members as they were told last, and whether that is going on
        self._told: dict[str, tuple[object, ...]] = {}
        self._telling: set[str] = set()
        self._limit = trio.CapacityLimiter(_AT_ONCE)
        self._wakeup = trio.Event()

    async def run(self) -> None:
        """Return when nothing was to be decided for a while."""
        with closing(connect_state(self._context.paths, durable=False)) as connection:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                # the first time all of them: after a reboot nobody has called for any
                services = [service.id for service in all_services(connection, removing=True)]
                while await self._wait_next(self._decide(connection, nursery, services)):
                    services = [service_id for service_id, _due_ns in due_services(connection)]
                nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._calls_fd)
            take_calls(self._calls_fd)
            self._wakeup.set()

    def _decide(self, connection: sqlite3.Connection, nursery: trio.Nursery, services: Sequence[str]) -> float:
        """Decide on each, and begin what there is to do; for how long nothing is to be decided again, where nobody
        calls.
        """
        # what happens from now on is seen the next time
        self._wakeup = trio.Event()
        seconds = _LOOK_SECONDS if self._busy or self._telling else QUIET_SECONDS
        for service_id in services:
            decision = decide(connection, self._context.paths, service_id)
            self._begin_telling(service_id, decision, nursery)
            if decision is None:
                continue
            if self._begin_acts(decision.tasks, nursery):
                seconds = max(seconds, _LOOK_SECONDS)
            if decision.wake_ns:
                seconds = min(max(seconds, _LOOK_SECONDS), max(0.0, decision.wake_ns / 1e9 - time.time()))
        return seconds

    async def _wait_next(self, seconds: float) -> bool:
        """Wait until there may be something to decide; False where there was nothing for a while."""
        with trio.move_on_after(seconds):
            await self._wakeup.wait()
            await trio.sleep(_TOGETHER_SECONDS)
        return self._wakeup.is_set() or seconds != QUIET_SECONDS

    def _begin_acts(self, tasks: Sequence[Task], nursery: trio.Nursery) -> bool:
        """Begin what is to be done for them; whether something is on, or waited for."""
        is_waiting = False
        for task in tasks:
            act, busy = act_of(task), self._busy.get(task.id)
            if busy is not None and busy.act == "prepare" and act in ("stop", "remove"):
                # for an image, perhaps, that nobody waits for any more
                busy.scope.cancel()
            if busy is None and act is not None and self._failures.get(task.id, 0) < _ATTEMPTS:
                busy = self._busy[task.id] = _Busy(act, trio.CancelScope())
                nursery.start_soon(self._act, task.id, busy)
            is_waiting = is_waiting or busy is not None or task.state == "starting"
        return is_waiting

    def _begin_telling(self, service_id: str, decision: Decision | None, nursery: trio.Nursery) -> None:
        """Have the ports told of what has changed of them, one change after the other."""
        told: tuple[object, ...] = ()
        if decision is not None and not decision.service.removing:
            members = frozenset(task.container_id for task in decision.tasks if task.is_member)
            told = (decision.service.spec.ports, decision.service.spec.affinity, members)
        if service_id not in self._telling and self._told.get(service_id) != told:
            self._told[service_id] = told
            self._telling.add(service_id)
            nursery.start_soon(self._tell, service_id)

    async def _tell(self, service_id: str) -> None:
        try:
            await self._call("service.settle_ports", service_id)
        except SandboxError:
            # whose ports are taken by now, say: it is tried again with the next change
            await trio.sleep(_RETRY_SECONDS)
        finally:
            self._telling.discard(service_id)
            self._wakeup.set()

    async def _act(self, task_id: str, busy: _Busy) -> None:
        try:
            with busy.scope:
                if busy.act in ("prepare", "start"):
                    async with self._limit:
                        await self._call("service.do", task_id, busy.act)
                else:
                    await self._call("service.do", task_id, busy.act)
            self._failures.pop(task_id, None)
        except SandboxError as error:
            await self._note_failure(task_id, busy.act, error)
        finally:
            self._busy.pop(task_id, None)
            self._wakeup.set()

    async def _call(self, operation: str, *arguments: object) -> None:
        await self._workers.call(Request(operation, (self._context, *arguments), environment=self._context.env))

    async def _note_failure(self, task_id: str, act: Act, error: SandboxError) -> None:
        attempts = self._failures[task_id] = self._failures.get(task_id, 0) + 1
        if attempts < _ATTEMPTS:
            await trio.sleep(_RETRY_SECONDS * 2**attempts)
        elif act in ("prepare", "start"):
            with suppress(SandboxError):
                await self._call("service.give_up", task_id, error.message)
            del self._failures[task_id]


def main() -> None:
    """Reconcile until nothing is to be decided, then wait for the next call, or end where there is no service.

    Returns where another one does so.
    """
    os.chdir("/")
    # of whoever has started it, who may wait for their end
    os.closerange(3, 1 << 20)
    env = dict(os.environ)
    paths = find_paths(env)
    turn_fd = _take_turn(paths)
    if not _take_lock(paths):
        return
    leave_session("services", env)
    while True:
        calls_fd = _open_calls(paths)
        os.close(turn_fd)
        take_calls(calls_fd)
        _run(OperationContext(paths, env), calls_fd)
        if _has_services(paths):
            _sleep_until_called(calls_fd, env)
        turn_fd = _take_turn(paths)
        os.unlink(call_path(paths))
        # who found it before that, and may call in vain, has written down what he calls for
        if not _has_services(paths):
            return
        os.close(calls_fd)


def _run(context: OperationContext, calls_fd: int) -> None:
    while True:
        trio.run(_reconcile, context, calls_fd)
        # whoever changes something calls after that
        if not take_calls(calls_fd):
            return


def _has_services(paths: Paths) -> bool:
    with closing(connect_state(paths, durable=False)) as connection:
        return bool(all_services(connection, removing=True))


async def _reconcile(context: OperationContext, calls_fd: int) -> None:
    async with open_workers() as workers:
        await _Reconciler(context, calls_fd, workers).run()


def take_calls(fd: int) -> bool:
    """Forget the calls so far; whether there were any."""
    taken = False
    with suppress(BlockingIOError):
        while os.read(fd, 4096):
            taken = True
    return taken


def _take_turn(paths: Paths) -> int:
    """Wait until no other one begins or ends: from here until the descriptor is closed, one that has the lock listens,
    but for this one.
    """
    fd = os.open(turn_path(paths), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _take_lock(paths: Paths) -> bool:
    """Have the lock until this process ends or executes another program; False where another one has it, and was
    called. In one's turn.
    """
    fd = os.open(lock_path(paths), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        call_reconciler(paths)
        os.close(fd)
        return False
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} {process_start(os.getpid())}".encode(), 0)
    return True


def _open_calls(paths: Paths) -> int:
    """The FIFO, open for writing too: with a writer of its own it never ends."""
    path = call_path(paths)
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    # of the shell that has waited
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    return fd


def _sleep_until_called(calls_fd: int, env: Mapping[str, str]) -> None:
    """Become a shell that waits for a call and then this program. The lock is free meanwhile; the calls are kept."""
    os.dup2(calls_fd, 0)
    os.set_blocking(0, True)
    words = [sys.executable, "-IS", "-c", _BOOT, *module_places()]
    os.execve("/bin/sh", ["sandbox-services", "-c", _SLEEPER, "sandbox-services", *words], dict(env))
