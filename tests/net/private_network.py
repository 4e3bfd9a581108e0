"""A private network for tests: namespaces as a monitor makes them, slirp4netns started by our code, programs inside.

`python -m tests.net.private_network SOCKET [host-loopback]` runs in an outer user namespace and holds all of it until
its standard input ends; `PrivateNetwork` is the test's side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from net.ports import PortMapping
from net.slirp import SlirpPlan, assume_features, end_slirp, start_slirp
from net.slirp_api import publish
from net.udp_loopback import end_udp_loopback, start_udp_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: answers on tcp and udp of the ports given, with what it was sent
ECHO_SERVER = """
import socket, selectors, sys
waiting = selectors.DefaultSelector()
for text in sys.argv[1:]:
    port, kind = text.split("/")
    one = socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    one.bind(("0.0.0.0", int(port)))
    if kind == "tcp":
        one.listen()
    waiting.register(one, selectors.EVENT_READ)
print("up", flush=True)
while True:
    for key, _ in waiting.select():
        one = key.fileobj
        if one.type == socket.SOCK_STREAM:
            peer, address = one.accept()
            with peer:
                peer.sendall(b"tcp from " + address[0].encode())
        else:
            data, address = one.recvfrom(1000)
            one.sendto(b"udp " + data, address)
"""


class PrivateNetwork(NamedTuple):
    """What the test sees of it: pids are the host's."""

    api_socket: str
    target_pid: int
    slirp_pid: int
    notes: tuple[str, ...]
    holder: subprocess.Popen[str]

    def publish(self, *mappings: PortMapping) -> tuple[PortMapping, ...]:
        """Publish as a command and its monitor do it together."""
        bound = publish(self.api_socket, mappings)
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        self.holder.stdin.write(json.dumps(bound) + "\n")
        self.holder.stdin.flush()
        assert self.holder.stdout.readline().strip().isdigit()
        return bound

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in the container's namespaces."""
        return ["nsenter", f"--target={self.target_pid}", "--user", "--net", "--preserve-credentials", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.inside(*command), capture_output=True, text=True, check=False, timeout=30)

    @contextmanager
    def echo_server(self, *ports: str) -> Iterator[None]:
        """A server on "80/tcp", "53/udp", ..., listening when the block begins."""
        command = self.inside(sys.executable, "-c", ECHO_SERVER, *ports)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "up\n"
            try:
                yield
            finally:
                server.kill()


@contextmanager
def private_network(
    directory: Path, name: str = "api.sock", *, host_loopback: bool = False
) -> Iterator[PrivateNetwork]:
    """A network of its own, with a slirp4netns whose API listens below `directory`."""
    api_socket = str(directory / name)
    program = [sys.executable, "-m", "tests.net.private_network", api_socket, *(["host-loopback"] * host_loopback)]
    command = ["unshare", "--user", "--map-root-user", *program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        line = holder.stdout.readline()
        assert line, "the holder died: see its standard error"
        target_pid, slirp_pid, notes = json.loads(line)
        yield PrivateNetwork(api_socket, target_pid, slirp_pid, tuple(notes), holder)


def main(api_socket: str, *options: str) -> None:
    # a nested user namespace that owns the network namespace, as a container's does
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo up; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdout is not None
        assert target.stdout.readline() == b"up\n"
        netns_fd = os.open(f"/proc/{target.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        plan = SlirpPlan(assume_features(), netns_fd, api_socket, host_loopback="host-loopback" in options)
        process = start_slirp(plan)
        print(json.dumps([target.pid, process.pid, process.notes]), flush=True)
        forwarders = []
        for line in sys.stdin:  # each line: the ports published so far
            forwarders.append(start_udp_loopback(netns_fd, [PortMapping(*row) for row in json.loads(line)]))
            print(forwarders[-1], flush=True)
        for pid in forwarders:
            end_udp_loopback(pid)
        end_slirp(process)


if __name__ == "__main__":
    main(*sys.argv[1:])
