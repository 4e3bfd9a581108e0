"""Ground for tests of the keeper: a host of its own, K and R, in which monitors are started and programs run.

`python -m tests.net.keeper_ground` runs in new user and network namespaces, which stand for K and the host, and holds R
until its standard input ends; `ground` is the test's side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from net.names import ContainerNames, NamedEndpoint, names_to_plain
from net.namespace import set_interface_up
from net.router import make_router

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: of the host's network, where nothing of slirp4netns' own is
HOST_ADDRESS = "192.0.2.1"
HOST_ADDRESS6 = "2001:db8::1"


def names_of(*names: str, address: str = "", egress: Sequence[str] = ()) -> dict[str, Any]:
    """A container on one network, as JSON."""
    endpoint = NamedEndpoint("0" * 64, "front", address, names=names, subnet4="172.30.0.0/16", interface="v1")
    return names_to_plain(ContainerNames((endpoint,), egress=(tuple(egress),) if egress else ()))


class MonitorProcess:
    """A `tests.net.keeper_monitor`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def do(self, what: str, expect: str, **fields: Any) -> dict[str, Any]:
        """Give a command, and return what is said of `expect`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self.process.stdin.flush()
        return self.hear(expect)

    def join(
        self, *names: str, address: str = "", egress: Sequence[str] = (), forwards: object = (), target: str = ""
    ) -> None:
        """Tell the keeper of a container with these names at that address; slirp4netns forwards to `target`."""
        named = names_of(*names, address=address, egress=egress)
        self.do("join", "joined", names=named, forwards=forwards, target=target)

    def hear(self, expect: str) -> dict[str, Any]:
        """The next thing said of `expect`; others before it are passed over."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, "the monitor ended"
            said: dict[str, Any] = json.loads(line)
            if said["said"] == expect:
                return said

    def hear_state(self, state: str) -> dict[str, Any]:
        """The next way out of that state."""
        while (said := self.hear("way_out"))["state"] != state:
            pass
        return said


class Ground(NamedTuple):
    directory: Path
    pid: int
    router_fd: int

    def enter(self, *command: str, router: bool = False) -> list[str]:
        """The command line that runs `command` in K, on the host or in R."""
        net = f"--net=/proc/{self.pid}/fd/{self.router_fd}" if router else "--net"
        return ["nsenter", f"--target={self.pid}", "--user", net, "--preserve-credentials", *command]

    @contextmanager
    def monitor(self, container: str) -> Iterator[MonitorProcess]:
        program = ["-m", "tests.net.keeper_monitor", str(self.pid), str(self.router_fd), str(self.directory), container]
        command = self.enter(sys.executable, *program)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield MonitorProcess(process)
            finally:
                process.kill()

    def run(self, *command: str, router: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.enter(*command, router=router), capture_output=True, text=True, check=False, timeout=60
        )


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.net.keeper_ground"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        line = holder.stdout.readline()
        assert line, "the ground could not be made: see its standard error"
        yield Ground(directory, *json.loads(line))


def main() -> None:
    set_interface_up("lo")
    for address in (f"{HOST_ADDRESS}/32", f"{HOST_ADDRESS6}/128"):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    router, routing = make_router()
    print(json.dumps([os.getpid(), router.net_fd]), flush=True)
    sys.stdin.read()
    routing.close()


if __name__ == "__main__":
    main()
