"""The keeper's birth: forked from a monitor, which need not import what a keeper is made of, and never executed.

    monitor                        keeper
    binds the address, forks ───▶  leaves session, descriptors, mounts and environment of the monitor
                                   starts slirp4netns and waits for it
       ◀────── "1", or why not ──  (`ready`: a pipe of who forked)
    starts its container           waits, a second at the most
    closes the pipe ────────────▶  goes on in an interpreter of its own, where it can: `renew`
                                   imports trio, serves: `net.keeper`

It is forked twice, so it is nobody's child: the monitor neither waits for it nor ends it. The import takes a processor
longer than all of a start, and what asks for names meanwhile waits in the kernel, in sockets that are there.
"""

from __future__ import annotations

import os
import resource
import select
from contextlib import suppress

from net.dns_sockets import make_router_sockets
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.router import call_in_thread
from net.router_link import LOG_NAME, finish_tap, slirp_plan
from net.slirp import clear_way, has_ended, spawn_slirp, wait_ready
from net.syscalls import (
    CLONE_NEWNS,
    MNT_DETACH,
    MS_REC,
    MS_SLAVE,
    PR_SET_CHILD_SUBREAPER,
    change_propagation,
    is_child_subreaper,
    prctl,
    umount2,
    unshare,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Collection
    from typing import NoReturn

    from net.router_link import RouterLink
    from net.slirp import SlirpProcess

    #: (descriptors to keep, name of the process): leave everything else of who forked
    Become = Callable[[Collection[int], str], None]
    #: (what it begins with, its title): `serve` in a new interpreter, and return where there is none
    Renew = Callable[["KeeperStart", str], None]

#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-keeper"
#: a start that takes longer waits for something else: others may be in need of the keeper
_LONGEST_START_SECONDS = 1.0


class Birth(NamedTuple):
    """How a keeper becomes a process of its own."""

    become: Become
    renew: Renew | None = None
    #: it serves when the reading end of its `ready` pipe is closed
    waits: bool = False


class KeeperStart(NamedTuple):
    """What a keeper begins with; all descriptors are its own."""

    link: RouterLink
    listener_fd: int
    slirp: SlirpProcess | None
    failure: NetError | None
    #: on which the router is asked for names
    name_sockets: list[_socket.socket]


def serve(start: KeeperStart) -> None:
    """Be the keeper, in the process that was forked to be it, to its end."""
    # trio: nobody waits for this import
    from net.keeper import run_keeper

    run_keeper(*start)


def fork_keeper(link: RouterLink, listener_fd: int, slirp: SlirpProcess | None, birth: Birth) -> int:
    """Fork a keeper that serves the listening socket, and return the reading end of its `ready` pipe.

    With `slirp`, a slirp4netns that an earlier keeper started, it goes on with that. Raises NetError.
    """
    ready_read, ready_write = os.pipe()
    # what a monitor's children leave behind comes to it; this one is not to
    was_subreaper = is_child_subreaper()
    prctl(PR_SET_CHILD_SUBREAPER, 0)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            _fork_again(link, listener_fd, ready_write, slirp, birth)
        if os.waitpid(pid, 0)[1] != 0:
            raise NetError("cannot start the keeper of the containers' names", cause="fork(2) is refused")
    except OSError as error:
        os.close(ready_read)
        raise NetError(
            "cannot start the keeper of the containers' names", cause=error.strerror or str(error)
        ) from error
    except BaseException:
        os.close(ready_read)
        raise
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, was_subreaper)
        os.close(ready_write)
    return ready_read


def _fork_again(
    link: RouterLink, listener_fd: int, ready_fd: int, slirp: SlirpProcess | None, birth: Birth
) -> NoReturn:
    status = 1
    try:
        if os.fork() == 0:
            _live(link, listener_fd, ready_fd, slirp, birth)
        status = 0
    finally:
        os._exit(status)


