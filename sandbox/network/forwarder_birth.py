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
from functools import partial

from net.forward_loop import raise_limit
from net.keeper_birth import forget_caller
from net.service_forwarder import PROCESS_NAME, ServiceForwarder
from net.syscalls import CLONE_NEWNET, PR_SET_NO_NEW_PRIVS, prctl, setns
from sandbox.errors import HostError, SandboxError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.network.forwarder_rest import ForwarderPlaces, RestingForwarder
from sandbox.runtime.own_process import become_own_process
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.shared_namespaces import enter_shared_namespaces, map_shared_child
from sandbox.runtime.systemd_scopes import leave_session
from sandbox.runtime.user_namespace import MapperGoneError, make_peers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sandbox.network.forwarder_rest import Rest
    from sandbox.paths import Paths
    from sandbox.runtime.user_namespace import PeerPair

_BOOT = (
    "import sys; sys.path[:] = sys.argv[7:]; from sandbox.network.forwarder_birth import main; "
    "main(int(sys.argv[1]), *sys.argv[2:7])"
)
_BORN = b"+"
#: where a forwarder that is woken leaves word of a fault, below the runtime directory
_LOG_NAME = "services.log"
#: of the child's status: it has told why it ends
_TOLD = 3


def start_forwarder_process(paths: Paths, control_fd: int, service_id: str, label: str) -> None:
    """Have a forwarder listen on the control socket, which stays the caller's; it has no port and no member yet.

    `label` is what `ps` shows of it. Raises HostError.
    """
    from sandbox.own_modules import module_places

    birth = (str(control_fd), paths.router, service_id, label, paths.cache, f"{paths.runtime_root}/{_LOG_NAME}")
    words = [sys.executable, "-IS", "-c", _BOOT, *birth, *module_places()]
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


def main(control_fd: int, router: str, service_id: str, label: str, cache: str, log_path: str) -> NoReturn:
    """Be the interpreter: fork the forwarder, and map its user namespace where that is new. `router` is the directory
    of the router's holders; the other places are those of `ForwarderPlaces`.
    """
    answer_fd = os.dup(1)
    os.set_inheritable(answer_fd, False)
    leave_session("service", os.environ)
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        places = ForwarderPlaces(f"{PROCESS_NAME} {label}", cache, log_path)
        _live(_Birth(control_fd, router, service_id, places, answer_fd), peers)
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


class _Birth(NamedTuple):
    control_fd: int
    router: str
    service_id: str
    places: ForwarderPlaces
    answer_fd: int


def _live(birth: _Birth, peers: PeerPair) -> NoReturn:
    status = 1
    try:
        peers.mapper.close()
        become_own_process({birth.control_fd, birth.answer_fd, peers.mapped.fileno()}, PROCESS_NAME)
        router_fd = enter_shared_namespaces(birth.router, peers, _make_router)
        forget_caller(birth.places.title)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        # listening sockets come from the host's network; what is made from here on is in the router's
        setns(router_fd, CLONE_NEWNET)
        RestingForwarder(birth.places).run(partial(_forwarder, birth))
    except MapperGoneError:
        pass  # who maps knows why
    except Exception as error:  # noqa: BLE001  # a process boundary: who publishes reads it
        os.write(birth.answer_fd, encode_error(error, "start the forwarder of a service"))
        status = _TOLD
    finally:
        os._exit(status)


def _forwarder(birth: _Birth, rest: Rest, quiet_seconds: float) -> ServiceForwarder:
    import socket

    control = socket.socket(fileno=birth.control_fd)
    forwarder = ServiceForwarder(birth.service_id, control, (), raise_limit(), rest, quiet_seconds)
    os.write(birth.answer_fd, _BORN)
    os.close(birth.answer_fd)
    return forwarder


def _make_router() -> int:
    from sandbox.network.router import make_router_namespace

    with translated(HostError, "cannot make the network of bridges"):
        return make_router_namespace()
