"""Enters a running container for `sandbox exec`: another process beside its first one.

    command                              child
    fork ─────────────────────────────▶  setns: user namespace first, then all others that differ (`_from_above`)
                                         fork ──▶ the process: user, limits, capabilities, filter
           ◀──────────── b"P" pid ─────  ends
           ◀──────────── b"T", b"R" ─────────────
    b"g" ─────────────────────────────────────▶  exec stub, program

Who made the outer user namespace has every capability in the namespaces below it, so no set-user-id helper is
needed. The command is a subreaper meanwhile: the process becomes its child.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from contextlib import ExitStack, suppress

from sandbox.errors import ConflictError, StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.cgroup_entry import CgroupEntry
from sandbox.runtime.exec_stub import make_stub
from sandbox.runtime.launch import PendingStart
from sandbox.runtime.process import ProcessSetup, Stdio, write_oom_score
from sandbox.runtime.reports import encode_error
from sandbox.runtime.unseen import become_unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sandbox.runtime.spec import ProcessSpec

#: in the order in which they can be entered: the user namespace gives the power to enter the others
_NAMESPACES: tuple[tuple[str, int], ...] = (
    ("user", sc.CLONE_NEWUSER),
    ("cgroup", sc.CLONE_NEWCGROUP),
    ("ipc", sc.CLONE_NEWIPC),
    ("uts", sc.CLONE_NEWUTS),
    ("net", sc.CLONE_NEWNET),
    ("pid", sc.CLONE_NEWPID),
    ("mnt", sc.CLONE_NEWNS),
)
#: a child that enters namespaces, which is quick, and has not done so hangs
_HANGING_MS = 500


def set_up_exec(
    container_pid: int, spec: ProcessSpec, stdio: Stdio, *, cgroup: str = "", process_limit: int = 0
) -> PendingStart:
    """Set `spec` up in the container whose first process is `container_pid`: it waits at its gate, its program does not
    run yet.

    The caller owns what `release` gives and waits for the pid, which is its child. Raises ConflictError when the
    container is gone, StartError and its kin when the program cannot be run.
    """
    was_subreaper = sc.is_child_subreaper()
    sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
    try:
        begun = begin_exec(container_pid, spec, stdio, cgroup=cgroup, process_limit=process_limit)
        begun.pending.wait_ready(begun.between, begun.entry)
    finally:
        sc.prctl(sc.PR_SET_CHILD_SUBREAPER, was_subreaper)
    return begun.pending


class PendingExec(PendingStart):
    """A process that waits at its gate, or is on its way there."""

    def learn_number(self) -> None:
        """Before `ready_steps` is given up: take the number of the process, where it has been forked, for who has none
        is never reaped. Nothing else is waited for.
        """
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        # the child that forks says so at once, or hangs; the end of the channel says that nothing was forked
        while not self.pid and poller.poll(_HANGING_MS) and (report := self._receive()):
            if report[:1] == b"P":
                self.pid = int(report[1:])
                self.pidfd = os.pidfd_open(self.pid)


class BegunExec(NamedTuple):
    """A process on its way into a container: the arguments of `pending.ready_steps`, which takes it to its gate."""

    pending: PendingExec
    #: the child that enters the namespaces
    between: int
    entry: CgroupEntry


def begin_exec(
    container_pid: int, spec: ProcessSpec, stdio: Stdio, *, cgroup: str = "", process_limit: int = 0
) -> BegunExec:
    """The first half of `set_up_exec`, which waits for nothing; the caller is a subreaper. Raises as that, OSError."""
    with ExitStack() as ours_alone:
        namespaces = open_namespaces(container_pid)
        for fd, _flag in namespaces:
            ours_alone.callback(os.close, fd)
        stub_fd = make_stub()
        ours_alone.callback(os.close, stub_fd)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours_alone.callback(theirs.close)
        with ExitStack() as on_failure:
            on_failure.callback(ours.close)
            entry = CgroupEntry(cgroup, os.environ)
            on_failure.callback(entry.close)
            setup = ProcessSetup(spec, stdio, theirs, stub_fd, process_limit)
            child = _Child(namespaces, setup, spec, theirs, entry)
            between = os.fork()
            if between == 0:
                ours.close()
                child.run()
            on_failure.pop_all()
    return BegunExec(PendingExec(spec.arguments[0], ours), between, entry)


def open_namespaces(pid: int) -> tuple[tuple[int, int], ...]:
    """Descriptor and CLONE_NEW* flag of each namespace of `pid` that is not the caller's own, in order of entering.

    One that is another container's (`--network container:ID`) can be entered only from above both: from the user
    namespace that is over the two, and before the container's own.

    Raises ConflictError when `pid` is gone. The pidfd is what ties all of them to one and the same process.

    Raises StartError where the kernel refuses.
    """
    try:
        pidfd = os.pidfd_open(pid)
        # a first process of another user lets this one through its directory, but not list it
        directory = os.open(f"/proc/{pid}/ns", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened: list[tuple[int, int]] = []
        for name, flag in _NAMESPACES:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
            theirs, own = os.fstat(fd), os.stat(f"/proc/self/ns/{name}")
            if theirs.st_ino == own.st_ino:
                os.close(fd)
            else:
                opened.append((fd, flag))
        os.close(directory)
        opened = _from_above(opened)
        # still the same process after all were opened, so the number was not taken by another in between
        signal.pidfd_send_signal(pidfd, 0)
        os.close(pidfd)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ConflictError("the container is not running") from error
    except PermissionError as error:
        raise StartError("cannot enter the container's namespaces", cause=f"{error.strerror}: pid {pid}") from error
    return tuple(opened)


def _from_above(opened: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The namespaces with those first that do not belong to the container's user namespace."""
    if not opened or opened[0][1] != sc.CLONE_NEWUSER:
        return opened
    user = opened[0]
    foreign = [one for one in opened[1:] if not _is_owned(one[0], user[0])]
    if not foreign:
        return opened
    owner = fcntl.ioctl(foreign[0][0], sc.NS_GET_USERNS)
    over_both = _common_ancestor(user[0], owner)
    os.close(owner)
    above = [] if over_both is None else [(over_both, sc.CLONE_NEWUSER)]
    return [*above, *foreign, user, *(one for one in opened[1:] if one not in foreign)]


