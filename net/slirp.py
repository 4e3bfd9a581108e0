"""slirp4netns: a private network for one network namespace, without any privilege.

The caller stands in the host's network namespace and in the user namespace that owns, or is an ancestor of the owner
of, the target's. slirp4netns enters the target through a descriptor, makes tap0 there, configures it, and forwards
between it and ordinary sockets of the host.

    caller                          slirp4netns
      | posix_spawn ------------------> |  netns as /proc/self/fd/N, api socket, ready and exit pipes
      | <------------------ "1" (ready) |  tap0 is up, the api socket listens, sandbox and seccomp are on
      |             …                   |
      | close(exit_fd) ---------------> |  ends; so it does when the caller is killed

A monitor imports this module: nothing heavy may be imported here; the API's client is `net.slirp_api`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct

# not `socket`: that costs 8 ms to import
from _socket import (
    AF_UNIX,
    SO_PEERCRED,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.programs import IGNORED_BY_PYTHON, find_program, install_command, read_output
from net.tun import check_tun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

TAP_NAME = "tap0"
#: The largest multiple of 16 below slirp4netns' limit 65521. Its work is done packet by packet: for a gigabyte it takes
#: 1.0 s of a processor's time up and 0.7 s down with any MTU from 24 k on, 1.3 s and 0.8 s with 16 k, and several times
#: as much with 1500. The world sees nothing of it: connections end in slirp4netns, and begin anew with the host's MTU.
DEFAULT_MTU = 65520

#: struct sockaddr_un, unix(7), with room for the final NUL
SOCKET_PATH_LIMIT = 107
#: struct ucred, unix(7)
_UCRED = struct.Struct("@iII")
_ALL_OPTIONS = frozenset(("--disable-host-loopback", "--enable-sandbox", "--enable-seccomp", "--enable-ipv6"))
#: what is given up, in this order, where slirp4netns does not come up with it
_OPTIONAL = (("--enable-seccomp",), ("--enable-sandbox",), ("--enable-seccomp", "--enable-sandbox"), ("--enable-ipv6",))


class SlirpFeatures(NamedTuple):
    """What the installed slirp4netns can do, as it says itself; with `version` "", as is assumed of it."""

    program: str
    version: str
    options: frozenset[str]

    def has(self, option: str) -> bool:
        return option in self.options


class SlirpPlan(NamedTuple):
    """One slirp4netns to be: `netns_fd` is an open network namespace, `api_socket` a path that is made anew, or "" for
    one that is asked nothing.
    """

    features: SlirpFeatures
    netns_fd: int
    api_socket: str
    mtu: int = DEFAULT_MTU
    ipv6: bool = True
    host_loopback: bool = False
    #: options given up after a failed try
    omitted: tuple[str, ...] = ()


class SlirpProcess(NamedTuple):
    """A running slirp4netns; the three descriptors belong to the holder of this value.

    Closing `exit_fd` ends it. `log_fd` is read from for error texts and must stay open: it takes at most a pipe's
    worth and never blocks slirp4netns.
    """

    pid: int
    pidfd: int
    exit_fd: int
    log_fd: int
    ready_fd: int
    notes: tuple[str, ...] = ()


def assume_features(search_path: str = "") -> SlirpFeatures:
    """Every feature, for the slirp4netns on this machine, without asking it. Raises NetError where there is none.

    For starting: asking takes two more processes each time, and nearly all versions in use have all of it. Where one
    does not it ends at once, and `wait_ready` asks.
    """
    return SlirpFeatures(_find_slirp(search_path), "", _ALL_OPTIONS)


def probe_features(search_path: str = "") -> SlirpFeatures:
    """The features of the slirp4netns on this machine, as it says itself. Raises NetError where there is none."""
    return _ask_features(_find_slirp(search_path))


def _ask_features(program: str) -> SlirpFeatures:
    return parse_features(program, read_output((program, "--version")), read_output((program, "--help")))


def _find_slirp(search_path: str) -> str:
    program = find_program("slirp4netns", search_path)
    if program is None:
        raise NetError(
            "slirp4netns is not installed",
            cause="no such program in PATH",
            mend=install_command("slirp4netns") + "; or run with --network host or --network none",
        )
    return program


def parse_features(program: str, version_text: str, help_text: str) -> SlirpFeatures:
    """Features from what `--version` and `--help` print. Raises NetError where the text is not slirp4netns'."""
    words = version_text.split()
    options = frozenset(word.partition("=")[0].rstrip(",") for word in help_text.split() if word.startswith("--"))
    if words[:2] != ["slirp4netns", "version"] or len(words) < 3 or "--netns-type" not in options:
        shown = version_text.strip().partition("\n")[0] or "nothing"
        raise NetError(
            f"{program} is not a usable slirp4netns",
            cause=f"it printed {shown!r}; version 0.4 or newer is needed",
            mend=install_command("slirp4netns"),
        )
    return SlirpFeatures(program, words[2], options)


