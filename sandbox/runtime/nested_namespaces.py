"""A container's nested user namespace and its network namespace, made by a child that ends once they are had.

    monitor (outer user namespace)            child
    fork ────────────────────────────────▶  on bridges: a socket of the router, which it leaves for good
           ◀──────────────────── b"u" ────  unshares
    writes its maps ────────── b"m" ─────▶  loopback, sysctls, sockets
           ◀──────── b"d", descriptors ───  waits for the end of the stream, ends

With a limit of processes there is a level between, in which the child forks another that it maps itself: the kernel
counts, against the limit of a user namespace, who made it and all below in its *parent*. Directly below one that
several containers share, each would be charged with the processes of all.
"""

from __future__ import annotations

import array
import os
import resource
import socket

from net.namespace import prepare_namespace
from sandbox.errors import StartError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.id_maps import format_map, identity_lines
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.sysctls import network_sysctls, write_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sandbox.runtime.spec import ContainerSpec

_REPORT_LIMIT = 64 * 1024
#: the kernel takes 253 in one message, <net/scm.h>
_MOST_DESCRIPTORS = 253
#: processes of the same user beside the container's in the namespace above: the child between, and who enters
_OTHER_PROCESSES = 8


class Wires(NamedTuple):
    """What connects a container's network namespace to the router: sockets of both, from which either is configured."""

    #: rtnetlink(7) of the router, and of the container's namespace
    router_netlink: int
    netlink: int
    #: at 127.0.0.11 inside, for who answers there: udp, tcp; or none
    name_sockets: tuple[int, ...] = ()
    #: for ports of the host's loopback, in the order of `ContainerSpec.host_ports`
    host_sockets: tuple[int, ...] = ()


class NestedNamespaces(NamedTuple):
    """Descriptors, which belong to the holder of this value."""

    user_fd: int
    #: None where it has no network namespace of its own
    network_fd: int | None = None
    #: None unless it is on bridges
    wires: Wires | None = None


def make_nested_namespaces(spec: ContainerSpec, router_fd: int = -1) -> NestedNamespaces:
    """Namespaces for `spec`, below that of the caller; `router_fd` is a router's network namespace, for bridges.

    Raises StartError, HostError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _Maker(theirs, spec, router_fd).run()
    theirs.close()
    with ours:
        try:
            _map(ours, pid)
            return _sorted(_receive(ours), spec, bridged=router_fd >= 0)
        finally:
            ours.close()  # the child waits for this to end
            os.waitpid(pid, 0)


def _map(peer: socket.socket, pid: int) -> None:
    """Map in the namespace that `pid` has made what this one maps, under the same numbers."""
    report = peer.recv(_REPORT_LIMIT)
    if report != b"u":
        raise _failure(report)
    for kind in ("uid_map", "gid_map"):
        with open(f"/proc/self/{kind}") as outer, open(f"/proc/{pid}/{kind}", "w") as nested:
            nested.write(format_map(identity_lines(outer.read())))
    peer.send(b"m")


def _receive(peer: socket.socket) -> list[int]:
    space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
    report, ancillary, _flags, _address = peer.recvmsg(_REPORT_LIMIT, space, socket.MSG_CMSG_CLOEXEC)
    if report != b"d":
        raise _failure(report)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _sorted(fds: list[int], spec: ContainerSpec, *, bridged: bool) -> NestedNamespaces:
    user_fd = fds.pop(0)
    if spec.network != "private":
        return NestedNamespaces(user_fd)
    network_fd = fds.pop(0)
    if not bridged:
        return NestedNamespaces(user_fd, network_fd)
    router_netlink, netlink, *listening = fds
    # those for names come first
    at = len(listening) - len(spec.host_ports)
    wires = Wires(router_netlink, netlink, tuple(listening[:at]), tuple(listening[at:]))
    return NestedNamespaces(user_fd, network_fd, wires)


def _failure(report: bytes) -> Exception:
    if report[:1] == b"E":
        return decode_error(report)
    return StartError("the process that makes the container's namespaces died")


class _Maker:
    """What runs in the child."""

    def __init__(self, peer: socket.socket, spec: ContainerSpec, router_fd: int) -> None:
        self._peer = peer
        self._spec = spec
        self._router_fd = router_fd
        #: what is handed over after the namespaces themselves
        self._sockets: list[int] = []
        self._doing = ""

    def run(self) -> NoReturn:
        try:
            if self._router_fd >= 0:
                self._doing = "enter the network namespace of the bridges"
                self._open_router_socket()
            if self._spec.process_limit:
                self._doing = "make a user namespace for the container's limit of processes"
                self._enter_level_between()
            else:
                self._make(self._peer)
        except BaseException as error:  # noqa: BLE001  # a process boundary: the parent reads it as a report
            self._peer.send(encode_error(error, self._doing))
        finally:
            os._exit(0)

    def _open_router_socket(self) -> None:
        from net.netlink import open_rtnetlink  # containers on bridges only
        from net.router import enter_router

        with translated(StartError, f"cannot {self._doing}"):
            enter_router(self._router_fd)
            self._sockets.append(open_rtnetlink().detach())

    def _enter_level_between(self) -> None:
        self._unshare(self._peer, sc.CLONE_NEWUSER)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            # counted for each user namespace, against the limit of who made it (user_namespaces(7), kernel/ucount.c)
            _soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            most = sc.PID_MAX_LIMIT if hard == resource.RLIM_INFINITY else hard
            limit = min(self._spec.process_limit + _OTHER_PROCESSES, most)
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
            self._make(theirs)
        theirs.close()
        _map(ours, pid)
        os.waitpid(pid, 0)

    def _make(self, mapper: socket.socket) -> None:
        private = self._spec.network == "private"
        self._doing = "make the container's user namespace"
        self._unshare(mapper, sc.CLONE_NEWUSER | (sc.CLONE_NEWNET if private else 0))
        if private:
            self._doing = "set up the container's network namespace"
            self._set_up_network()
        opened = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", *(("net",) if private else ()))]
        rights = array.array("i", [*opened, *self._sockets])
        self._peer.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self._peer.recv(1)

    def _unshare(self, mapper: socket.socket, flags: int) -> None:
        sc.unshare(flags)
        sc.prctl(sc.PR_SET_DUMPABLE, 1)  # else /proc/PID/uid_map belongs to root and nobody can write it
        mapper.send(b"u")
        if mapper.recv(1) != b"m":
            os._exit(0)

    def _set_up_network(self) -> None:
        with translated(StartError, f"cannot {self._doing}"):
            if self._router_fd < 0:
                prepare_namespace()
            else:
                self._set_up_bridged()
        write_sysctls(network_sysctls(self._spec))

    def _set_up_bridged(self) -> None:
        from net.namespace import prepare_bridged_namespace
        from net.netlink import open_rtnetlink

        prepare_bridged_namespace()
        self._sockets.append(open_rtnetlink().detach())
        if self._spec.local_names:
            from net.container_names import begin_container_names

            self._sockets += [each.detach() for each in begin_container_names()]
        if self._spec.host_ports:
            from net.host_access import begin_host_access

            self._sockets += [each.detach() for each in begin_host_access(self._spec.host_ports)]