def _is_owned(namespace: int, user: int) -> bool:
    owner = fcntl.ioctl(namespace, sc.NS_GET_USERNS)
    try:
        return os.path.samestat(os.fstat(owner), os.fstat(user))
    finally:
        os.close(owner)


def _common_ancestor(first: int, second: int) -> int | None:
    """The nearest user namespace over both; None where that is the caller's own, or one that it does not see."""
    others = _ancestors(second)
    found = None
    for fd in _ancestors(first):
        if found is None and any(os.path.samestat(os.fstat(fd), os.fstat(other)) for other in others):
            found = fd
        else:
            os.close(fd)
    for fd in others:
        os.close(fd)
    return found


def _ancestors(user: int) -> list[int]:
    """The user namespaces over `user`, nearest first, up to the caller's own, which is not among them."""
    own = os.stat("/proc/self/ns/user")
    found: list[int] = []
    while True:
        try:
            parent = fcntl.ioctl(found[-1] if found else user, sc.NS_GET_PARENT)
        except PermissionError:
            return found
        if os.path.samestat(os.fstat(parent), own):
            os.close(parent)
            return found
        found.append(parent)


class _Child:
    def __init__(
        self,
        namespaces: tuple[tuple[int, int], ...],
        setup: ProcessSetup,
        spec: ProcessSpec,
        channel: socket.socket,
        entry: CgroupEntry,
    ) -> None:
        self._namespaces = namespaces
        self._entry = entry
        self._setup = setup
        self._spec = spec
        self._channel = channel

    def run(self) -> NoReturn:
        """Enter the namespaces and fork the process."""
        try:
            write_oom_score(self._spec.oom_score_adjust)
            # before setns: the container's processes must not reach this one's memory, /proc/PID/exe or descriptors
            become_unseen()
            sys.meta_path.clear()
            for fd, flag in self._namespaces:
                sc.setns(fd, flag)
                sc.prctl(sc.PR_SET_DUMPABLE, 0)  # a change of credentials may set it again
            _become_namespace_root()
            pid = os.fork()
            if pid == 0:
                self._run_process()
            self._channel.send(b"P%d" % pid)
        except BaseException as error:  # noqa: BLE001  # a process boundary: the parent reads it as a report
            # who would read it may be dead; never back into the code of the process that was forked
            with suppress(OSError):
                self._channel.send(encode_error(error, "enter the container"))
        finally:
            os._exit(0)

    def _run_process(self) -> NoReturn:
        try:
            self._entry.wait()
            self._setup.prepare(console=False)
            self._setup.channel.send(b"R")
            if self._setup.channel.recv(1) == b"g":
                self._setup.execute()
        except BaseException as error:  # noqa: BLE001  # a process boundary: the parent reads it as a report
            with suppress(OSError):
                self._setup.channel.send(encode_error(error, "set up the process"))
        finally:
            os._exit(1)


def _become_namespace_root() -> None:
    # setns(2) changes the capabilities, not the ids, which may not even be mapped
    with suppress(PermissionError):
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
