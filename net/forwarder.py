"""The process that carries a container's published ports, and its parent's side.

    monitor (user namespace of the router, network of the host)
      └─▶ sandbox-ports: in the router's network namespace, with bound sockets of the host; ends with the monitor

The monitor keeps copies of the listening sockets: when this process dies, another one goes on with the connections that
have come meanwhile. It is told of changes by messages over a socket of whole packets: JSON, with listening sockets
beside it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import time
from _socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    CMSG_SPACE,
    SCM_RIGHTS,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
    socketpair,
)
from array import array
from contextlib import suppress

from net.client_address import ClientAddresses, ForwardTarget
from net.descriptors import keep_only
from net.forward import BUFFER_BYTES, TcpForwarder
from net.forward_udp import UdpForwarder, UdpPort
from net.listeners import FDS_IN_A_MESSAGE, Listener
from net.named_tuple import NamedTuple
from net.ports import PortMapping
from net.syscalls import CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    #: host address and port, protocol: `Listener.key`
    Key = tuple[str, int, str]

_NAME = b"sandbox-ports"
#: descriptors that connections leave free: epoll, control, and listeners that come later
_SPARE_DESCRIPTORS = 64
_MESSAGE_BYTES = 1 << 16
_EVENTS_AT_ONCE = 512
#: how often silent flows are looked for, and how soon accepting is tried again where the system had no more to give
_LOOK_SECONDS = 10.0
_RETRY_SECONDS = 1.0
#: how long a forwarder that ends idle waits for the next connection, when none is open
_IDLE_SECONDS = 10.0
#: it ends with its parent, whatever is sent to all processes of a session
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM)


class ForwarderProcess(NamedTuple):
    """A running forwarder; the two descriptors belong to the holder of this value."""

    pid: int
    pidfd: int
    control: int


def start_forwarder(
    router_fd: int, listeners: Sequence[Listener], target: ForwardTarget, *, ends_idle: bool = False
) -> ForwarderProcess:
    """Fork a process that carries what comes to the listeners to `target`, and return at once.

    To be called by a process of one thread in the host's network namespace, with the power to enter that of
    `router_fd`; with -1 the target is of the host's. The sockets stay the caller's. The child is killed when the
    caller ends; with `ends_idle` it ends by itself when nothing has been open for some seconds. Raises OSError.
    """
    control, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    parent = os.getpid()
    # objects that the collector does not visit stay on pages that both processes share
    gc.freeze()
    try:
        pid = os.fork()
        if pid == 0:
            _child(router_fd, parent, _Forwarding(theirs, listeners, target, ends_idle))
    finally:
        theirs.close()
    return ForwarderProcess(pid, os.pidfd_open(pid), control.detach())


def end_forwarder(process: ForwarderProcess) -> None:
    """End it, reap it and close its descriptors; safe after it died, and after somebody else reaped it."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process.pid, 0)
    os.close(process.pidfd)
    os.close(process.control)
    # there is nobody to share pages with
    gc.unfreeze()


def add_listeners(process: ForwarderProcess, listeners: Sequence[Listener]) -> None:
    """Have it carry what comes to more listeners, which stay the caller's. Raises OSError where it has ended."""
    for at in range(0, len(listeners), FDS_IN_A_MESSAGE):
        some = listeners[at : at + FDS_IN_A_MESSAGE]
        _tell(process, {"add": [one.mapping for one in some]}, [one.fd for one in some])


def remove_listeners(process: ForwarderProcess, listeners: Sequence[Listener]) -> None:
    """Have it close some; connections of theirs go on. When it has, `control` is readable, and `read_answer` is due.

    A port is free when the caller has closed its copies too. Raises OSError where the process has ended.
    """
    _tell(process, {"remove": [one.key for one in listeners]})


def read_answer(process: ForwarderProcess) -> bool:
    """Wait until it has done what `remove_listeners` asked; False where it has ended, which is as good."""
    return bool(os.read(process.control, 1))


def set_target(process: ForwarderProcess, target: ForwardTarget) -> None:
    """Have new connections lead elsewhere. Raises OSError where the process has ended."""
    _tell(process, {"target": target})


def have_stay(process: ForwarderProcess) -> None:
    """Have it not end by itself any more. Raises OSError where it has ended."""
    _tell(process, {"stay": True})


def _tell(process: ForwarderProcess, message: dict[str, object], fds: Sequence[int] = ()) -> None:
    control = socket(fileno=os.dup(process.control))
    try:
        rights = [(SOL_SOCKET, SCM_RIGHTS, array("i", fds))] if fds else []
        control.sendmsg([json.dumps(message).encode()], rights)
    finally:
        control.close()


class _Forwarding(NamedTuple):
    """What a forwarder is started with."""

    control: socket
    listeners: Sequence[Listener]
    target: ForwardTarget
    ends_idle: bool


def _child(router_fd: int, parent: int, forwarding: _Forwarding) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if os.getppid() == parent:
            _leave_parent()
            keep_only((router_fd, forwarding.control.fileno(), *(listener.fd for listener in forwarding.listeners)))
            # the bound sockets stay in the host's network; what is made from here on is in the router's
            if router_fd >= 0:
                setns(router_fd, CLONE_NEWNET)
                os.close(router_fd)
            _Forwarder(forwarding, _raise_limit()).run()
    finally:
        os._exit(1)


