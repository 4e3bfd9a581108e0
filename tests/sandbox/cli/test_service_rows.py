"""`service ls` and `service ps`: services and tasks as Docker's tables have them."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.caller_directory import CallerDirectory
from sandbox.cli.command import Context
from sandbox.cli.service_rows import ports_text, print_services, shown_image
from sandbox.cli.task_rows import TaskOptions, print_tasks
from sandbox.container.request.request import ContainerRequest
from sandbox.service.looking import ServiceCount, TaskRow
from sandbox.service.record import Service
from sandbox.service.spec import ServiceMode, ServicePort, ServiceSpec
from sandbox.service.task import Task

if TYPE_CHECKING:
    from typing import Any

_S = 10**9
_DIGEST = f"sha256:{'a' * 64}"


def _service(name: str, mode: ServiceMode | None = None, ports: tuple[ServicePort, ...] = ()) -> Service:
    request = ContainerRequest(f"docker.io/library/web:1@{_DIGEST}")
    spec = ServiceSpec(name, request, mode=mode or ServiceMode(replicas=2), ports=ports)
    return Service(f"{name:x<25}", name, "", 1, 1, spec, 0, 0)


class _Printed:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.context = Context(
            {}, CallerDirectory("/"), self.stream, self.stream, lambda: pytest.fail("nothing is opened")
        )

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_services() -> None:
    printed = _Printed()
    counts = [
        ServiceCount(_service("web10"), 1, 2, 0),
        ServiceCount(_service("web9", ServiceMode("replicated-job", 5)), 1, 3, 2),
        ServiceCount(_service("all", ServiceMode("global")), 1, 1, 0, (ServicePort(80, 8080),)),
        ServiceCount(_service("once", ServiceMode("global-job")), 0, 0, 1),
    ]
    print_services(printed.context, counts, None, quiet=False)
    assert printed.lines == [
        "ID             NAME      MODE             REPLICAS              IMAGE     PORTS",
        "allxxxxxxxxx   all       global           1/1                   web:1     *:8080->80/tcp",
        "oncexxxxxxxx   once      global job       0/0 (1/1 completed)   web:1     ",
        "web9xxxxxxxx   web9      replicated job   1/3 (2/5 completed)   web:1     ",
        "web10xxxxxxx   web10     replicated       1/2                   web:1     ",
    ]
    quiet = _Printed()
    print_services(quiet.context, counts[:1], None, quiet=True)
    print_services(quiet.context, counts[:1], "{{.Name}} {{.Replicas}}", quiet=True)
    assert quiet.lines == ["web10xxxxxxx", "web10 1/2"]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ((), ""),
        (((80, 8080),), "*:8080->80/tcp"),
        (((80, 80), (81, 81), (82, 82)), "*:80-82->80-82/tcp"),
        (((80, 80), (80, 81)), "*:80-81->80/tcp"),
        (((80, 80), (81, 81), (80, 82)), "*:80-81->80-81/tcp, *:82->80/tcp"),
        (((80, 80), (90, 90)), "*:80->80/tcp, *:90->90/tcp"),
    ],
)
def test_ports(ports: tuple[tuple[int, int], ...], expected: str) -> None:
    assert ports_text([ServicePort(target, published) for target, published in ports]) == expected
    assert ports_text([ServicePort(target, published, mode="host") for target, published in ports]) == ""


def test_protocols_stand_apart() -> None:
    assert ports_text([ServicePort(53, 53, "udp"), ServicePort(53, 53)]) == "*:53->53/tcp, *:53->53/udp"


def test_images() -> None:
    assert shown_image(f"ghcr.io/a/b:2@{_DIGEST}") == "ghcr.io/a/b:2"
    assert shown_image("web") == "web"
    assert shown_image(f"web@{_DIGEST}") == f"web@{_DIGEST}"
    assert shown_image("NO") == "NO"


def _task(name: str, slot: int, age_seconds: int, **more: Any) -> Task:
    at = time.time_ns() - age_seconds * _S - _S // 2
    made = Task(f"{name:y<25}", "", slot, 1, "", "docker.io/library/web:1", "running", "running", at, at)
    return made._replace(**more)


def test_tasks() -> None:
    service = _service("web", ports=(ServicePort(80, 8080, mode="host"),))
    old = _task("old", 1, 90, state="failed", desired="shutdown", error="task: non-zero exit (137) and more of it")
    rows = [
        TaskRow(_task("two", 2, 5), service, service.spec),
        TaskRow(old, service, None),
        TaskRow(_task("new", 1, 5), service, service.spec),
        TaskRow(_task("ten", 10, 5), service, None),
    ]
    host = os.uname().nodename
    printed = _Printed()
    print_tasks(printed.context, rows, None, TaskOptions("n" * 25))
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in printed.lines]
    assert cells == [
        ["ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS"],
        ["newyyyyyyyyy", "web.1", "web:1", host, "Running", "Running 5 seconds ago", "*:8080->80/tcp"],
        ["oldyyyyyyyyy", r"\_ web.1", "web:1", host, "Shutdown", "Failed about a minute ago",
         '"task: non-zero exit (137) and…"'],
        ["twoyyyyyyyyy", "web.2", "web:1", host, "Running", "Running 5 seconds ago", "*:8080->80/tcp"],
        ["tenyyyyyyyyy", "web.10", "web:1", host, "Running", "Running 5 seconds ago"],
    ]  # fmt: skip
    printed = _Printed()
    options = TaskOptions("n" * 25, truncate=False, resolve=False)
    print_tasks(printed.context, rows[1:2], "{{.ID}} {{.Name}} {{.Image}} {{.Node}} {{.Error}}", options)
    print_tasks(printed.context, rows[1:2], None, TaskOptions("", truncate=False, quiet=True))
    assert printed.lines == [
        f'{old.id} {service.id}.1 docker.io/library/web:1 {"n" * 25} "{old.error}"',
        old.id,
    ]
    everywhere = _service("all", ServiceMode("global"))
    printed = _Printed()
    print_tasks(printed.context, [TaskRow(_task("one", 1, 5), everywhere, None)], "{{.Name}}", TaskOptions("n" * 25))
    assert printed.lines == [f"all.{'n' * 25}"]
