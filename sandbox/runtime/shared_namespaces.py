"""The two namespaces that a user's containers on bridge networks have in common, found or made.

The *shared* user namespace is mapped as every outer one is; each such container is made below it. It owns the *router*,
a network namespace with the bridges: who is to put a container's end of a wire into it needs power over both. Neither
has a process of its own: they live as long as a monitor does that holds them.

    DATA/router/lock      held by who looks, until he has found them, or made them and told
    DATA/router/holders   a line for each monitor: pid, start time, boot, descriptor of the router, its inode

Files and no database, since they are read before the monitor is forked out of a command that has opened none.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import contextmanager, suppress

from sandbox.errors import HostError
from sandbox.faults import explain_fault, limit_reached
from sandbox.live_processes import boot_id, is_alive, process_start
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls
from sandbox.runtime.user_namespace import become_root, enter_user_namespace, map_or_let_join, say_joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.runtime.user_namespace import PeerPair
    from storage.waits import Steps


class Holder(NamedTuple):
    """A process that holds both: `fd` is its descriptor of the router, whose inode is `router`."""

    pid: int
    start: int
    boot: str
    fd: int
    router: int


class SharedNamespaces(NamedTuple):
    """Descriptors of both, which belong to the holder of this value."""

    user_fd: int
    router_fd: int


def enter_shared_namespaces(
    place: str, peers: PeerPair, make_router: Callable[[], int], meanwhile: Callable[[], None] = lambda: None
) -> int:
    """In a forked child: become root of the shared user namespace, in a mount namespace of its own, and a holder; a
    descriptor of the router. `place` is a directory, `make_router` is called where there is none, and `meanwhile` while
    the parent maps the new user namespace.

    The parent calls `map_shared_child`. Raises HostError, MapperGoneError, and what `make_router` raises.
    """
    with locked(place):
        found = find_shared_namespaces(place)
        if found is None:
            enter_user_namespace(peers, meanwhile)
            router_fd = make_router()
        else:
            router_fd = found.router_fd
            say_joined(peers)
            _join(found.user_fd)
        _add_holder(place, router_fd)
    return router_fd


def map_shared_child(peers: PeerPair, pid: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """In the parent: map the child where it made the namespace. Raises HostError; the child ends by itself."""
    map_or_let_join(peers, pid, meanwhile)


def find_shared_namespaces(place: str) -> SharedNamespaces | None:
    """Those that a living process holds; None where there is nobody."""
    for holder in _read_holders(place):
        found = _open(holder)
        if found is not None:
            return found
    return None


def holder_pids(place: str) -> list[int]:
    """The living processes that hold them."""
    return [one.pid for one in _read_holders(place) if is_alive(one.pid, one.start, one.boot)]


def _open(holder: Holder) -> SharedNamespaces | None:
    opened: list[int] = []
    try:
        opened.append(os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        opened.append(os.open(f"/proc/{holder.pid}/fd/{holder.fd}", os.O_RDONLY | os.O_CLOEXEC))
        # asked with the descriptors in hand: what they show stays, whatever becomes of the process
        if os.fstat(opened[1]).st_ino == holder.router and is_alive(holder.pid, holder.start, holder.boot):
            return SharedNamespaces(*opened)
    except OSError:
        pass
    for fd in opened:
        os.close(fd)
    return None


def _join(user_fd: int) -> None:
    try:
        syscalls.setns(user_fd, syscalls.CLONE_NEWUSER)
        os.close(user_fd)
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except OSError as error:
        raise HostError(
            "cannot enter the user namespace of the containers on bridge networks", cause=explain_fault(error)
        ) from error
    # setns(2) into a user namespace is a change of credentials: else /proc/PID of ours belongs to root
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    become_root()


def _read_holders(place: str) -> Iterator[Holder]:
    try:
        with open(f"{place}/holders") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        # a line that makes no sense names nobody
        with suppress(ValueError):
            pid, start, boot, fd, router = line.split()
            yield Holder(int(pid), int(start), boot, int(fd), int(router))


def _add_holder(place: str, router_fd: int) -> None:
    """Enter this process, and forget those that have ended."""
    own = Holder(os.getpid(), process_start(os.getpid()), boot_id(), router_fd, os.fstat(router_fd).st_ino)
    alive = [holder for holder in _read_holders(place) if is_alive(holder.pid, holder.start, holder.boot)]
    text = "".join(" ".join(map(str, holder)) + "\n" for holder in (*alive, own))
    # a limit of file sizes is told, as everywhere
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        _replace(f"{place}/holders", text.encode())
    except OSError as error:
        cause, mend = limit_reached(error)
        raise HostError(
            "cannot note who holds the network of bridges", cause=cause or explain_fault(error), mend=mend
        ) from error
    finally:
        signal.signal(signal.SIGXFSZ, former)


def _replace(path: str, data: bytes) -> None:
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(f"{path}.new", path)


@contextmanager
def locked(place: str) -> Iterator[None]:
    """Alone with the router, among those who look for it or change its bridges. Raises HostError."""
    fd = _open_lock(place)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        unlock(fd)


def lock_steps(place: str) -> Steps[int]:
    """As `locked`, for a process that does other things while another one has the lock; returns what `unlock` takes.

    Raises HostError.
    """
    fd = _open_lock(place)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # it belongs to the open file, of which a child has a copy, and no descriptor says when it is to be had
            while (yield from _wait_in_child_steps(fd)) != 0:
                pass
    except BaseException:
        unlock(fd)
        raise
    return fd


def unlock(fd: int) -> None:
    """Let others have it."""
    # by name: a child that was forked meanwhile holds a copy of the descriptor
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def _open_lock(place: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)
        return os.open(f"{place}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(
            "cannot look for the namespaces of the containers on bridge networks",
            cause=f"{error.strerror}: {error.filename}",
            mend=f"ls -ld {place}",
        ) from error


def _wait_in_child_steps(fd: int) -> Steps[int]:
    """The wait status of a child that waits for the lock: 0 where it is had."""
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            fcntl.flock(fd, fcntl.LOCK_EX)
            os._exit(0)
        finally:
            os._exit(1)
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd, None
    finally:
        os.close(pidfd)
        # the wait may be given up; one that has ended keeps its status
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    return status
