"""Starts a container's first process, from the monitor.

    monitor (outer user namespace)            child                      pid 1
    prepare: fork ───────────────────────▶  nested user + net ns, ends (`nested_namespaces`)
    set_up:  fork ───────────────────────▶  joins them, makes the
                                            other namespaces, forks ─▶  mounts, pivot_root, user, ...
           ◀────────────── b"P" pid ──────  ends
           ◀────────────── b"T" pty ───────────────────────────────────  with a terminal
           ◀────────────── b"R" or b"E" error ─────────────────────────  waits
    release: b"g" ───────────────────────────────────────────────────▶  seccomp, exec stub, program
           ◀────────────── end of stream, or errno ────────────────────

The monitor is a subreaper, so it is the parent of pid 1 once the child in between has ended; then pid 1 asks to die
with it (PR_SET_PDEATHSIG). The nested user namespace maps everything the outer one does under the same number. It
owns the network namespace; both are kept as descriptors, so that a restart finds its network as it was.

A container that shares the network of another is made in that one's outer user namespace (see
`user_namespace.join_user_namespace_of`): from there both nested namespaces can be entered, one after the other.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

from sandbox.errors import StartError, UnmappedIdError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.cgroup_entry import CgroupEntry
from sandbox.runtime.exec_stub import make_stub
from sandbox.runtime.init_stub import INIT_NAME, make_init
from sandbox.runtime.nested_namespaces import make_nested_namespaces
from sandbox.runtime.process import ProcessSetup, Stdio, explain_exec_errno, write_oom_score
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.rootfs import RootBuilder, make_filesystem
from sandbox.runtime.rootfs_plan import plan_root
from sandbox.runtime.sysctls import other_sysctls, write_sysctls
from sandbox.runtime.unseen import become_unseen
from sandbox.runtime.working_directory import no_directory
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from sandbox.runtime.nested_namespaces import Wires
    from sandbox.runtime.spec import ContainerSpec
    from storage.waits import Steps

_REPORT_LIMIT = 64 * 1024
_NO_DEV_EXEC_SUID = sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC


class Started(NamedTuple):
    """A running container: the caller owns both descriptors. `terminal_fd` is the pty's master, or None."""

    pid: int
    pidfd: int
    terminal_fd: int | None


class Launcher:
    """Starts one container, again and again; used in its monitor, inside the outer user and mount namespaces.

    `prepare` once, then `start` (or `set_up` and `release`) for each life. `network_fd` is the network namespace for
    slirp4netns to be pointed at (None unless the container has one of its own). `close` gives the descriptors back.
    """

    def __init__(self) -> None:
        self.user_fd: int = -1
        self.network_fd: int | None = None
        #: what connects it to bridges; None where it is on none
        self.wires: Wires | None = None
        self._stub_fd = -1

    def prepare(self, spec: ContainerSpec, router_fd: int = -1) -> None:
        """Make the nested user namespace and the network namespace, on bridges of the router where one is given. Raises
        StartError or HostError.
        """
        sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
        self._stub_fd = make_init() if spec.init else make_stub()
        self.user_fd, self.network_fd, self.wires = make_nested_namespaces(spec, router_fd)

    def set_up(self, spec: ContainerSpec, stdio: Stdio) -> PendingStart:
        """Bring the container up to the gate: all that is left is `release`. Raises SandboxError, with nothing left."""
        return carry_out(self.set_up_steps(spec, stdio))

    def set_up_steps(self, spec: ContainerSpec, stdio: Stdio) -> Steps[PendingStart]:
        """`set_up`, for who does something else while the container gets there; `stdio` stays open till the end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        entry = CgroupEntry(spec.cgroup, {})
        between = os.fork()
        if between == 0:
            ours.close()
            _Child(self, spec, stdio, theirs, entry).run()
        theirs.close()
        pending = PendingStart(spec.process.arguments[0], ours)
        yield from pending.ready_steps(between, entry)
        return pending

    def start(
        self, spec: ContainerSpec, stdio: Stdio, before_exec: Callable[[PendingStart], None] | None = None
    ) -> Started:
        """`set_up`, `before_exec`, `release`. Raises SandboxError, with nothing left running."""
        pending = self.set_up(spec, stdio)
        try:
            if before_exec is not None:
                before_exec(pending)
        except BaseException:
            pending.abandon()
            raise
        return pending.release()

    def close(self) -> None:
        """Close the namespaces and the stub; harmless when called twice. Those of `wires` are the taker's."""
        for fd in (self.user_fd, self.network_fd, self._stub_fd):
            if fd is not None and fd >= 0:
                os.close(fd)
        self.user_fd, self.network_fd, self._stub_fd = -1, None, -1

    @property
    def stub_fd(self) -> int:
        """The sealed memfd with the exec stub, or the init."""
        return self._stub_fd


