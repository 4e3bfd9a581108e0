"""Names of services among containers: who is healthy and stays is answered, and one address stands for all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sandbox.paths import find_paths
from sandbox.service.ports import remove, settle, withdraw
from sandbox.service.store import delete_service, insert_service, update_service
from sandbox.service.vips import vips_of
from sandbox.state import open_state
from sandbox.values import EndpointRequest
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually, monitor_pid
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.integration.service.test_service_ports import _SERVER
from tests.needs import CONTAINER
from tests.sandbox.service.values import service_of, spec_named, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

_LOOK = """
import socket, sys
try:
    print(*sorted({row[4][0] for row in socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET)}))
except socket.gaierror:
    print("-")
"""
_ASK = """
import socket, sys
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 80), timeout=60) as connection:
        print(connection.makefile("rb").read().decode().split()[0])
"""


def test_names_lead_to_healthy_members(sandbox: Sandbox, busybox: str, eventually: Callable[..., None]) -> None:
    paths = find_paths(sandbox.env)
    request = spec_named().request._replace(endpoints=(EndpointRequest("front", ("web",)),))
    service = service_of(spec_named("shop_web")._replace(request=request), id="abc123")
    # what is kept from the outside has the services of its network all the same
    sandbox.run("network", "create", "--egress", "deny", "front")
    with open_state(paths) as connection:
        insert_service(connection, service)
        # there is nothing to decide: no reconciler is to meddle
        update_service(connection, service, due_ns=0)
    settle(paths, service, [])
    with open_state(paths) as connection:
        (vip,) = vips_of(connection, service.id).values()

    def run(name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        done = sandbox.run("run", "-d", "--name", name, "--network", "front", *options, *HOST_PYTHON, busybox, *words)
        return done.stdout.strip()

    def look(name: str) -> list[str]:
        return sandbox.run("exec", "client", "/usr/bin/python3", "-c", _LOOK, name).stdout.split()

    def ask(name: str, times: int) -> Counter[str]:
        return Counter(sandbox.run("exec", "client", "/usr/bin/python3", "-c", _ASK, name, str(times)).lines)

    run("client", "sleep", "1000")
    # before any task is there, and by all its names
    assert look("shop_web") == look("web") == [vip]
    assert look("tasks.web") == ["-"]

    labels = ("-l", f"com.docker.swarm.service.id={service.id}", "--network-alias", "web")
    check = ("--health-cmd", "test -e /tmp/healthy", "--health-interval", "200ms", "--health-retries", "1")
    address = {}
    ids = {}
    for name, options in (("one", labels), ("two", labels), ("three", (*labels, *check))):
        ids[name] = run(name, "/usr/bin/python3", "-c", _SERVER, name, options=options)
        sandbox.wait_for_log(name, "up")
        form = "{{.NetworkSettings.Networks.front.IPAddress}}"
        address[name] = sandbox.run("inspect", "-f", form, name).stdout.strip()
    assert vip not in address.values()
    # one with a check is no member until it is healthy
    assert look("tasks.web") == sorted((address["one"], address["two"]))
    assert ask("web", 10) == {"one": 5, "two": 5}
    sandbox.run("exec", "three", "touch", "/tmp/healthy")
    eventually(lambda: look("tasks.web") == sorted(address.values()))
    sandbox.run("exec", "three", "rm", "/tmp/healthy")
    eventually(lambda: look("tasks.web") == sorted((address["one"], address["two"])))

    # out of names before it is stopped, and by its own name and address it is there as before
    task = task_of(service, "ttwo", container_id=ids["two"], state="running")
    withdraw(paths, service, task)
    eventually(lambda: ask("web", 2) == {"one": 2})
    assert ask("web", 10) == {"one": 10}
    assert look("tasks.web") == [address["one"]]
    assert ask("two", 1) == {"two": 1}
    # a container may call the service that it is of
    done = sandbox.run("exec", "one", "/usr/bin/python3", "-c", _ASK, "shop_web", "2")
    assert done.lines == ["one", "one"]
    assert monitor_pid(sandbox, "two")

    with open_state(paths) as connection:
        delete_service(connection, service.id)
    remove(paths, service)
    sandbox.run("rm", "-f", "one", "two", "three")
    eventually(lambda: look("web") == ["-"])
