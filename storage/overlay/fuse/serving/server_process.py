"""A FUSE mount and the process that serves it.

    caller (monitor, build, export)          server
    open /dev/fuse, fork ─────────────────▶  its own session and mount namespace, without any mount of ours
    mount(2) at the target ──────── b"m" ─▶  imports pyfuse3 and trio, which takes longest
    goes on; who looks below the target
    waits in the kernel for FUSE_INIT
           ◀───────────────────────── b"R"   serves until the mount is gone, then ends
           ◀───── b"E" and a reason, or end  (what it died of)

The caller's process must be single-threaded, and root of the user namespace that owns the mount: the kernel wants
/dev/fuse opened in the namespace it is mounted in. The server holds no mount alive: its mount namespace is a copy
with ours taken out, so that the kernel unmounts with the last process of the container, and that ends the server.
Not even root of a container can look into it: it is not dumpable, and a container's user namespace lies below.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from contextlib import suppress

from storage.errors import StorageError, host_cause, mend_of, os_failure
from storage.overlay.driver import RootMount, unmount_aside
from storage.overlay.fuse.serving.installing import INSTALL
from storage.overlay.fuse.serving.mounting import FuseOptions, device_error, mount_device, open_device
from storage.syscalls import (
    CLONE_NEWNS,
    MNT_DETACH,
    PR_SET_DUMPABLE,
    close_range,
    prctl,
    umount2,
    unshare,
)
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from storage.waits import Steps

    #: serves the FUSE session of a descriptor until it is unmounted, and calls the function once it answers
    Serve = Callable[[int, Callable[[], None]], None]

#: the type that /proc/self/mountinfo shows
FILESYSTEM = "fuse.sandbox"
#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-fuse"
_REPORT_LIMIT = 4000
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGWINCH)
#: a server that has had nothing to compute and nothing to wait for from the disk at so many looks has hung; less than
#: whoever waits for the end of a container has patience. Not a time: what stops a whole machine stops the server too
_IDLE_LOOKS = 8
_LOOK_SECONDS = 0.5


class ServedMount(RootMount):
    """A mount that a process of ours serves; that is a child of the caller."""

    def __init__(self, target: str, pid: int, report_fd: int) -> None:
        super().__init__(target)
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._report_fd = report_fd
        self._report = b""
        self._status: int | None = None
        self._mounted = False

    def attach(self, device_fd: int, options: FuseOptions) -> None:
        """Mount it. OSError where the kernel refuses."""
        mount_device(device_fd, self.target, options)
        self._mounted = True

    def wait_ready(self) -> None:
        """Wait until the server answers. Raises StorageError with what it died of."""
        carry_out(self.ready_steps())

    def ready_steps(self) -> Steps[None]:
        """`wait_ready`, for who does something else meanwhile. Raises StorageError."""
        while not self._report:
            yield self._report_fd, None
            if not self._read_report():
                break
        if not self._report.startswith(b"R"):
            # it has said its last, and is ending
            yield self.pidfd, None
            self._has_ended(None)
            cause = self.failure()
            raise StorageError("the file system's server (FUSE) did not start", cause=cause, mend=mend_of(cause))

    def failure(self) -> str:
        """What the server died of, or "" while it lives."""
        if not self._has_ended(0.0):
            return ""
        while self._read_report():
            pass
        reason = self._report.partition(b"E")[2].decode(errors="replace")
        assert self._status is not None
        if reason:
            return reason
        code = os.waitstatus_to_exitcode(self._status)
        return f"it was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"it ended with {code}"

    def unmount(self) -> str:
        """Unmount and wait until the server has written everything back and ended; one that hangs is killed, as is one
        whose mount somebody holds on to.
        """
        return carry_out(self.unmount_steps())

    def unmount_steps(self, *, discarded: bool = False) -> Steps[str]:
        reason = ""
        try:
            if self._mounted:
                self._mounted = False
                # it ends when the server has: what that has not answered is waited for in there
                unmounting = unmount_aside(self.target)
                next(unmounting)
                yield from self._end_steps()
                yield from unmounting
                if self._status != 0:
                    reason = self.failure()
        finally:
            self.close()
        return reason

    def kill(self) -> None:
        """End the server at once: whoever waits for it gets an error."""
        if self._status is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self._has_ended(None)

    def close(self) -> None:
        """Kill the server where it still runs, and let go of the descriptors."""
        if self.pidfd >= 0:
            self.kill()
            os.close(self.pidfd)
            os.close(self._report_fd)
            self.pidfd = self._report_fd = -1

    def _end_steps(self) -> Steps[None]:
        idle, seen = 0, None
        while not self._has_ended(0.0):
            if (yield self.pidfd, _LOOK_SECONDS):
                continue
            done = _progress(self.pid)
            idle = idle + 1 if done == seen else 0
            seen = done
            if idle == _IDLE_LOOKS:
                self.kill()

    def _has_ended(self, timeout_seconds: float | None) -> bool:
        if self._status is None:
            poller = select.poll()
            poller.register(self.pidfd, select.POLLIN)
            if poller.poll(None if timeout_seconds is None else timeout_seconds * 1000):
                self._status = os.waitpid(self.pid, 0)[1]
        return self._status is not None

    def _read_report(self) -> bool:
        data = os.read(self._report_fd, _REPORT_LIMIT)
        self._report += data
        return bool(data)


def serve_mount(target: str, serve: Serve, *, flags: int = 0, root_mode: int = stat.S_IFDIR) -> ServedMount:
    """Mount a FUSE file system at `target`, answered by a new process that calls `serve`. Raises StorageError.

    `flags` and `root_mode` (of stat(2)) as in `FuseOptions`.

    Returns at once: the server gets ready meanwhile, and whoever looks below `target` waits for it.
    """
    try:
        device_fd = open_device()
    except OSError as error:
        raise device_error(error) from error
    reading, writing = os.pipe2(os.O_CLOEXEC)
    gate, opener = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _run_server(serve, device_fd, writing, gate)
    os.close(writing)
    os.close(gate)
    served = ServedMount(target, pid, reading)
    try:
        served.attach(device_fd, FuseOptions(FILESYSTEM, "sandbox", flags, root_mode))
        os.write(opener, b"m")
    except OSError as error:
        served.close()
        raise os_failure(f"cannot mount a FUSE file system at {target}", error) from error
    finally:
        # the server's is the only one left: when it dies, whoever waits for it gets ENOTCONN
        os.close(device_fd)
        os.close(opener)
    return served


def _run_server(serve: Serve, device_fd: int, report_fd: int, gate: int) -> NoReturn:
    status = 1
    try:
        _become_server({device_fd, report_fd, gate})
        # until it is mounted, reading from /dev/fuse is EPERM
        if not os.read(gate, 1):
            os._exit(status)
        os.close(gate)
        serve(device_fd, lambda: _report(report_fd, b"R"))
        status = 0
    except BaseException as error:  # noqa: BLE001  # a process boundary: the caller reads it as a report
        _report(report_fd, b"E" + _describe(error).encode(errors="replace")[: _REPORT_LIMIT - 1])
    finally:
        os._exit(status)


def _become_server(kept: set[int]) -> None:
    os.setsid()
    os.chdir("/")
    os.umask(0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _leave_descriptors(kept)
    unshare(CLONE_NEWNS)
    _leave_mounts()
    with open("/proc/self/comm", "w") as file:
        file.write(PROCESS_NAME)
    # after the last new credentials, which would undo it
    prctl(PR_SET_DUMPABLE, 0)


def _leave_descriptors(kept: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    first = 3
    for fd in sorted(kept):
        if first < fd:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first)


def _leave_mounts() -> None:
    """Take our mounts out of this mount namespace, or one server would keep the mount of another alive."""
    with open("/proc/self/mountinfo", "rb") as file:
        lines = file.read().splitlines()
    for line in reversed(lines):
        fields = line.split(b" ")
        if fields[fields.index(b"-", 6) + 1] == FILESYSTEM.encode():
            with suppress(OSError):
                umount2(_unescape(fields[4]), MNT_DETACH)


def _unescape(path: bytes) -> bytes:
    # space, tab, newline and backslash are written in octal, proc(5)
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        path = path.replace(code, character)
    return path


def _report(fd: int, message: bytes) -> None:
    with suppress(OSError):
        os.write(fd, message)


def _describe(error: BaseException) -> str:
    if isinstance(error, StorageError):
        return ": ".join(filter(None, (error.message, error.cause)))
    if isinstance(error, ImportError):
        return f"{error}: install it with: {INSTALL}"
    while isinstance(error, BaseExceptionGroup):
        # trio has one for each task that met the same
        error = error.exceptions[0]
    if cause := host_cause(error):
        return cause
    import traceback  # only for a fault of ours

    return "".join(traceback.format_exception(error)[-3:])


def _progress(pid: int) -> tuple[object, ...]:
    """What changes while a process works, proc(5): its threads' processor times; a wait for the disk is work too."""
    found: list[object] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                text = file.read()
            fields = text[text.rindex(b")") + 2 :].split()
            found += (fields[11], fields[12])
            if fields[0] == b"D":
                found.append(time.monotonic_ns())
    except OSError:
        pass  # it is just ending
    return tuple(found)