class PendingStart:
    """A container that waits at its gate. `pid`, `pidfd` and `terminal_fd` are known; `release` or `abandon` it."""

    def __init__(self, name: str, channel: socket.socket) -> None:
        self._name = name
        self._channel = channel
        self.pid = 0
        self.pidfd = -1
        self.terminal_fd: int | None = None

    def wait_ready(self, between: int, entry: CgroupEntry) -> None:
        """Read reports until the gate is reached. Raises the SandboxError that was reported, with nothing left."""
        carry_out(self.ready_steps(between, entry))

    def ready_steps(self, between: int, entry: CgroupEntry) -> Steps[None]:
        """`wait_ready`, for who does something else meanwhile."""
        try:
            yield from self._read_reports(between, entry)
        except GeneratorExit:
            entry.close()
            # nobody waits for it: where it hangs on a file system, it ends when that does
            self._let_go()
            raise
        except BaseException as error:
            entry.close()
            self.abandon()
            if isinstance(error, UnmappedIdError):
                from sandbox.runtime.unmapped_ids import complete  # for this error only

                complete(error)
            raise

    def _read_reports(self, between: int, entry: CgroupEntry) -> Steps[None]:
        between_alive, ready, failure = True, False, None
        try:
            # "P" and "R" come from two processes, in either order
            while not (self.pid and (ready or failure)):
                yield self._channel.fileno(), None
                report = self._receive()
                kind = report[:1]
                if kind == b"P":
                    self.pid = int(report[1:])
                    # reaped here: pid 1 becomes this process's own child, and its number cannot be taken again
                    os.waitpid(between, 0)
                    between_alive = False
                    self.pidfd = os.pidfd_open(self.pid)
                    entry.bring(self.pid)
                elif kind == b"R":
                    ready = True
                elif kind == b"E":
                    # read on to the end: the pid is still to come, and who failed is to be reaped
                    failure = decode_error(report)
                elif not report:
                    raise failure or StartError("the container's first process died while it was being set up")
            if failure is not None:
                raise failure
        except GeneratorExit:
            if between_alive:
                os.kill(between, signal.SIGKILL)
            raise
        finally:
            if between_alive:
                os.waitpid(between, 0)

    def release(self) -> Started:
        """Open the gate and wait for the program to run. Raises SandboxError when it cannot be executed."""
        return carry_out(self.release_steps())

    def release_steps(self) -> Steps[Started]:
        """`release`, for who does something else until the program runs. Raises SandboxError, as that."""
        try:
            self._channel.send(b"g")
            yield self._channel.fileno(), None
            report = self._receive()
        except GeneratorExit:
            self._let_go()
            raise
        except OSError as error:
            self.abandon()
            raise StartError("the container's first process died before its program was run") from error
        if not report:
            self._channel.close()
            return Started(self.pid, self.pidfd, self.terminal_fd)
        self.abandon()
        if len(report) == 4:
            raise explain_exec_errno(struct.unpack("=i", report)[0], self._name)
        raise decode_error(report)

    def abandon(self) -> None:
        """End and reap what was started, close every descriptor; harmless when called twice."""
        is_there = self.pidfd >= 0
        self._let_go()
        if is_there:
            os.waitpid(self.pid, 0)

    def _let_go(self) -> None:
        self._channel.close()
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.close(self.pidfd)
            self.pidfd = -1
        if self.terminal_fd is not None:
            os.close(self.terminal_fd)
            self.terminal_fd = None

    def _receive(self) -> bytes:
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        report, ancillary, _flags, _address = self._channel.recvmsg(_REPORT_LIMIT, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self.terminal_fd = struct.unpack("i", data[:4])[0]
        return report


class _Child:
    """What runs in the forked child, and in pid 1 below it."""

    def __init__(
        self, launcher: Launcher, spec: ContainerSpec, stdio: Stdio, channel: socket.socket, entry: CgroupEntry
    ) -> None:
        self._launcher = launcher
        self._entry = entry
        self._spec = spec
        self._stdio = stdio
        self._channel = channel
        self._doing = "set up the container"
        #: file systems that can only be had before the container's user namespace is entered, by target
        self._prepared: dict[str, int] = {}

    def run(self) -> NoReturn:
        """Join and make the namespaces, fork pid 1 and report its number."""
        try:
            # a container's process must never read our memory or /proc/PID/exe, ptrace(2) §access mode checking
            write_oom_score(self._spec.process.oom_score_adjust)
            become_unseen()
            self._doing = "make the container's namespaces"
            joins_pids = self._spec.pid_mode == "join"
            if joins_pids:
                _join(self._spec.join_pid, "pid", sc.CLONE_NEWPID)
            else:
                self._enter_namespaces()
            pid = os.fork()
            if pid == 0:
                self._run_first_process(joins_pids)
            self._channel.send(b"P%d" % pid)
        except BaseException as error:  # noqa: BLE001  # a process boundary: the parent reads it as a report
            # a monitor that was killed meanwhile hears nothing
            with suppress(OSError):
                self._channel.send(encode_error(error, self._doing))
        finally:
            os._exit(0)

    def _enter_namespaces(self) -> None:
        spec = self._spec
        if spec.network == "join":
            _join(spec.join_network_pid, "net", sc.CLONE_NEWNET)
            # sysfs shows the network namespace, and that one belongs to the other container's user namespace
            read_only = 0 if spec.privileged else sc.MOUNT_ATTR_RDONLY
            self._prepared["/sys"] = make_filesystem("sysfs", (), _NO_DEV_EXEC_SUID | read_only)
        if spec.ipc_mode == "join":
            from sandbox.runtime.shared_mounts import copy_ipc_mounts

            self._prepared |= copy_ipc_mounts(spec.join_ipc_pid)
            _join(spec.join_ipc_pid, "ipc", sc.CLONE_NEWIPC)
        sc.setns(self._launcher.user_fd, sc.CLONE_NEWUSER)
        sc.prctl(sc.PR_SET_DUMPABLE, 0)  # setns(2) into a user namespace is a change of credentials
        if self._launcher.network_fd is not None:
            sc.setns(self._launcher.network_fd, sc.CLONE_NEWNET)
        flags = sc.CLONE_NEWNS
        for mode, flag in (
            (spec.pid_mode, sc.CLONE_NEWPID),
            (spec.ipc_mode, sc.CLONE_NEWIPC),
            (spec.uts_mode, sc.CLONE_NEWUTS),
        ):
            if mode == "private":
                flags |= flag
        sc.unshare(flags)

    def _run_first_process(self, joins_pids: bool) -> NoReturn:
        setup = None
        channel = self._channel
        try:
            self._entry.wait()
            if joins_pids:
                # this procfs belongs to the other container's user namespace: mounted before ours is entered
                self._prepared["/proc"] = make_filesystem("proc", (), _NO_DEV_EXEC_SUID)
                self._enter_namespaces()
            # the cgroup it is in now is the root of what it sees
            sc.unshare(sc.CLONE_NEWCGROUP)
            self._build_root()
            self._doing = "set up the container's first process"
            setup = ProcessSetup(
                self._spec.process, self._stdio, channel, self._launcher.stub_fd, self._spec.process_limit,
                (INIT_NAME,) if self._spec.init else (),
            )  # fmt: skip
            setup.prepare(console=True)
            channel = setup.channel
            self._wait_at_gate(channel)
            self._doing = "execute the container's program"
            setup.execute()
        except BaseException as error:  # noqa: BLE001  # a process boundary: the parent reads it as a report
            if setup is not None:
                channel = setup.channel
            channel.send(encode_error(error, self._doing))
        finally:
            os._exit(1)

    def _build_root(self) -> None:
        spec = self._spec
        self._doing = "set the container's sysctls"
        write_sysctls(other_sysctls(spec))
        self._doing = f"mount the root {spec.root}"
        builder = RootBuilder(spec.root, self._prepared)
        # before the root may become read-only; and once more in what was mounted over that
        self._make_working_directory(builder)
        self._doing = "mount the container's file systems"
        unified_cgroups = sc.is_filesystem("/sys/fs/cgroup", sc.CGROUP2_SUPER_MAGIC)
        builder.execute(plan_root(spec, unified_cgroups=unified_cgroups))
        self._make_working_directory(builder)
        if spec.uts_mode == "private":
            self._doing = "set the host name"
            sc.sethostname(spec.hostname)
            sc.setdomainname(spec.domain_name or "(none)")
        self._doing = "enter the container's root"
        # an import from here on would read the container's tree
        sys.meta_path.clear()
        builder.enter()

    def _make_working_directory(self, builder: RootBuilder) -> None:
        path = self._spec.process.working_directory or "/"
        try:
            builder.make_directory(path)
        except OSError as error:
            raise no_directory(f"cannot make the working directory {path}", builder.fd, path, error) from error

    def _wait_at_gate(self, channel: socket.socket) -> None:
        channel.send(b"R")
        if channel.recv(1) != b"g":
            os._exit(1)
        # only now: the child in between has ended, whose end would have counted as the parent's
        sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            gone = channel.recv(1, socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            gone = False
        if gone:
            os._exit(1)


def _join(pid: int, kind: str, flag: int) -> None:
    try:
        fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        sc.setns(fd, flag)
        os.close(fd)
    except FileNotFoundError as error:
        raise StartError(
            f"cannot share the {kind} namespace of another container", cause="it is not running"
        ) from error
    except PermissionError as error:
        raise StartError(
            f"cannot share the {kind} namespace of another container",
            cause="it lies below another user namespace than this container's",
            mend="share network, pid and ipc with one and the same container",
        ) from error
