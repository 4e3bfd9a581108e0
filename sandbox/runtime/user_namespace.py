"""The *outer* user namespace: the caller's own id is 0, its subordinate ids are 1 and up.

A process enters it by forking first: the child unshares, the parent runs newuidmap and newgidmap on it.

    parent                                 child
    fork ───────────────────────────────▶  unshare(CLONE_NEWUSER | CLONE_NEWNS)
           ◀──────────────── b"u" ───────
    map_process(child)                     (each may do something else meanwhile)
           ───────────────── b"m" ──────▶  setgroups([]), becomes 0; goes on

All forks happen while the process has one thread (unshare(2): EINVAL beside another), so before trio runs.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from contextlib import contextmanager, suppress

from sandbox.errors import HostError, SandboxError
from sandbox.faults import explain_fault
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls
from sandbox.runtime.id_maps import IdMap, find_id_map, map_process
from sandbox.runtime.reports import decode_error, encode_error
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

_MESSAGE_LIMIT = 1 << 20
#: what a child says where nobody need map it
_JOINED = b"j"
_MAPPER_GONE = "the command ended before the user namespace was mapped"
#: never the switch itself: it would open user namespaces to every program of the machine
APPARMOR_MEND = (
    "sandbox doctor --apparmor-profile | sudo tee /etc/apparmor.d/sandbox && "
    "sudo apparmor_parser -r /etc/apparmor.d/sandbox"
)


class PeerPair(NamedTuple):
    """Both ends of the mapping talk: make it before the fork, each side uses its own."""

    mapper: socket.socket
    mapped: socket.socket


def make_peers() -> PeerPair:
    """A connected pair for `map_forked_child` (parent) and `enter_user_namespace` (child)."""
    return PeerPair(*socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))


class MapperGoneError(HostError):
    """The parent died, or failed to map: nobody needs to be told."""


def enter_user_namespace(peers: PeerPair, meanwhile: Callable[[], None] = lambda: None) -> None:
    """In the forked child: new user and mount namespaces, mapped by the parent; afterwards uid, gid and groups are 0.

    The mount namespace receives mounts from the host (slave) and shows it none. `meanwhile` is called while the parent
    writes the maps: it needs no ids. Raises HostError, MapperGoneError.
    """
    peers.mapper.close()
    with peers.mapped as peer, _mapper_may_go():
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        except OSError as error:
            failure = explain_unshare(error)
            peer.send(encode_error(failure))
            raise failure from error
        # new credentials may have made us undumpable, and then /proc/self/uid_map belongs to root
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        peer.send(b"u")
        meanwhile()
        if peer.recv(1) != b"m":
            raise MapperGoneError(_MAPPER_GONE)
    become_root()


@contextmanager
def _mapper_may_go() -> Iterator[None]:
    # a parent that finds no ids to map closes its end at any time: while we send, or with our word unread
    try:
        yield
    except ConnectionError as error:
        raise MapperGoneError(_MAPPER_GONE) from error


def map_forked_child(
    peers: PeerPair, pid: int, id_map: IdMap | None = None, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """In the parent: wait for the child `pid` to unshare, then map it. Raises HostError; the child ends by itself.

    `meanwhile` is called while other processes write the maps.
    """
    peers.mapped.close()
    ended_early = HostError("the process to be mapped ended early")
    with peers.mapper as peer:
        id_map = id_map or find_id_map()
        answer = peer.recv(_MESSAGE_LIMIT)
        if answer != b"u":
            raise decode_error(answer) if answer else ended_early
        map_process(pid, id_map, meanwhile)
        try:
            peer.send(b"m")
        except ConnectionError as error:
            raise ended_early from error


def say_joined(peers: PeerPair) -> None:
    """In the child, before it enters a namespace that is mapped: nobody need map it."""
    peers.mapper.close()
    with peers.mapped as peer, suppress(ConnectionError):
        peer.send(_JOINED)


def map_or_let_join(peers: PeerPair, pid: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """In the parent: map the child, unless it says that it joins one. Raises HostError; the child ends by itself."""
    peers.mapped.close()
    if peers.mapper.recv(1, socket.MSG_PEEK) != _JOINED:
        # what it said is still to be read
        map_forked_child(peers, pid, meanwhile=meanwhile)
        return
    peers.mapper.close()
    meanwhile()


def become_root() -> None:
    """Take uid and gid 0 of the namespace the process is in, with no supplementary groups and a umask of 022.

    What this root makes lies in images, containers and the store: the caller's umask has no say in their modes.
    """
    os.umask(0o022)
    # a map of one id forbids setgroups(2); groups that are not mapped show as nobody then
    with suppress(PermissionError):
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def join_user_namespace_of(container_pid: int) -> None:
    """In a forked child: enter the outer user namespace of another container, for `--network container:ID`.

    A network namespace can be entered only by who has power over its user namespace: a container that shares one is
    made beside the other, below the same outer namespace. Raises HostError.
    """
    try:
        outer = _open_outer_namespace(container_pid)
        syscalls.setns(outer, syscalls.CLONE_NEWUSER)
        os.close(outer)
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except OSError as error:
        raise HostError("cannot join the user namespace of the other container", cause=explain_fault(error)) from error
    # setns(2) into a user namespace is a change of credentials: else /proc/PID of ours belongs to root
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    become_root()


def _open_outer_namespace(container_pid: int) -> int:
    """The one right below this process's own: there may be another level between that and the container's."""
    own = os.stat("/proc/self/ns/user")
    namespace = os.open(f"/proc/{container_pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    while not os.path.samestat(os.fstat(parent := fcntl.ioctl(namespace, syscalls.NS_GET_PARENT)), own):
        os.close(namespace)
        namespace = parent
    os.close(parent)
    return namespace


def explain_unshare(error: OSError, proc: str = "/proc") -> HostError:
    """What a refused unshare(CLONE_NEWUSER) means on this host."""
    message = "this host does not let a user make user namespaces"
    for name, bad, mend in (
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=15000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            APPARMOR_MEND,
        ),
    ):
        path = f"{proc}/sys/{name}"
        try:
            with open(path) as file:
                value = file.read().strip()
        except OSError:
            continue
        if value == bad:
            return HostError(message, cause=f"{path} is {bad} ({error.strerror})", mend=mend)
    return HostError(message, cause=explain_fault(error), mend="sandbox doctor")


def call_in_user_namespace(function: Callable[..., object], *arguments: object, id_map: IdMap | None = None) -> object:
    """What `function(*arguments)` returns, called in a forked child that is root of a new outer user namespace.

    The result must be JSON-plain. A SandboxError or StorageError comes back as SandboxError with message, cause and
    mend; so does an OSError. For work on files of subordinate ids: removing trees, copying volumes.
    """
    peers = make_peers()
    result_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    _flush()
    pid = os.fork()
    if pid == 0:
        result_end.close()
        _serve_call(lambda: enter_user_namespace(peers), child_end, function, arguments)
    child_end.close()
    with result_end:
        try:
            map_forked_child(peers, pid, id_map)
            answer = _receive_all(result_end)
        finally:
            result_end.shutdown(socket.SHUT_RDWR)
            os.waitpid(pid, 0)
    return _decode_answer(answer)


class ForkedCall:
    """`function(*arguments)` in a forked child, which `enter` has join namespaces first; the caller goes on meanwhile.

    `result` is as that of `call_in_user_namespace`, and must be called.
    """

    def __init__(self, enter: Callable[[], None], function: Callable[..., object], *arguments: object) -> None:
        self._end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        _flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._end.close()
            _serve_call(enter, child_end, function, arguments)
        child_end.close()

    def result(self) -> object:
        """Wait for the end of the call. Raises what it raised."""
        with self._end:
            try:
                answer = _receive_all(self._end)
            finally:
                self._end.shutdown(socket.SHUT_RDWR)
                os.waitpid(self._pid, 0)
        return _decode_answer(answer)


def call_in_forked_child(enter: Callable[[], None], function: Callable[..., object], *arguments: object) -> object:
    """As `call_in_user_namespace`, in namespaces that `enter` has the child join."""
    return ForkedCall(enter, function, *arguments).result()


class UserNamespaceWorkers:
    """Forked processes in one outer user namespace, each serving one end of a stream socket pair.

    Made before trio starts. `sockets` are the parent's ends, one for each worker; a worker ends when its socket is
    closed or the parent dies. `close` closes what is left of them and reaps.
    """

    def __init__(self, count: int, serve: Callable[[socket.socket], None], id_map: IdMap | None = None) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(count)]
        peers = make_peers()
        _flush()
        self._pid = os.fork()
        if self._pid == 0:
            _run_workers(peers, pairs, serve)
        self.sockets: tuple[socket.socket, ...] = tuple(ours for ours, _theirs in pairs)
        for _ours, theirs in pairs:
            theirs.close()
        try:
            map_forked_child(peers, self._pid, id_map)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers and wait for them; harmless when called twice."""
        for end in self.sockets:
            end.close()
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0