def slirp_arguments(plan: SlirpPlan, ready_fd: int, exit_fd: int) -> tuple[str, ...]:
    """The command line for `plan`; what the version lacks or `plan` omits is left out."""
    wanted = ["--enable-sandbox", "--enable-seccomp"]
    if plan.ipv6:
        wanted.append("--enable-ipv6")
    if not plan.host_loopback:
        wanted.append("--disable-host-loopback")
    optional = (option for option in wanted if plan.features.has(option) and option not in plan.omitted)
    return (
        plan.features.program,
        "--configure",
        f"--mtu={plan.mtu}",
        f"--ready-fd={ready_fd}",
        f"--exit-fd={exit_fd}",
        *((f"--api-socket={plan.api_socket}",) if plan.api_socket else ()),
        *optional,
        "--netns-type=path",
        f"/proc/self/fd/{plan.netns_fd}",
        TAP_NAME,
    )


def spawn_slirp(plan: SlirpPlan) -> SlirpProcess:
    """Start slirp4netns and return at once; `wait_ready` tells when it serves. Raises NetError."""
    if not plan.host_loopback and not plan.features.has("--disable-host-loopback"):
        raise NetError(
            f"slirp4netns {plan.features.version} cannot keep a container off the host's loopback",
            cause="it has no --disable-host-loopback",
            mend=install_command("slirp4netns"),
        )
    if len(os.fsencode(plan.api_socket)) > SOCKET_PATH_LIMIT:
        raise NetError(
            f"the socket path {plan.api_socket} is too long",
            cause=f"a unix socket's path has at most {SOCKET_PATH_LIMIT} bytes",
            mend="set XDG_RUNTIME_DIR to a shorter directory",
        )
    check_tun()
    ready_fd, ready_write = os.pipe()
    exit_read, exit_fd = os.pipe()
    log_fd, log_write = os.pipe()
    # a container can make libslirp talk without end: what does not fit into the pipe is dropped, never waited for
    os.set_blocking(log_write, False)
    # sockets are made with the mode the mask leaves; the API is for this user alone
    mask = os.umask(0o177)
    try:
        pid = os.posix_spawn(
            plan.features.program,
            slirp_arguments(plan, ready_write, exit_read),
            {"LC_ALL": "C"},
            file_actions=_file_actions(log_write, (plan.netns_fd, ready_write, exit_read)),
            setsigmask=(),
            setsigdef=(*IGNORED_BY_PYTHON, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD),
        )
    except OSError as error:
        _close_all((ready_fd, exit_fd, log_fd))
        raise NetError(f"cannot start {plan.features.program}", cause=error.strerror or str(error)) from error
    finally:
        os.umask(mask)
        _close_all((ready_write, exit_read, log_write))
    return SlirpProcess(pid, os.pidfd_open(pid), exit_fd, log_fd, ready_fd)


def _file_actions(log_write: int, kept: Sequence[int]) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    # posix_spawn's dup2 of a descriptor onto itself takes close-on-exec off, and nothing else does it race-free
    return [
        *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in kept),
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log_write, 1),
        (os.POSIX_SPAWN_DUP2, log_write, 2),
    ]


def wait_ready(plan: SlirpPlan, process: SlirpProcess, timeout_seconds: float = 10.0) -> SlirpProcess:
    """Wait until slirp4netns serves, and return it; the descriptors of `process` are taken over.

    Where it fails and an optional protection may be the reason, it is started again without, which the returned
    value's `notes` say. Raises NetError, with slirp4netns' own words, where it does not come up at all.
    """
    steps = ready_steps(plan, process, timeout_seconds)
    try:
        fd, seconds = next(steps)
        while True:
            waiter = select.poll()
            waiter.register(fd, select.POLLIN)
            fd, seconds = steps.send(bool(waiter.poll(seconds * 1000)))
    except StopIteration as end:
        ready: SlirpProcess = end.value
        return ready


