"""The birth of a service's forwarder: an interpreter of its own, which enters the bridges' network or makes it.

    who publishes (may have threads)     interpreter                     sandbox-service
    makes the control socket, starts ──▶ forks ────────────────────────▶ leaves session and descriptors
                                         maps the user namespace,        enters it, and the router;
                                         where it is new; ends           is one of its holders
    ◀──────────────────────────────────────────────────── "+", or why not

It is started by exec, for a fork of a program with trio in it would have all of that in memory as long as it lives. As
a holder it keeps the router there, so a service without a container goes on to have its ports.
"""

from __future__ import annotations

import os
import subprocess
import sys

from net.keeper_birth import forget_caller
from net.service_forwarder import PROCESS_NAME, ServiceForwarder
from net.syscalls import CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, prctl, setns
from sandbox.errors import HostError, SandboxError, translated
from sandbox.runtime.own_process import become_own_process
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.shared_namespaces import enter_shared_namespaces, map_shared_child
from sandbox.runtime.user_namespace import MapperGoneError, make_peers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sandbox.runtime.user_namespace import PeerPair

_BOOT = (
    "import sys; sys.path[:] = sys.argv[5:]; from sandbox.network.forwarder_birth import main; "
    "main(int(sys.argv[1]), *sys.argv[2:5])"
)
_BORN = b"+"
#: of the child's status: it has told why it ends
_TOLD = 3


def start_forwarder_process(control_fd: int, place: str, service_id: str, label: str) -> None:
    """Have a forwarder listen on the control socket, which stays the caller's; it has no port and no member yet.

    `place` is the directory of the router's holders, `label` what `ps` shows of it. Raises HostError.
    """
    from sandbox.own_modules import module_places

    words = [sys.executable, "-IS", "-c", _BOOT, str(control_fd), place, service_id, label, *module_places()]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(control_fd,), cwd="/", check=False
        )  # fmt: skip
    except OSError as error:
        raise HostError("cannot start the forwarder of a service", cause=str(error)) from error
    if done.stdout == _BORN:
        return
    if done.stdout:
        raise decode_error(done.stdout)
    raise HostError("cannot start the forwarder of a service", cause=f"it ended with status {done.returncode}")


def main(control_fd: int, place: str, service_id: str, label: str) -> NoReturn:
    """Be the interpreter: fork the forwarder, and map its user namespace where that is new."""
    answer_fd = os.dup(1)
    os.set_inheritable(answer_fd, False)
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        _live(control_fd, place, service_id, label, answer_fd, peers)
    status = 0
    try:
        map_shared_child(peers, pid)
    except SandboxError as error:
        # what the child itself says is the cause; that it ended is what followed from it
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != _TOLD:
            os.write(answer_fd, encode_error(error))
        status = 1
    finally:
        os._exit(status)


def _live(control_fd: int, place: str, service_id: str, label: str, answer_fd: int, peers: PeerPair) -> NoReturn:
    import socket

    from net.forward_loop import raise_limit

    status = 1
    try:
        peers.mapper.close()
        become_own_process({control_fd, answer_fd, peers.mapped.fileno()}, PROCESS_NAME)
        router_fd = enter_shared_namespaces(place, peers, _make_router)
        forget_caller(f"{PROCESS_NAME} {label}")
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        # listening sockets come from the host's network; what is made from here on is in the router's
        setns(router_fd, CLONE_NEWNET)
        forwarder = ServiceForwarder(service_id, socket.socket(fileno=control_fd), (), raise_limit())
        os.write(answer_fd, _BORN)
        os.close(answer_fd)
        forwarder.run()
    except MapperGoneError:
        pass  # who maps knows why
    except Exception as error:  # noqa: BLE001  # a process boundary: who publishes reads it
        os.write(answer_fd, encode_error(error, "start the forwarder of a service"))
        status = _TOLD
    finally:
        os._exit(status)


def _make_router() -> int:
    from sandbox.network.router import make_router_namespace

    with translated(HostError, "cannot make the network of bridges"):
        return make_router_namespace()
