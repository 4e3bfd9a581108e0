"""What a project is made of, by the names, labels, networks and order that Docker's Compose 2.40 asks an engine for.

The values stand here as they were recorded of it. Digests and ids differ; whether there is one is compared.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.compose.observe import Observed, ObservedContainer
from sandbox.compose.one_off import RunChoice, one_off_request
from sandbox.compose.plan import plan_up
from sandbox.compose.plan_down import plan_down
from sandbox.compose.step_requests import Work, work_of
from sandbox.compose.steps import DownOptions, UpOptions
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.operation_context import OperationContext
from sandbox.paths import Paths
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.compose.steps import Step
    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.project import Project

_FILE = """
    name: demo
    services:
      web:
        build: .
        ports: ["8090:6379"]
        networks: [default, back]
        secrets: [sec]
        depends_on:
          db: {condition: service_healthy}
          migrate: {condition: service_completed_successfully}
      db:
        image: redis:latest
        environment: {A: b}
        volumes: [dbdata:/data]
        healthcheck: {test: [CMD, "true"], interval: 1s, retries: 3}
      migrate: {image: busybox, command: "true", depends_on: {db: {condition: service_healthy}}}
    networks: {back: }
    volumes: {dbdata: }
    secrets: {sec: {file: ./sec.txt}}
"""
_PREFIX = "com.docker.compose."
_IMAGES = {"redis:latest": "sha256:24", "busybox": "sha256:25", "demo-web": "sha256:82"}


def _project(tmp_path: Path) -> Project:
    return one(tmp_path, _FILE)


def _requests(tmp_path: Path) -> tuple[list[Step], dict[str, object]]:
    """The steps of an `up`, and what is asked for each thing that is made, by its name."""
    project = _project(tmp_path)
    plan = plan_up(project, Observed("demo", images=_IMAGES), UpOptions())
    place = str(tmp_path)
    work = Work(OperationContext(Paths(place, place, place), {}), project, _IMAGES)
    return [*plan.makes, *plan.starts], {step.name: work_of(work, step).arguments[1] for step in plan.makes}


def _labels(request: object) -> dict[str, str]:
    """Compose's own labels, without their prefix."""
    labels = dict(request.labels)  # type: ignore[attr-defined]  # networks, volumes and containers have them
    return {key.removeprefix(_PREFIX): value for key, value in labels.items() if key.startswith(_PREFIX)}


def test_networks_and_volumes_of_a_project(tmp_path: Path) -> None:
    _, made = _requests(tmp_path)
    for name, key, value in (
        ("demo_default", "network", "default"),
        ("demo_back", "network", "back"),
        ("demo_dbdata", "volume", "dbdata"),
    ):
        labels = _labels(made[name])
        assert labels.pop("config-hash")
        assert labels == {key: value, "project": "demo", "version": "2.40.3"}


def test_containers_of_a_project(tmp_path: Path) -> None:
    _, made = _requests(tmp_path)
    recorded: dict[str, dict[str, str]] = {
        "db": {},
        "migrate": {"depends_on": "db:service_healthy:false"},
        "web": {"depends_on": "db:service_healthy:false,migrate:service_completed_successfully:false"},
    }
    images = {"db": "redis:latest", "migrate": "busybox", "web": "demo-web"}
    for service, more in recorded.items():
        request = made[f"demo-{service}-1"]
        labels = _labels(request)
        assert len(labels.pop("config-hash")) == 64
        assert labels == {
            "container-number": "1",
            "image": _IMAGES[images[service]],
            "oneoff": "False",
            "project": "demo",
            "project.config_files": f"{tmp_path}/compose.yaml",
            "project.working_dir": str(tmp_path),
            "service": service,
            "version": "2.40.3",
            **more,
        }
        assert _networks(request) == {
            network: [f"demo-{service}-1", service]
            for network in (("demo_back", "demo_default") if service == "web" else ("demo_default",))
        }


def _networks(request: object) -> dict[str, list[str]]:
    """Names on each network, the first of which has the way out."""
    endpoints = request.endpoints  # type: ignore[attr-defined]  # it is a ContainerRequest
    return {each.network: list(each.aliases) for each in endpoints}


