"""Networks for tests of published ports: the host's, the router's, those of three containers, and somebody else's.

    client 198.51.100.7 ── 198.51.100.1, .2 host        router 172.30.0.1 ── 172.30.0.2 container, .3 second, .4 third
           2001:db8:1::7 ── 2001:db8:1::1, ::2          fd30::1 ── fd30::2, ::3, ::4

Host and router are not connected: what passes goes through the forwarder. `python -m tests.net.forward_world FD LIMIT`
runs in a new user and network namespace and does what comes over the socket FD; sockets that are made in any of the
networks are handed to the test, which uses them as its own.
"""

from __future__ import annotations

import array
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from net import forwarder
from net.client_address import ForwardTarget
from net.forwarder import (
    ForwarderProcess,
    add_listeners,
    end_forwarder,
    read_answer,
    remove_listeners,
    set_target,
    start_forwarder,
)
from net.listeners import Listener, close_listeners, open_listeners
from net.networks import Subnet
from net.ports import PortMapping
from net.router import make_router, open_namespace
from net.service_forwarder import ServiceForwarder, listen_for_control
from net.syscalls import CLONE_NEWNET, PR_SET_PDEATHSIG, prctl, setns, unshare
from tests.needs import REPOSITORY
from tests.net.bridge_containers import bridge, connected, endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENT4, HOST4, OTHER_HOST4, GATEWAY4, CONTAINER4 = (
    "198.51.100.7", "198.51.100.1", "198.51.100.2", "172.30.0.1", "172.30.0.2",
)  # fmt: skip
CLIENT6, HOST6, OTHER_HOST6, GATEWAY6, CONTAINER6 = (
    "2001:db8:1::7", "2001:db8:1::1", "2001:db8:1::2", "fd30::1", "fd30::2",
)  # fmt: skip
TARGET = ForwardTarget(CONTAINER4, CONTAINER6, ("172.30.0.0/24", "fd30::/64"))
#: the containers, and how they are reached
TARGETS = {
    "container": TARGET,
    "second": TARGET._replace(address4="172.30.0.3", address6="fd30::3"),
    "third": TARGET._replace(address4="172.30.0.4", address6="fd30::4"),
}


class ForwardWorld:
    """The test's side."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self.pid = 0

    def socket_in(self, place: str, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of "host", "client" or one of `TARGETS`, with a time limit."""
        _, fds = self._ask("socket_in", place, family, kind)
        made = socket.socket(family, kind, 0, fds[0])
        made.settimeout(30)
        return made

    def server(
        self, port: int, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, *, place: str = "container"
    ) -> socket.socket:
        """A socket in a container, bound to the port, listening if it is a stream's."""
        server = self.socket_in(place, family, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("" if family == socket.AF_INET else "::", port))
        if kind == socket.SOCK_STREAM:
            server.listen(1024)
        return server

    def start(self, *mappings: PortMapping, target: ForwardTarget = TARGET) -> list[PortMapping]:
        """Bind the ports and start a forwarder for them; the one of before is ended."""
        (self.pid, rows), _ = self._ask("start", mappings, target)
        return [PortMapping(*row) for row in rows]

    def serve(self, control: str, *mappings: PortMapping) -> list[PortMapping]:
        """Bind the ports and start the forwarder of a service for them, which is told at the path `control`."""
        (self.pid, rows), _ = self._ask("serve", control, mappings)
        return [PortMapping(*row) for row in rows]

    def add(self, *mappings: PortMapping) -> list[PortMapping]:
        rows, _ = self._ask("add", mappings)
        return [PortMapping(*row) for row in rows]

    def remove(self, *bound: PortMapping) -> None:
        self._ask("remove", bound)

    def settle(self) -> None:
        """Wait until the forwarder has done with what came before."""
        # what comes along with a message is done after it: the second answer comes after that
        self.remove()
        self.remove()

    def lead_to(self, target: ForwardTarget) -> None:
        self._ask("target", target)
        self.settle()

    def restart(self) -> None:
        """Kill the forwarder, and start another one with the same listeners."""
        self.pid, _ = self._ask("restart")

    def wait_idle(self) -> int:
        """The exit code of a forwarder that ends when nothing has come for a time; `restart` is due."""
        code, _ = self._ask("wait_idle")
        return int(code)

    def kill(self) -> None:
        """Kill the forwarder; `restart` is due."""
        self._ask("kill")

    def connect(self, place: str, address: tuple[str, int]) -> socket.socket:
        """A connection of `place`."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        made = self.socket_in(place, family)
        try:
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made

    def _ask(self, *words: Any) -> tuple[Any, list[int]]:
        self._control.sendall(json.dumps(words).encode())
        data, fds, _, _ = socket.recv_fds(self._control, 1 << 18, 4)
        assert data, "the world has ended: see its standard error"
        answer = json.loads(data)
        assert "error" not in answer, answer["error"]
        return answer["value"], fds


@contextmanager
def forward_world(limit: int = 0) -> Iterator[ForwardWorld]:
    """The networks, with no port published yet; `limit` is the hard limit of descriptors, 0 for that of the test."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(60)
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--keep-caps",
        "--net",
        sys.executable,
        "-m",
        "tests.net.forward_world",
    ]
    words = [*command, str(theirs.fileno()), str(limit)]
    with ours, subprocess.Popen(words, pass_fds=[theirs.fileno()], cwd=REPOSITORY) as holder:
        theirs.close()
        try:
            yield ForwardWorld(ours)
        finally:
            ours.close()
        assert holder.wait(30) == 0


