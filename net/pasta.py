"""pasta, of passt: a private network for one network namespace, by sockets of the host as slirp4netns' are.

It moves more than slirp4netns, and reaches the world by IPv6 where the host does. It knows no change of ports while it
runs: those are carried by our own forwarder (`net.forwarder`), which connects inside.

    caller                          pasta
      | fork, exec -----------------> |  stdin: the netns; stdout, its "pid file": a pipe; all others it closes
      | <--------------- pid (ready)  |  eth0 is up, its sandbox is on
      |             …                 |
      | ends: PR_SET_PDEATHSIG -----> |  ends
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from net.addresses import CONTAINER_ADDRESS, DNS_ADDRESS, GATEWAY_ADDRESS
from net.descriptors import keep_only
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.programs import IGNORED_BY_PYTHON, find_program, install_command
from net.syscalls import PR_SET_PDEATHSIG, prctl
from net.tun import check_tun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import NoReturn

INTERFACE = "eth0"
#: Debian's name, and everybody's
_PACKAGE = "passt"
_READY_SECONDS = 30.0
#: of its words, which tell its whole configuration first
_WORDS_LENGTH = 400


class PastaProcess(NamedTuple):
    """A running pasta; the descriptors belong to the holder of this value. `log_fd` takes a pipe's worth."""

    pid: int
    pidfd: int
    ready_fd: int
    log_fd: int


def find_pasta(search_path: str = "") -> str:
    """The program. Raises NetError where there is none."""
    program = find_program("pasta", search_path)
    if program is None:
        raise NetError(
            "pasta is not installed",
            cause="no such program in PATH",
            mend=install_command(_PACKAGE) + "; or run with --network slirp4netns",
        )
    return program


def pasta_arguments(program: str) -> tuple[str, ...]:
    """The command line: addresses as slirp4netns has them, no port either way, nothing of the host's loopback."""
    return (
        program,
        *("--foreground", "--quiet", "--stderr", "--config-net", "--no-map-gw", "--no-netns-quit"),
        *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
        *("-I", INTERFACE, "-a", CONTAINER_ADDRESS, "-n", "24", "-g", GATEWAY_ADDRESS, "--dns-forward", DNS_ADDRESS),
        *("--netns-only", "--netns", "/proc/self/fd/0", "--pid", "/proc/self/fd/1"),
    )


def spawn_pasta(program: str, netns_fd: int) -> PastaProcess:
    """Start pasta over the namespace and return at once; `ready_steps` tells when it serves.

    The caller has one thread, is root of an ancestor of the namespace's owner and in the host's network; pasta is
    killed when it ends. Raises NetError.
    """
    check_tun()
    ready_fd, ready_write = os.pipe()
    log_fd, log_write = os.pipe()
    # what does not fit into the pipe is dropped, never waited for
    os.set_blocking(log_write, False)
    parent = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _become(pasta_arguments(program), parent, (netns_fd, ready_write, log_write))
    except OSError as error:
        _close(ready_fd, log_fd)
        raise NetError("cannot start pasta", cause=error.strerror or str(error)) from error
    finally:
        _close(ready_write, log_write)
    return PastaProcess(pid, os.pidfd_open(pid), ready_fd, log_fd)


def _become(arguments: tuple[str, ...], parent: int, standard: tuple[int, int, int]) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            for target, source in enumerate(standard):
                os.dup2(source, target)
            keep_only(())
            for number in (*IGNORED_BY_PYTHON, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(arguments[0], arguments, {"LC_ALL": "C"})
    finally:
        os._exit(127)


def ready_steps(process: PastaProcess) -> Generator[tuple[int, float], bool, None]:
    """Wait until pasta serves, as `net.slirp.ready_steps` does. Raises NetError, with pasta's own words and its process
    ended, where it does not.
    """
    in_time = yield process.ready_fd, _READY_SECONDS
    if in_time and os.read(process.ready_fd, 64):
        return
    words = end_pasta(process)
    raise NetError("pasta did not start", cause=words or "it ended without a word", mend="--network slirp4netns")


def end_pasta(process: PastaProcess) -> str:
    """End it, reap it and close its descriptors; what it has said last. Safe after it died."""
    kill_pasta(process)
    with suppress(ChildProcessError):
        os.waitpid(process.pid, 0)
    os.set_blocking(process.log_fd, False)
    try:
        said = os.read(process.log_fd, 1 << 16).decode(errors="replace")
    except BlockingIOError:
        said = ""
    _close(process.pidfd, process.ready_fd, process.log_fd)
    lines = [line.strip() for line in said.splitlines() if line.strip() and "to syslog" not in line]
    return "; ".join(lines)[-_WORDS_LENGTH:]


def kill_pasta(process: PastaProcess) -> None:
    """Make it end; safe after that too."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
