"""A service under load: replicas are replaced one after the other, and no request fails; one dies, and few do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox.service import operations, ports
from sandbox.service.published import published_ports
from sandbox.service.spec import SECOND_NS, ServicePort, UpdateConfig
from sandbox.state import open_state
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec
    from sandbox.service.task import Task
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

#: asks until its input ends and twenty whole answers have come one after the other; tells what became of the others
_CLIENT = """
import json, select, socket, sys
whole, in_a_row, others = 0, 0, []
print("up", flush=True)
while in_a_row < 20 or not select.select([sys.stdin], [], [], 0)[0]:
    before = whole
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as connection:
            connection.sendall(b"GET /file HTTP/1.0\\r\\n\\r\\n")
            answer = connection.makefile("rb").read()
        if answer.startswith(b"HTTP/1.") and b" 200 " in answer and answer.endswith(b"from the image\\n"):
            whole += 1
        else:
            others.append(repr(answer[:100]))
    except OSError as error:
        others.append(repr(error))
    in_a_row = in_a_row + 1 if whole > before else 0
print(json.dumps([whole, others]))
"""
#: it knows no way to end in peace: whatever it is just answering is lost with it
_SERVER = ("busybox", "httpd", "-f", "-p", "80", "-h", "/var/data")
_CLIENTS = 3


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


@contextmanager
def load(port: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Clients that ask all the time; when they have ended the list has what they tell."""
    told: list[tuple[int, list[str]]] = []
    with ExitStack() as open_ones:
        clients = []
        for _ in range(_CLIENTS):
            words = [sys.executable, "-c", _CLIENT, str(port)]
            client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            clients.append(open_ones.enter_context(client))
            assert client.stdout is not None
            assert client.stdout.readline() == b"up\n"
        yield told
        for client in clients:
            output, _ = client.communicate(timeout=120)
            whole, others = json.loads(output)
            told.append((whole, others))


def port_of(services: Services, service: Service) -> int:
    with open_state(services.paths) as connection:
        (port,) = published_ports(connection, service.id)
    return port.published


def _spec(services: Services, image: str, replicas: int) -> ServiceSpec:
    request = {"stop_signal": "SIGKILL", "stop_timeout_seconds": 60, "environment": ("VERSION=1",)}
    update = UpdateConfig(monitor_ns=SECOND_NS // 10)
    spec = services.spec(
        image, "web", replicas, command=_SERVER, request=request, ports=(ServicePort(80),), update=update
    )  # fmt: skip
    return spec._replace(request=spec.request._replace(network_mode=None))


def _two_members_without(gone: Task) -> Callable[[Service, list[Task]], bool]:
    return lambda _service, tasks: gone not in tasks and sum(task.is_member for task in tasks) == 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_request_fails_while_it_is_scaled(services: Services, busybox: str) -> None:
    service = operations.create(services.context, _spec(services, busybox, 1))
    services.wait_running(service, 1)
    with load(port_of(services, service)) as told:
        for count in (10, 2, 10, 2):
            services.wait_running(operations.scale(services.context, "web", count), count)
    assert [others for _, others in told] == [[]] * _CLIENTS


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_of_a_replica_that_dies_the_requests_in_flight_are_lost_alone(services: Services, busybox: str) -> None:
    service = operations.create(services.context, _spec(services, busybox, 2))
    port = port_of(services, service)
    for number in range(20):
        last = services.wait(service, lambda _, tasks: sum(each.is_member for each in tasks) == 2)
        killed = [task for task in last if task.is_member][number % 2]
        with load(port) as told:
            services.sandbox.run("kill", killed.container_id)
            services.wait(service, _two_members_without(killed))
        # a second of one client: the socket takes connections for as long as the last process of the dead one is there
        assert all(len(others) <= 2 for _, others in told), told


def test_no_request_fails_while_replicas_are_replaced(services: Services, busybox: str) -> None:
    spec = _spec(services, busybox, 3)
    service = operations.create(services.context, spec)
    first = services.wait_running(service, 3)
    port = port_of(services, service)
    with load(port) as told:
        for version, order in ((2, "stop-first"), (3, "start-first")):
            spec = spec._replace(
                request=spec.request._replace(environment=(f"VERSION={version}",)),
                update=UpdateConfig(monitor_ns=SECOND_NS // 10, order=order),
            )
            services.wait_update(services.update(spec), "completed")
        scaled = operations.scale(services.context, "web", 2)
        last = services.wait_running(scaled, 2)
    assert [others for _, others in told] == [[]] * _CLIENTS
    assert not {task.id for task in first} & {task.id for task in last}

    # one dies under load: of each client the one request is lost that this one has, answered or not, and none after it;
    # the forwarder dies, and is there again
    with load(port) as told:
        info = ports.look_at(services.paths, service)
        assert info is not None
        assert {one.key for one in info.members if not one.is_leaving} == {task.container_id for task in last}
        services.sandbox.run("kill", last[0].container_id)
        services.wait(service, _two_members_without(last[0]))
    assert all(len(others) <= 1 for _, others in told), told
    os.kill(info.pid, signal.SIGKILL)
    operations.scale(services.context, "web", 1)
    services.wait_running(service, 1)
    after = ports.look_at(services.paths, service)
    assert after is not None
    assert after.pid != info.pid
    assert [one.host_port for one in after.ports] == [port] * len(after.ports)