def _run_workers(
    peers: PeerPair, pairs: list[tuple[socket.socket, socket.socket]], serve: Callable[[socket.socket], None]
) -> NoReturn:
    status = 1
    try:
        _die_with_parent()
        for ours, _theirs in pairs:
            ours.close()
        enter_user_namespace(peers)
        # credentials changed: prctl(2) says the death signal is cleared then
        _die_with_parent()
        workers = []
        for _ours, theirs in pairs:
            child = os.fork()
            if child == 0:
                _die_with_parent()
                for _other_ours, other in pairs:
                    if other is not theirs:
                        other.close()
                serve(theirs)
                os._exit(0)
            workers.append(child)
        for _ours, theirs in pairs:
            theirs.close()
        for child in workers:
            os.waitpid(child, 0)
        status = 0
    finally:
        os._exit(status)


def _serve_call(
    enter: Callable[[], None],
    answer_end: socket.socket,
    function: Callable[..., object],
    arguments: tuple[object, ...],
) -> NoReturn:
    status = 1
    try:
        try:
            enter()
            _die_with_parent()
            import json  # here and in the parent only: callers on hot paths may not need it

            answer = b"R" + json.dumps(function(*arguments)).encode()
        except StorageError as error:
            answer = encode_error(SandboxError(error.message, cause=error.cause, mend=error.mend))
        except Exception as error:  # noqa: BLE001  # a process boundary: every failure is reported to the parent
            answer = encode_error(error, f"run {getattr(function, '__name__', 'a task')} in the user namespace")
        answer_end.sendall(answer)
        status = 0
    finally:
        os._exit(status)


def _decode_answer(answer: bytes) -> object:
    if answer[:1] == b"R":
        import json  # see _serve_call

        result: object = json.loads(answer[1:])
        return result
    if answer[:1] == b"E":
        raise decode_error(answer)
    raise SandboxError("a helper process in the user namespace died", cause="it left no answer")


def _receive_all(end: socket.socket) -> bytes:
    parts = []
    while part := end.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def _die_with_parent() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _flush() -> None:
    # what lies in the buffers would be written by the parent and by the child
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
