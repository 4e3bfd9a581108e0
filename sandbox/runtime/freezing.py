"""The processes of a container, all of them held where they are, and let go on again.

With a cgroup of its own the kernel does it (cgroup-v2.rst, cgroup.freeze). Without one all are stopped by SIGSTOP:

    monitor              helper                                   in the container's pid namespace
    fork ──────────────▶ notes who is stopped already
                         setns(pid), SIGSTOP to the first process
                         fork ──────────────────────────────────▶ kill(-1, SIGSTOP)
                         looks whether all have stopped; else again
         ◀── who stopped ends

kill(2) of everybody is one moment for the kernel: what is being forked then gets the signal as well. Looked for in
/proc and signalled one by one, a process that forks and ends again and again would never be met. Only those that were
not stopped before are let go on, children before their parents, which so never see that they had stopped.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from contextlib import suppress

from sandbox.errors import ConflictError, SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.unseen import become_unseen
from storage.waits import child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storage.waits import Steps

#: what is held by a disk or by a network file system cannot be stopped before that answers
_DEADLINE_SECONDS = 10.0
#: between two looks at who has stopped, of which nobody is told who is no parent
_LOOK_AGAIN_MS = 1
#: stopped, traced, dead; and waiting in the kernel, which stops before it returns from there
_HELD = frozenset("TtZXxD")
#: <linux/nsfs.h>
_NS_GET_PARENT = 0xB702
_ENDED, _NOT_HELD = 1, 2
#: what the helper is called, and who it puts into the namespace: at most 15 bytes, proc(5)
_HELPER_NAME = b"sandbox-stopper"


class HeldProcess(NamedTuple):
    """A process that was stopped, by its number here and its start (clock ticks)."""

    pid: int
    start: int


class _Seen(NamedTuple):
    pid: int
    start: int
    #: proc(5), stat field 3
    state: str


def freeze_cgroup_steps(cgroup: str) -> Steps[None]:
    """Hold every process of the cgroup. Raises SandboxError, and then they go on."""
    frozen = False
    try:
        _write_freeze(cgroup, "1")
        frozen = yield from _wait_frozen(cgroup)
    except OSError as error:
        raise SandboxError("cannot freeze the container's cgroup", cause=error.strerror or "") from error
    finally:
        if not frozen:
            thaw_cgroup(cgroup)
    if not frozen:
        raise _not_held()


def thaw_cgroup(cgroup: str) -> None:
    """Let the processes of the cgroup go on; nothing happens where it is gone, or was not frozen."""
    with suppress(OSError):
        _write_freeze(cgroup, "0")


def stop_processes_steps(pidfd: int, pid: int) -> Steps[tuple[HeldProcess, ...]]:
    """Stop every process of the pid namespace whose first process is `pid`, that of `pidfd`; those that ran before.

    The caller may not be in that namespace. Raises ConflictError where it has ended, SandboxError where a process
    cannot be stopped, and then those that were stopped go on.
    """
    found = os.memfd_create("held", os.MFD_CLOEXEC)
    parent = os.getpid()
    helper = os.fork()
    if helper == 0:
        status = _ENDED
        try:
            sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
            with open("/proc/self/comm", "wb") as name:
                name.write(_HELPER_NAME)
            # the container may see who enters its pid namespace
            become_unseen()
            if os.getppid() == parent:
                status = _stop_all(pidfd, pid, found)
        finally:
            os._exit(status)
    ended = False
    try:
        status = yield from child_steps(helper)
        ended = True
        held = _read_held(found)
    finally:
        if not ended:
            os.kill(helper, signal.SIGKILL)
            os.waitpid(helper, 0)
            _reap_left()
            continue_processes(_read_held(found))
        os.close(found)
    if status:
        _reap_left()
        continue_processes(held)
        raise ConflictError("is not running") if os.waitstatus_to_exitcode(status) == _ENDED else _not_held()
    return held


def _reap_left() -> None:
    """Reap what a killed helper had in the namespace, whose first process cannot end before. It is ours now, of a
    monitor (PR_SET_CHILD_SUBREAPER), which waits for that process alone.
    """
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                left = _stat(f"/proc/{name}")
                if left.parent == os.getpid() and left.name == _HELPER_NAME:
                    os.kill(int(name), signal.SIGKILL)
                    os.waitpid(int(name), 0)


def continue_processes(held: Iterable[HeldProcess]) -> None:
    """Let them go on, children before their parents; those that have ended are passed over."""
    for pid, start in sorted(held, key=lambda each: (each.start, each.pid), reverse=True):
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                # with the descriptor in hand: the number may have been given anew
                if _stat(f"/proc/{pid}").start == start:
                    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            finally:
                os.close(pidfd)


def _not_held() -> SandboxError:
    return SandboxError(
        "a process of the container cannot be stopped", cause=f"it went on for {_DEADLINE_SECONDS:.0f} seconds"
    )


def _write_freeze(cgroup: str, value: str) -> None:
    with open(f"{cgroup}/cgroup.freeze", "w") as file:
        file.write(value)


def _wait_frozen(cgroup: str) -> Steps[bool]:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    with open(f"{cgroup}/cgroup.events", "rb", buffering=0) as events, select.epoll() as change:
        # cgroup-v2.rst, "cgroup.events": a change is told as POLLPRI to who has read the file
        change.register(events, select.EPOLLPRI)
        while b"frozen 1" not in os.pread(events.fileno(), 4096, 0):
            left = deadline - time.monotonic()
            if left <= 0 or not (yield change.fileno(), left):
                return False
    return True


# -- in the helper -----------------------------------------------------------------------------------------------------


def _stop_all(pidfd: int, pid: int, found: int) -> int:
    """Stop all and write down whom; the helper's status."""
    try:
        namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # asked again with the namespace in hand: the number may have been given anew
        signal.pidfd_send_signal(pidfd, 0)
        target = os.fstat(namespace).st_ino
        if target == os.stat("/proc/self/ns/pid").st_ino:
            return _NOT_HELD
        members = _Members(target)
        seen = tuple(members.look())
        known = {(each.pid, each.start) for each in seen if each.state == "T"}
        # from here on the helper's children are in there, and it is not
        sc.setns(namespace, sc.CLONE_NEWPID)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            # before they are stopped, so that none stays so where this process is killed
            new = [(each.pid, each.start) for each in seen if (each.pid, each.start) not in known]
            known.update(new)
            os.write(found, "".join(f"{pid} {start}\n" for pid, start in new).encode())
            if not new and all(each.state in _HELD for each in seen):
                return 0
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            _stop_everybody_else()
            seen = tuple(members.look())
            if time.monotonic() > deadline:
                return _NOT_HELD
            select.poll().poll(_LOOK_AGAIN_MS)
    except OSError:
        # a pid namespace whose first process has ended takes nobody in
        return _ENDED


