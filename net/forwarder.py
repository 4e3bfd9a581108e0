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
import select
import signal
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET, socket, socketpair
from array import array
from contextlib import suppress

from net.balance import Target
from net.client_address import ClientAddresses, ForwardTarget
from net.descriptors import keep_only
from net.forward_loop import ForwardLoop, raise_limit, receive_with_fds
from net.listeners import FDS_IN_A_MESSAGE, Listener
from net.named_tuple import NamedTuple
from net.ports import PortMapping
from net.syscalls import CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_NAME = b"sandbox-ports"
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
            _Forwarder(forwarding, raise_limit()).run()
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


class _Forwarder(ForwardLoop):
    """The loop of one container's ports, with its parent's messages. `limit` is how many descriptors there may be."""

    def __init__(self, forwarding: _Forwarding, limit: int) -> None:
        super().__init__(limit, forwarding.listeners)
        self._control = control = forwarding.control
        self._ends_idle = forwarding.ends_idle
        self.lead_to(forwarding.target)
        self.on_message[control.fileno()] = self._on_message
        self.epoll.register(control.fileno(), select.EPOLLIN)

    def patience(self) -> float:
        # a short wait that others want is not its own end
        return _IDLE_SECONDS if self._is_idle() else super().patience()

    def on_nothing(self) -> None:
        if self._is_idle():
            os._exit(0)

    def lead_to(self, target: ForwardTarget) -> None:
        """Have new connections lead to `target`; udp has none that would go on."""
        for former in self.balance.targets.values():
            self.udp.forget_target(former)
        self.balance.targets = {"": Target("", ClientAddresses(target))}

    def _is_idle(self) -> bool:
        return self._ends_idle and self.accepts and not self.tcp.sides and not self.udp.flows

    def _on_message(self) -> None:
        data, fds = receive_with_fds(self._control)
        if not data:
            os._exit(0)
        match json.loads(data):
            case {"add": rows}:
                for row, fd in zip(rows, fds, strict=True):
                    self.add(Listener(PortMapping(*row), fd))
            case {"remove": rows}:
                self.remove({tuple(row) for row in rows})
                self._control.send(b"1")
            case {"stay": _}:
                self._ends_idle = False
            case {"target": row}:
                self.lead_to(ForwardTarget(*row))
