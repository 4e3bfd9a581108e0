"""Turns a forked Python process inside the container's namespaces into the process of a ProcessSpec.

Used for a container's first process (`launch`) and for `exec` (`enter`). Order matters and is kept in
`ProcessSetup.prepare` (everything that can fail, before the gate) and `ProcessSetup.execute` (the point of no
return): the seccomp filter is last, since it may refuse what the steps before it need.

The process reports on one SOCK_SEQPACKET socket: b"T" with the pty's master, b"R" ready, an error (`reports`); after
the gate (b"g") the stub's four bytes of errno, or the end of the stream, which is success.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import resource
import signal
import socket
import stat
import termios
from contextlib import contextmanager, suppress

from sandbox.errors import CommandNotFoundError, HostError, NotExecutableError, SandboxError, StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.capabilities import limit_capabilities, raise_effective
from sandbox.runtime.exec_stub import REPORT_FD
from sandbox.runtime.resource_limits import set_limits
from sandbox.runtime.spec import ResourceLimit
from sandbox.runtime.terminal import WindowSize, mount_console, open_pty, set_window_size
from sandbox.runtime.unmapped_ids import find_unmapped
from sandbox.runtime.users import Identity, read_identity
from sandbox.runtime.working_directory import enter_directory
from sandbox.values import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from sandbox.runtime.spec import ProcessSpec

_STUB_FD = 4
#: of a directory of programs, and of their names together, no more is told in an error
_PROGRAMS_MAX = 5000
_PROGRAM_BYTES_MAX = 6 * 1024
_SHELLS = ("sh", "ash", "bash", "dash", "busybox")
_FIRST_SPARE_FD = 16
_PIPEFS_MAGIC = 0x50495045


class Stdio(NamedTuple):
    """Descriptors that become 0, 1 and 2; None is the container's /dev/null. A terminal takes their place."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    window_size: WindowSize | None = None


