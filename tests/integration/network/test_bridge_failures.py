"""What holds a bridge network is killed, piece by piece: containers run on, and what was lost comes back."""

from __future__ import annotations

import os
import signal
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import kill_monitor
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

    Eventually = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

SERVE = ("sh", "-c", "mkdir /srv; echo served > /srv/index.html; exec busybox httpd -f -p 80 -h /srv")


@pytest.fixture
def web(sandbox: Sandbox, busybox: str) -> int:
    """Two containers on a network, `web` that serves and `idle`; the host's port of `web`."""
    port = find_free_port()
    sandbox.run("network", "create", "front")
    sandbox.run("run", "-d", "--name", "idle", "--network", "front", busybox, "sleep", "1000")
    sandbox.run("run", "-d", "--name", "web", "--network", "front", "-p", f"127.0.0.1:{port}:80", busybox, *SERVE)
    return port


def fetch(port: int) -> str:
    """What the published port says; "" where it says nothing."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        text: bytes = answer.read()
        return text.decode().strip()
    return ""


def knows(sandbox: Sandbox, name: str) -> bool:
    """Whether one container finds another by its name."""
    return sandbox.run("exec", "idle", "busybox", "ping", "-c1", "-W1", name, status=None).status == 0


def processes(sandbox: Sandbox, command: str) -> set[int]:
    """Pids of the processes of that name that hold this test's router."""
    router = f"net:[{(sandbox.home.data / 'sandbox/router/holders').read_text().split()[4]}]"
    return {pid for pid, name in _all_processes() if name == command and router in _descriptors(pid)}


def _all_processes() -> Iterator[tuple[int, str]]:
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with suppress(OSError), open(f"/proc/{entry}/comm") as file:
                yield int(entry), file.read().strip()


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        found.add(os.readlink(f"/proc/{pid}/ns/net"))
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def test_each_piece_that_is_killed_comes_back(sandbox: Sandbox, web: int, eventually: Eventually) -> None:
    eventually(lambda: fetch(web) == "served")
    assert knows(sandbox, "web")
    (forwarder,) = processes(sandbox, "sandbox-ports")
    os.kill(forwarder, signal.SIGKILL)
    # nobody is refused: who comes meanwhile waits for the next one
    assert fetch(web) == "served"
    assert processes(sandbox, "sandbox-ports") not in (set(), {forwarder})
    (keeper,) = processes(sandbox, "sandbox-keeper")
    os.kill(keeper, signal.SIGKILL)
    assert fetch(web) == "served"
    eventually(lambda: knows(sandbox, "web"))
    assert len(processes(sandbox, "sandbox-keeper") - {keeper}) == 1


def test_a_killed_monitor_takes_its_ports_along_and_no_other_container(
    sandbox: Sandbox, web: int, eventually: Eventually
) -> None:
    eventually(lambda: fetch(web) == "served")
    pidfds = [os.pidfd_open(pid) for pid in processes(sandbox, "sandbox-ports")]
    kill_monitor(sandbox, "web")
    for pidfd in pidfds:
        _wait_for_end(pidfd)
    assert fetch(web) == ""
    assert sandbox.run("inspect", "-f", "{{.State.Running}}", "idle").lines == ["true"]
    eventually(lambda: not knows(sandbox, "web"))
    # port, address and name are had again
    sandbox.run("start", "web")
    eventually(lambda: fetch(web) == "served")
    eventually(lambda: knows(sandbox, "web"))


def _wait_for_end(pidfd: int) -> None:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(20_000)
    os.close(pidfd)


def test_nothing_is_left_of_the_last_one(sandbox: Sandbox, web: int, eventually: Eventually) -> None:
    eventually(lambda: fetch(web) == "served")
    helpers = [
        os.pidfd_open(pid)
        for name in ("sandbox-ports", "sandbox-keeper", "slirp4netns")
        for pid in processes(sandbox, name)
    ]
    assert len(helpers) >= 2
    sandbox.run("rm", "-f", "web")
    assert knows(sandbox, "idle")
    sandbox.run("rm", "-f", "idle")
    for pidfd in helpers:
        _wait_for_end(pidfd)
    # what comes next makes all of it anew
    sandbox.run("run", "--rm", "--network", "front", "busybox", "true")