class _Holder:
    """What runs in the namespaces."""

    def __init__(self) -> None:
        self._places = {"host": open_namespace(), "client": _new_network()}
        setns(self._places["host"], CLONE_NEWNET)
        self._forwarder: ForwarderProcess | None = None
        self._listeners: list[Listener] = []
        self._target = TARGET
        self._ends_idle = False
        self._connect_client()
        router, routing = make_router()
        network = bridge("a", 30, subnet6=Subnet("fd30::", 64, GATEWAY6))
        self._places["router"] = router.net_fd
        for number, name in enumerate(TARGETS, 2):
            self._places[name] = connected(routing, endpoint(network, number)).net_fd

    def socket_in(self, place: str, family: int, kind: int) -> tuple[None, list[int]]:
        setns(self._places[place], CLONE_NEWNET)
        made = socket.socket(family, kind)
        setns(self._places["host"], CLONE_NEWNET)
        return None, [made.detach()]

    def start(self, rows: Sequence[Any], target: Sequence[Any]) -> tuple[object, list[int]]:
        self.kill()
        close_listeners(self._listeners)
        self._listeners = list(open_listeners([PortMapping(*row) for row in rows]))
        self._target = ForwardTarget(*target)
        pid, _ = self.restart()
        return (pid, [one.mapping for one in self._listeners]), []

    def serve(self, control: str, rows: Sequence[Any]) -> tuple[object, list[int]]:
        listeners = open_listeners([PortMapping(*row) for row in rows])
        listening = listen_for_control(control)
        pid = os.fork()
        if pid == 0:
            # as if the tests' end were the end of a session
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            setns(self._places["router"], CLONE_NEWNET)
            ServiceForwarder("web", listening, listeners, 1024).run()
        listening.close()
        close_listeners(listeners)
        return (pid, [one.mapping for one in listeners]), []

    def restart(self) -> tuple[int, list[int]]:
        self.kill()
        self._forwarder = start_forwarder(
            self._places["router"], self._listeners, self._target, ends_idle=self._ends_idle
        )
        return self._forwarder.pid, []

    def wait_idle(self) -> tuple[int, list[int]]:
        """The exit code of another forwarder, which ends when nothing comes."""
        forwarder._IDLE_SECONDS = 0.05
        self._ends_idle = True
        self.restart()
        self._ends_idle = False
        assert self._forwarder is not None
        return os.waitstatus_to_exitcode(os.waitpid(self._forwarder.pid, 0)[1]), []

    def kill(self) -> tuple[None, list[int]]:
        if self._forwarder is not None:
            end_forwarder(self._forwarder)
            self._forwarder = None
        return None, []

    def add(self, rows: Sequence[Any]) -> tuple[object, list[int]]:
        assert self._forwarder is not None
        added = open_listeners([PortMapping(*row) for row in rows])
        add_listeners(self._forwarder, added)
        self._listeners += added
        return [one.mapping for one in added], []

    def remove(self, rows: Sequence[Any]) -> tuple[None, list[int]]:
        assert self._forwarder is not None
        gone = [one for one in self._listeners if list(one.mapping) in rows]
        remove_listeners(self._forwarder, gone)
        assert read_answer(self._forwarder)
        close_listeners(gone)
        self._listeners = [one for one in self._listeners if one not in gone]
        return None, []

    def target(self, *row: Any) -> tuple[None, list[int]]:
        assert self._forwarder is not None
        self._target = ForwardTarget(*row[0])
        set_target(self._forwarder, self._target)
        return None, []

    def _connect_client(self) -> None:
        self._ip("host", f"link add outer type veth peer name eth0 netns /proc/self/fd/{self._places['client']}")
        for place, name, addresses in (
            ("host", "outer", ((HOST4, HOST6), (OTHER_HOST4, OTHER_HOST6))),
            ("client", "eth0", ((CLIENT4, CLIENT6),)),
        ):
            self._ip(place, "link set lo up")
            self._ip(place, f"link set {name} up")
            for four, six in addresses:
                self._ip(place, f"address add {four}/24 dev {name}")
                self._ip(place, f"address add {six}/64 dev {name} nodad")

    def _ip(self, place: str, words: str) -> None:
        setns(self._places[place], CLONE_NEWNET)
        subprocess.run(["ip", *words.split()], check=True, pass_fds=list(self._places.values()))
        setns(self._places["host"], CLONE_NEWNET)


def _new_network() -> int:
    unshare(CLONE_NEWNET)
    return open_namespace()


def main(fd: str, limit: str) -> None:
    if int(limit):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
    control = socket.socket(fileno=int(fd))
    holder = _Holder()
    while data := control.recv(1 << 18):
        verb, *words = json.loads(data)
        try:
            value, fds = getattr(holder, verb)(*words)
        except Exception as error:  # noqa: BLE001  # told to the test
            control.sendall(json.dumps({"error": repr(error)}).encode())
            continue
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        control.sendmsg([json.dumps({"value": value}).encode()], rights)
        for one in fds:
            os.close(one)
    holder.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