class ProcessSetup:
    """The steps from a forked process in the container's namespaces and root to its program."""

    def __init__(
        self, spec: ProcessSpec, stdio: Stdio, channel: socket.socket, stub_fd: int, process_limit: int = 0,
        stub_arguments: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._spec = spec
        self._stdio = stdio
        self._channel = channel
        self._stub_fd = stub_fd
        self._stub_arguments = stub_arguments
        self._environment: dict[str, str] = parse_environment(spec.environment)
        self._program = ""
        self._process_limit = process_limit

    def prepare(self, *, console: bool) -> None:
        """Everything before the gate. Raises SandboxError or OSError; `console` shows the terminal as /dev/console."""
        reset_signals()
        os.umask(0o022)
        _leave_session_keyring()
        os.setsid()
        fds = self._open_terminal(console) if self._spec.terminal else self._open_stdio()
        identity = read_identity(self._spec.user, self._spec.additional_groups)
        if not self._environment.get("HOME"):
            self._environment["HOME"] = identity.home
        with _explained_ids(identity):
            _own_stdio(fds, identity, own_terminal=self._spec.terminal)
        enter_directory(self._spec.working_directory)
        set_limits(self._limits(late=False))
        limit_capabilities(self._spec.capabilities)
        with _explained_ids(identity):
            become(identity)
        self._program = find_program(self._spec.arguments[0], self._environment.get("PATH", DEFAULT_PATH))
        self._place_descriptors(fds)
        set_limits(self._limits(late=True))

    def execute(self) -> NoReturn:
        """Install the filter and execute the stub, which executes the program.

        Raises OSError, and SandboxError for too long a command line.
        """
        if self._spec.no_new_privileges:
            sc.prctl(sc.PR_SET_NO_NEW_PRIVS, 1)
        # seccomp(2) without no_new_privs asks for CAP_SYS_ADMIN, which the change of uid took from the effective set
        raise_effective()
        arguments = [*self._stub_arguments, self._program, *self._spec.arguments]
        if self._spec.seccomp_program is not None:
            sc.seccomp_set_filter(self._spec.seccomp_program)
        try:
            os.execve(_STUB_FD, arguments, self._environment)
        except OSError as error:
            # the stub is ours and can be executed: what is too long is the program's
            if error.errno == errno.E2BIG:
                raise explain_exec_errno(errno.E2BIG, self._spec.arguments[0]) from error
            raise

    def _limits(self, *, late: bool) -> tuple[ResourceLimit, ...]:
        """Those of open files come late: the descriptors that we need ourselves have higher numbers for a moment."""
        limits = self._spec.resource_limits
        if self._process_limit:
            _soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            # more than the user may have is no limit of the container's
            most = self._process_limit if hard == resource.RLIM_INFINITY else min(self._process_limit, hard)
            limits = (*limits, ResourceLimit(resource.RLIMIT_NPROC, most, most))
        return tuple(limit for limit in limits if (limit.resource == resource.RLIMIT_NOFILE) == late)

    def _open_terminal(self, console: bool) -> tuple[int, int, int]:
        master, slave = open_pty()
        if self._stdio.window_size is not None:
            set_window_size(slave, self._stdio.window_size)
        if console:
            mount_console(slave)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        rights = array.array("i", [master])
        self._channel.sendmsg([b"T"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        os.close(master)
        return slave, slave, slave

    def _open_stdio(self) -> tuple[int, int, int]:
        null = -1
        fds = []
        for fd in (self._stdio.stdin, self._stdio.stdout, self._stdio.stderr):
            if fd is None and null < 0:
                null = sc.openat2(sc.AT_FDCWD, "/dev/null", os.O_RDWR, sc.RESOLVE_NO_SYMLINKS)
            fds.append(null if fd is None else fd)
        return fds[0], fds[1], fds[2]

    def _place_descriptors(self, fds: tuple[int, int, int]) -> None:
        # first all of them out of the way: a source may have a number that another one is to get
        moved = [
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD)
            for fd in (*fds, self._channel.fileno(), self._stub_fd)
        ]
        for number, fd in enumerate(moved):
            # the stub needs its report descriptor after execve and closes it itself
            os.dup2(fd, number, inheritable=number != _STUB_FD)
        self._channel.detach()
        sc.close_range(_STUB_FD + 1)
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, REPORT_FD)

    @property
    def channel(self) -> socket.socket:
        """The report socket; `prepare` moves it to another descriptor."""
        return self._channel


def parse_environment(entries: tuple[str, ...]) -> dict[str, str]:
    """The variables in "NAME=value" entries; a later one wins, what has no name or no value is left out."""
    result = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if name and equals:
            result[name] = value
    return result


def reset_signals() -> None:
    """Default disposition for every signal and an empty mask: ignored ones (SIGPIPE in Python) outlive execve(2)."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def write_oom_score(score: int | None) -> None:
    """Set oom_score_adj of the calling process, while it still may (dumpable). Raises HostError."""
    if score is None:
        return
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(score))
    except PermissionError as error:
        raise HostError(
            f"cannot set the OOM score adjustment to {score}",
            cause="a user may raise it, not lower it below the value it was started with",
        ) from error


def become(identity: Identity) -> None:
    """Take the identity's groups, gid and uid; permitted capabilities stay for the seccomp filter."""
    try:
        os.setgroups(identity.groups)
    except OSError:
        # a map of the caller's own id alone forbids setgroups(2); there are no groups to be had then
        if identity.groups not in ((), (0,)):
            raise
    sc.prctl(sc.PR_SET_KEEPCAPS, 1)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


@contextmanager
def _explained_ids(identity: Identity) -> Iterator[None]:
    """An id that is not mapped is EINVAL to the kernel, whatever was done with it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        unmapped = find_unmapped(identity.uid, (identity.gid, *identity.groups))
        raise error if unmapped is None else unmapped from error


def find_program(name: str, search_path: str) -> str:
    """The file to execute for `name`, in the current root and as the current user.

    Raises CommandNotFoundError or NotExecutableError in Docker's words.
    """
    if "/" in name:
        return _check_program(name, name)
    denied = False
    for directory in search_path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            mode = os.stat(candidate).st_mode
        except PermissionError:
            denied = True
            continue
        except OSError:
            continue
        if stat.S_ISREG(mode):
            if os.access(candidate, os.X_OK, effective_ids=True):
                return candidate
            denied = True
    if denied:
        raise NotExecutableError(f'exec: "{name}": permission denied')
    programs = _programs_like(name, search_path.split(":"))
    raise CommandNotFoundError(f'exec: "{name}": executable file not found in $PATH', programs=programs)


def _programs_like(name: str, directories: list[str]) -> tuple[str, ...]:
    """Names in the directories, for an error to choose from: those that begin as `name` does first, few enough for a
    report. The image is hostile: no name that does more on a terminal than stand there.
    """
    found: dict[str, None] = {}
    for directory in directories:
        with suppress(OSError), os.scandir(directory or ".") as entries:
            for entry, _ in zip(entries, range(_PROGRAMS_MAX), strict=False):
                if entry.name.isascii() and entry.name.isprintable() and not entry.is_dir():
                    found[entry.name] = None
    chosen, left = [], _PROGRAM_BYTES_MAX
    for program in sorted(found, key=lambda program: (program[:1] != name[:1], program not in _SHELLS, program)):
        left -= len(program) + 1
        if left < 0:
            break
        chosen.append(program)
    return tuple(chosen)


def explain_exec_errno(code: int, name: str) -> SandboxError:
    """The error for an execve(2) of the container's program that failed with `code`."""
    text = os.strerror(code).lower()
    if code == errno.ENOENT:
        return CommandNotFoundError(
            f'exec: "{name}": {text}', cause="the file is there, but not the interpreter or loader it asks for"
        )
    if code == errno.ENOEXEC:
        return NotExecutableError(
            f'exec: "{name}": exec format error', cause="it is no program for this machine, nor a script with #!"
        )
    if code in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ETXTBSY):
        return NotExecutableError(f'exec: "{name}": {text}')
    if code == errno.E2BIG:
        return StartError(
            f'exec: "{name}": {text}',
            cause="a word of the command or a variable has more than 128 KiB, or all together more than a quarter of"
            " the stack's limit",
            mend="put what is long into a file: -v FILE:/FILE:ro",
        )
    return StartError(f'exec: "{name}": {text}')