def test_what_containers_are_asked_for(tmp_path: Path) -> None:
    _, made = _requests(tmp_path)
    requests: dict[str, ContainerRequest] = {name: made[f"demo-{name}-1"] for name in ("db", "migrate", "web")}  # type: ignore[misc]  # containers, all of them
    db, migrate, web = requests["db"], requests["migrate"], requests["web"]
    assert (db.image, db.environment, db.binds) == ("redis:latest", ("A=b",), ("demo_dbdata:/data:rw",))
    assert db.health is not None
    assert (db.health.test, db.health.interval_ns, db.health.retries) == (("CMD", "true"), 10**9, 3)
    assert (migrate.image, migrate.command) == ("busybox", ("true",))
    assert [(port.container_port, port.host_port) for port in web.published_ports] == [(6379, 8090)]
    (mount,) = web.mounts
    assert (mount.kind, mount.source, mount.target, mount.read_only) == (
        "bind", os.path.join(tmp_path, "sec.txt"), "/run/secrets/sec", True,
    )  # fmt: skip
    for request in requests.values():
        assert request.attached == ("stdout", "stderr")


def test_in_which_order_a_project_comes_and_goes(tmp_path: Path) -> None:
    steps, _ = _requests(tmp_path)
    by_key = {step.key: step for step in steps}

    def all_needs(step: Step) -> set[str]:
        found: set[str] = set()
        for key in step.needs:
            if key in by_key:
                found |= {by_key[key].name, *all_needs(by_key[key])}
        return found

    created = {step.name: all_needs(step) for step in steps if step.kind == "create"}
    assert {"demo_default", "demo_dbdata"} <= created["demo-db-1"]
    assert "demo-db-1" in created["demo-migrate-1"] or list(created).index("demo-db-1") == 0
    started = {step.name: all_needs(step) for step in steps if step.kind == "start"}
    assert started["demo-db-1"] & {"demo-web-1", "demo-migrate-1"} == set()
    assert "demo-db-1" in started["demo-migrate-1"]
    assert {"demo-db-1", "demo-migrate-1"} <= started["demo-web-1"]
    waits = {(step.service, step.condition) for step in steps if step.kind == "wait"}
    assert waits == {("db", "service_healthy"), ("migrate", "service_completed_successfully")}

    project = _project(tmp_path)
    there = tuple(_running(project, name) for name in ("db", "migrate", "web"))
    down = plan_down(project, Observed("demo", there), DownOptions(volumes=True))
    by_key = {step.key: step for step in down.makes}
    gone = {step.name: all_needs(step) for step in down.makes if step.name.startswith("demo-")}
    # who depends on another goes before it
    assert "demo-web-1" in gone["demo-migrate-1"]
    assert {"demo-web-1", "demo-migrate-1"} <= gone["demo-db-1"]


def _running(project: Project, service: str) -> ObservedContainer:
    container = Container(
        service * 8, f"demo-{service}-1", 1, ContainerConfig("i", "s", (), ()), ContainerState("running")
    )
    return ObservedContainer(container, service, 1, False, {f"{_PREFIX}project": project.name})


def test_a_one_off_container(tmp_path: Path) -> None:
    slug = "1dc8bc784bcb" + "0" * 52
    request = one_off_request(
        _project(tmp_path), "web", RunChoice(("echo", "run"), auto_remove=True), slug, _IMAGES["demo-web"]
    )
    labels = _labels(request)
    assert labels.pop("config-hash")
    assert labels == {
        "depends_on": "db:service_healthy:false,migrate:service_completed_successfully:false",
        "image": "sha256:82",
        "oneoff": "True",
        "project": "demo",
        "project.config_files": f"{tmp_path}/compose.yaml",
        "project.working_dir": str(tmp_path),
        "service": "web",
        "slug": slug,
        "version": "2.40.3",
    }
    assert request.name == "demo-web-run-1dc8bc784bcb"
    assert (request.command, request.image, request.auto_remove) == (("echo", "run"), "demo-web", True)
    assert (request.open_stdin, request.stdin_once) == (True, True)
    assert request.attached == ("stdin", "stdout", "stderr")
    assert _networks(request) == {name: ["demo-web-run-1dc8bc784bcb"] for name in ("demo_back", "demo_default")}
    assert request.published_ports == ()