def _leave_parent() -> None:
    """No signal of the parent's, and none of its name."""
    signal.set_wakeup_fd(-1)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # not by open(): what an encoder touches would be pages of our own
    comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(comm, _NAME)
    os.close(comm)


def _raise_limit() -> int:
    """As many descriptors as may be had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class _Forwarder:
    """The loop over everything that is open. `limit` is how many descriptors there may be."""

    def __init__(self, forwarding: _Forwarding, limit: int) -> None:
        clients = ClientAddresses(forwarding.target)
        self._control = control = forwarding.control
        self._ends_idle = forwarding.ends_idle
        self._epoll = select.epoll()
        spare = _SPARE_DESCRIPTORS + len(forwarding.listeners)
        buffer, most = bytearray(BUFFER_BYTES), max(1, (limit - spare) // 2)
        self._tcp = TcpForwarder(self._epoll, clients, most, buffer)
        self._udp = UdpForwarder(self._epoll, clients, buffer)
        self._tcp_ports: dict[int, tuple[socket, PortMapping]] = {}
        self._udp_ports: dict[int, UdpPort] = {}
        self._accepts = True
        self._looked = 0.0
        self._epoll.register(control.fileno(), select.EPOLLIN)
        for listener in forwarding.listeners:
            self._add(listener)

    def run(self) -> NoReturn:
        tcp, poll, control = self._tcp, self._epoll.poll, self._control.fileno()
        sides, on_event = tcp.sides, tcp.on_event
        while True:
            others = []
            events = poll(self._patience(), _EVENTS_AT_ONCE)
            if not events and self._is_idle():
                os._exit(0)
            for number, event in events:
                side = sides.get(number)
                if side is not None:
                    on_event(side, event)
                elif number == control:
                    # before any connection that came after the message
                    self._on_message()
                else:
                    others.append(number)
            # after all sides: a new connection has the numbers of those that have ended, and none of their events
            for number in others:
                self._on_other(number)
            if tcp.unfinished:
                tcp.finish()
            if tcp.is_full or not self._accepts:
                self._accept_or_not(retries=not events)
            if self._udp.flows:
                self._look_at_flows()

    def _patience(self) -> float:
        if self._tcp.unfinished:
            return 0
        if not self._accepts:
            return _RETRY_SECONDS
        if self._is_idle():
            return _IDLE_SECONDS
        return _LOOK_SECONDS if self._udp.flows else -1

    def _is_idle(self) -> bool:
        return self._ends_idle and self._accepts and not self._tcp.sides and not self._udp.flows

    def _on_other(self, number: int) -> None:
        if number in self._tcp_ports:
            self._tcp.accept(*self._tcp_ports[number])
        elif number in self._udp_ports:
            self._udp.from_host(self._udp_ports[number], time.monotonic())
        elif number in self._udp.flows:
            self._udp.from_container(self._udp.flows[number], time.monotonic())

    def _accept_or_not(self, *, retries: bool) -> None:
        """Look at listening sockets only while there is room: those who wait there would wake us for ever."""
        if retries:
            self._tcp.is_full = False
        if self._accepts == self._tcp.is_full:
            self._accepts = not self._accepts
            for number in self._tcp_ports:
                self._epoll.modify(number, select.EPOLLIN if self._accepts else 0)

    def _look_at_flows(self) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._udp.forget_silent(list(self._udp_ports.values()), now)

    def _on_message(self) -> None:
        data, ancillary, _, _ = self._control.recvmsg(_MESSAGE_BYTES, CMSG_SPACE(4 * FDS_IN_A_MESSAGE))
        if not data:
            os._exit(0)
        fds = array("i")
        for _level, _kind, rights in ancillary:
            fds.frombytes(rights[: len(rights) - len(rights) % 4])
        match json.loads(data):
            case {"add": rows}:
                for row, fd in zip(rows, fds, strict=True):
                    self._add(Listener(PortMapping(*row), fd))
            case {"remove": rows}:
                self._remove({tuple(row) for row in rows})
                self._control.send(b"1")
            case {"stay": _}:
                self._ends_idle = False
            case {"target": row}:
                self._lead_to(ClientAddresses(ForwardTarget(*row)))

    def _add(self, listener: Listener) -> None:
        mapping = listener.mapping
        family = AF_INET6 if ":" in mapping.host_ip else AF_INET
        is_tcp = mapping.protocol == "tcp"
        one = socket(family, SOCK_STREAM if is_tcp else SOCK_DGRAM, 0, listener.fd)
        if is_tcp:
            self._tcp_ports[listener.fd] = one, mapping
            self._epoll.register(listener.fd, select.EPOLLIN if self._accepts else 0)
        else:
            self._udp_ports[listener.fd] = UdpPort(one, mapping)
            self._epoll.register(listener.fd, select.EPOLLIN)

    def _remove(self, keys: set[Key]) -> None:
        for number, (listener, mapping) in tuple(self._tcp_ports.items()):
            if Listener(mapping, number).key in keys:
                del self._tcp_ports[number]
                # the parent has it open still, and epoll would go on to tell of it
                self._epoll.unregister(number)
                listener.close()
        for number, port in tuple(self._udp_ports.items()):
            if Listener(port.mapping, number).key in keys:
                del self._udp_ports[number]
                self._epoll.unregister(number)
                self._udp.forget_port(port)
                port.listener.close()

    def _lead_to(self, clients: ClientAddresses) -> None:
        self._tcp.clients = self._udp.clients = clients
        for port in self._udp_ports.values():
            self._udp.forget_port(port)