def _check_program(path: str, name: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise NotExecutableError(f'exec: "{name}": permission denied') from error
    except OSError as error:
        text = (error.strerror or "").lower()
        directory = name[: name.rindex("/") + 1]
        programs = tuple(directory + program for program in _programs_like(name[len(directory) :], [directory]))
        raise CommandNotFoundError(f'exec: "{name}": stat {name}: {text}', programs=programs) from error
    if stat.S_ISDIR(mode):
        raise NotExecutableError(f'exec: "{name}": is a directory')
    if not os.access(path, os.X_OK, effective_ids=True):
        raise NotExecutableError(f'exec: "{name}": permission denied')
    return path


def _own_stdio(fds: tuple[int, int, int], identity: Identity, *, own_terminal: bool) -> None:
    # a program that opens /dev/stdout again needs to own the pipe or pty. Anonymous pipes and our own pty only: a
    # named pipe or a terminal of the caller's must not change hands
    for fd in set(fds):
        if os.fstat(fd).st_uid != identity.uid and (own_terminal or sc.filesystem_type(fd) == _PIPEFS_MAGIC):
            os.fchown(fd, identity.uid, -1)


def _leave_session_keyring() -> None:
    # the kernel may have no keyrings, or this user's quota be used up; Docker's filter refuses keyctl(2) inside anyway
    with suppress(OSError):
        sc.join_new_session_keyring()