def _stop_everybody_else() -> None:
    """SIGSTOP to all of the namespace but its first process. Raises OSError where nobody can be put into it."""
    child = os.fork()
    if child == 0:
        # whoever has a parent here is in the host's own namespace, and must not stop that
        if os.getppid() == 0:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGSTOP)
        os._exit(0)
    os.waitpid(child, 0)


class _Members:
    """The processes in a pid namespace and in those below it."""

    def __init__(self, namespace: int) -> None:
        #: inode of a namespace -> whether it is in this one
        self._known = {namespace: True, os.stat("/proc/self/ns/pid").st_ino: False}

    def look(self) -> Iterator[_Seen]:
        for name in os.listdir("/proc"):
            if name.isdecimal():
                # ended, or another user's
                with suppress(OSError):
                    if self._is_in(f"/proc/{name}/ns/pid"):
                        yield from self._see(int(name))

    def _is_in(self, path: str) -> bool:
        inode = os.stat(path).st_ino
        if inode not in self._known:
            self._known[inode] = self._is_below(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._known[inode]

    def _is_below(self, namespace: int) -> bool:
        try:
            parent = fcntl.ioctl(namespace, _NS_GET_PARENT)
        except OSError:
            return False  # above those that this process may know of
        finally:
            os.close(namespace)
        inode = os.fstat(parent).st_ino
        if inode in self._known:
            os.close(parent)
            return self._known[inode]
        return self._is_below(parent)

    def _see(self, pid: int) -> Iterator[_Seen]:
        first = _stat(f"/proc/{pid}")
        states = [first.state]
        # the first thread may have stopped, or ended, before the others
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                states.append(_stat(f"/proc/{pid}/task/{thread}").state)
        if any(state not in "ZX" for state in states):
            yield _Seen(pid, first.start, next((state for state in states if state not in _HELD), states[0]))


class _Stat(NamedTuple):
    #: proc(5), stat fields 2, 3, 4 and 22
    name: bytes
    state: str
    parent: int
    start: int


def _stat(directory: str) -> _Stat:
    # the command name, field 2, may hold parentheses, and what is no text
    with open(f"{directory}/stat", "rb") as file:
        before, _, after = file.read().rpartition(b")")
    fields = after.split()
    return _Stat(before.partition(b"(")[2], fields[0].decode(), int(fields[1]), int(fields[19]))


def _read_held(found: int) -> tuple[HeldProcess, ...]:
    """Of what the helper has written the whole lines."""
    size = os.fstat(found).st_size
    lines = os.pread(found, size, 0).decode().split("\n")[:-1]
    return tuple(HeldProcess(*map(int, line.split())) for line in lines)