def _live(link: RouterLink, listener_fd: int, ready_fd: int, slirp: SlirpProcess | None, birth: Birth) -> NoReturn:
    status = 1
    try:
        kept = {link.netns_fd, listener_fd, ready_fd}
        if slirp is not None:
            kept |= {slirp.pidfd, slirp.exit_fd, slirp.log_fd}
        title = f"{PROCESS_NAME} {link.label}".rstrip()
        birth.become(kept, PROCESS_NAME)
        forget_caller(title)
        _leave_cgroup(link.cgroup)
        _leave_mounts(link.private_mounts)
        _raise_descriptor_limit()
        name_sockets = _bind_names(link)
        failure: NetError | None = None
        if slirp is None or has_ended(slirp):
            slirp, failure = _start_slirp(link)
        with suppress(BrokenPipeError):
            os.write(ready_fd, _report(failure))
        if birth.waits:
            _await_start(ready_fd)
        os.close(ready_fd)
        start = KeeperStart(link, listener_fd, slirp, failure, name_sockets)
        if birth.renew is not None:
            birth.renew(start, title)
        serve(start)
        status = 0
    except BaseException:  # noqa: BLE001  # a process boundary: the log is all that hears of it
        _leave_trace(link)
    finally:
        os._exit(status)


def _bind_names(link: RouterLink) -> list[_socket.socket]:
    """The sockets on which the router is asked for names, which keep what is asked until it is read.

    None where a keeper that hands over has the port still: `net.keeper` tries again.
    """
    try:
        return call_in_thread(link.netns_fd, make_router_sockets)
    except NetError:
        return []


def _start_slirp(link: RouterLink) -> tuple[SlirpProcess | None, NetError | None]:
    try:
        plan = slirp_plan(link)
        clear_way(plan)
        process = wait_ready(plan, spawn_slirp(plan))
        finish_tap(link)
    except NetError as error:
        return None, error
    return process, None


def _await_start(ready_fd: int) -> None:
    """Until the container of who forked runs, or that has ended: the reading end of the pipe is closed then."""
    closed = select.poll()
    closed.register(ready_fd, select.POLLERR)
    closed.poll(_LONGEST_START_SECONDS * 1000)


def _report(failure: NetError | None) -> bytes:
    if failure is None:
        return b"1"
    return "\0".join((failure.message, failure.cause, failure.mend)).encode()


def forget_caller(title: str) -> None:
    """Leave nothing of the command in this process' arguments and environment, whose memory /proc shows, proc(5);
    `title` is shown instead.
    """
    os.environ.clear()
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    arguments, arguments_end, environment, environment_end = (int(field) for field in fields[45:49])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for start, end in ((environment, environment_end), (arguments, arguments_end)):
            memory.seek(start)
            memory.write(b"\0" * (end - start))
        # arguments that do not end with a NUL go on in the environment behind them, as setproctitle(3) has it
        room = environment_end - arguments if environment == arguments_end else arguments_end - arguments
        memory.seek(arguments)
        memory.write(title.encode(errors="surrogateescape").ljust(arguments_end - arguments, b" ")[: room - 1])


def _leave_cgroup(cgroup: str) -> None:
    if cgroup:
        # refused where a session's manager brought who forked here: then the cgroup stays as long as the keeper
        with suppress(OSError), open(f"{cgroup}/cgroup.procs", "w") as file:
            file.write("0")


def _leave_mounts(place: str) -> None:
    """Stand in a mount namespace of our own that has the host's mounts, and none of the monitor's container."""
    unshare(CLONE_NEWNS)
    # the host's changes go on to come in, ours never go out: a mount that the container shares is not to go there too
    change_propagation(b"/", MS_REC | MS_SLAVE)
    if not place:
        return
    with open("/proc/self/mountinfo", "rb") as file:
        targets = [line.split(b" ")[4] for line in file.read().splitlines()]
    prefix = os.fsencode(place).rstrip(b"/") + b"/"
    for target in reversed(targets):
        # space, tab, newline and backslash are written in octal, proc(5)
        path = target.decode("unicode_escape").encode("latin-1")
        if path.startswith(prefix):
            with suppress(OSError):
                umount2(path, MNT_DETACH)


def _raise_descriptor_limit() -> None:
    # two sockets for each container that asks for names
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave_trace(link: RouterLink) -> None:
    import traceback

    with suppress(OSError), open(f"{link.directory}/{LOG_NAME}", "w") as file:
        traceback.print_exc(file=file)