def ready_steps(
    plan: SlirpPlan, process: SlirpProcess, timeout_seconds: float = 10.0
) -> Generator[tuple[int, float], bool, SlirpProcess]:
    """`wait_ready`, for who does something else meanwhile: yields a descriptor and how long to wait for that, and is
    resumed with whether it became readable in time. Raises NetError.
    """
    if (yield from _is_ready(process, timeout_seconds)):
        return _without_ready_fd(process)
    words = _end_failed(process)
    for smaller, note in _smaller_plans(plan):
        process = spawn_slirp(smaller)
        if (yield from _is_ready(process, timeout_seconds)):
            return _without_ready_fd(process)._replace(notes=(f"slirp4netns runs without {note}: {words}",))
        _end_failed(process)
    raise NetError("slirp4netns did not start", cause=words, mend="sandbox doctor")


def _smaller_plans(plan: SlirpPlan) -> Iterator[tuple[SlirpPlan, str]]:
    """What to try after `plan` failed, with what each does without."""
    if not plan.features.version:
        assumed = plan.features.options
        plan = plan._replace(features=_ask_features(plan.features.program))
        if lacking := assumed - plan.features.options:
            yield plan, " ".join(sorted(lacking))
    present = slirp_arguments(plan, 0, 0)
    for given_up in _OPTIONAL:
        if set(given_up) <= set(present):
            yield plan._replace(omitted=(*plan.omitted, *given_up)), " ".join(given_up)


def start_slirp(plan: SlirpPlan, timeout_seconds: float = 10.0) -> SlirpProcess:
    """`spawn_slirp` and `wait_ready` in one."""
    return wait_ready(plan, spawn_slirp(plan), timeout_seconds)


def end_slirp(process: SlirpProcess) -> None:
    """Make it end, reap it and close its descriptors; safe after it died, and after somebody else reaped it."""
    kill_slirp(process)
    close_slirp(process)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, 0)


def has_ended(process: SlirpProcess) -> bool:
    """Whether it is gone, reaped or not."""
    poller = select.poll()
    poller.register(process.pidfd, select.POLLIN)
    return bool(poller.poll(0))


def clear_way(plan: SlirpPlan) -> None:
    """Before it is started over a namespace that had one: the API's path is free, and so is the tap device.

    A slirp4netns that still listens is one that nobody knows of any more, since who started it was killed; it is ended.
    """
    if not plan.api_socket:
        return
    _end_listening(plan.api_socket)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(plan.api_socket)


def _end_listening(api_socket: str) -> None:
    stream = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
    try:
        stream.connect(api_socket)
        # of who listens, unix(7)
        pid, _uid, _gid = _UCRED.unpack(stream.getsockopt(SOL_SOCKET, SO_PEERCRED, _UCRED.size))
    except OSError:
        return
    finally:
        stream.close()
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll()
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def kill_slirp(process: SlirpProcess) -> None:
    """Make it end; safe after that too."""
    with contextlib.suppress(ProcessLookupError):
        # by descriptor: reaped already, its number may be another process's by now
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)


def close_slirp(process: SlirpProcess) -> None:
    """Close the descriptors: it ends by itself, and is reaped by whoever waits for all children."""
    _close_all(fd for fd in (process.exit_fd, process.log_fd, process.pidfd, process.ready_fd) if fd >= 0)


def read_log(process: SlirpProcess) -> str:
    """What slirp4netns printed since the last call; empty where it printed nothing."""
    os.set_blocking(process.log_fd, False)
    try:
        return os.read(process.log_fd, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""


def _is_ready(process: SlirpProcess, timeout_seconds: float) -> Generator[tuple[int, float], bool, bool]:
    try:
        in_time = yield process.ready_fd, timeout_seconds
    except GeneratorExit:
        _end_failed(process)
        raise
    if not in_time:
        words = _end_failed(process)
        # not tried again with less: an option that is refused ends slirp4netns, it does not hang it
        raise NetError(f"slirp4netns was not ready after {timeout_seconds:g} seconds", cause=words)
    return os.read(process.ready_fd, 1) == b"1"


def _without_ready_fd(process: SlirpProcess) -> SlirpProcess:
    os.close(process.ready_fd)
    return process._replace(ready_fd=-1)


def _end_failed(process: SlirpProcess) -> str:
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    lines = read_log(process).strip().splitlines()
    close_slirp(process)
    # "WARNING: Support for … is experimental" stands in front of every error
    return "; ".join(line for line in lines if not line.startswith("WARNING")) or "it ended without a word"


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
