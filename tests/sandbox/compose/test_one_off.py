"""The container that `compose run` makes, as a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.compose.observe import Observed, ObservedContainer
from sandbox.compose.one_off import SLUG, RunChoice, one_off_request, others_of, plan_waits
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.stack.request import request_of
from sandbox.values import PublishedPort
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.project import Project

_FILE = """
    name: demo
    services:
      web:
        image: web
        container_name: fixed
        command: serve
        entrypoint: enter
        restart: always
        tty: true
        environment: {A: "1", B: "2"}
        labels: {mine: "1"}
        ports: ["80:80"]
        cap_drop: [CHOWN]
        cap_add: [SYS_TIME]
        volumes: ["data:/data"]
        networks: {default: {aliases: [other]}}
        depends_on:
          db: {condition: service_healthy}
          once: {condition: service_completed_successfully, required: false}
          late: {condition: service_started}
      db: {image: db}
      once: {image: once}
      late: {image: late}
      off: {image: off, profiles: [off]}
    volumes: {data: }
"""
_SLUG = "0123456789abcdef" * 4


def _project(tmp_path: Path) -> Project:
    return one(tmp_path, _FILE)


def _request(tmp_path: Path, choice: RunChoice = RunChoice()) -> ContainerRequest:  # noqa: B008  a value
    return one_off_request(_project(tmp_path), "web", choice, _SLUG, "sha256:1")


def test_a_one_off_has_a_name_and_labels_of_its_own(tmp_path: Path) -> None:
    request = _request(tmp_path)
    assert request.name == "demo-web-run-0123456789ab"
    labels = {key.removeprefix("com.docker.compose."): value for key, value in request.labels}
    assert (labels["oneoff"], labels["slug"], labels["mine"], labels["image"]) == ("True", _SLUG, "1", "sha256:1")
    assert "container-number" not in labels
    assert dict(request.labels)[SLUG] == _SLUG
    # nobody is to find it by its service's name, nor to reach it by its ports
    assert [each.aliases for each in request.endpoints] == [("demo-web-run-0123456789ab",)]
    assert (request.published_ports, request.restart, request.terminal) == ((), None, None)
    assert (request.open_stdin, request.stdin_once, request.auto_remove) == (True, True, None)
    assert (request.command, request.entrypoint) == (("serve",), ("enter",))


def test_options_are_over_the_service(tmp_path: Path) -> None:
    choice = RunChoice(
        ("a", "b"), None, ("A=9", "C=3"), (("l", "2"),), "5", "/w", "mine", ("CHOWN",), ("SYS_TIME",),
        ("data:/more", "/host:/h"), (PublishedPort("", 8080, 80),), use_aliases=True, terminal=True, interactive=False,
        auto_remove=True,
    )  # fmt: skip
    request = _request(tmp_path, choice)
    assert (request.name, request.user, request.working_directory) == ("mine", "5", "/w")
    assert (request.command, request.entrypoint) == (("a", "b"), ("enter",))
    assert request.environment == ("A=9", "B=2", "C=3")
    assert (request.cap_add, request.cap_drop) == (("CHOWN",), ("SYS_TIME",))
    assert request.binds == ("demo_data:/data:rw", "demo_data:/more", "/host:/h")
    assert [(port.host_port, port.container_port) for port in request.published_ports] == [(8080, 80)]
    assert request.endpoints[0].aliases == ("mine", "web", "other")
    assert (request.terminal, request.open_stdin, request.auto_remove) == (True, None, True)
    assert dict(request.labels)["l"] == "2"


def test_another_entrypoint_takes_the_command_away(tmp_path: Path) -> None:
    assert _request(tmp_path, RunChoice(entrypoint=("sh",))).command == ()
    assert _request(tmp_path, RunChoice(("x",), ("sh",))).command == ("x",)
    assert [port.host_port for port in _request(tmp_path, RunChoice(service_ports=True)).published_ports] == [80]


def _running(service: str) -> ObservedContainer:
    container = Container(service, f"demo-{service}-1", 1, ContainerConfig("i", "s", (), ()), ContainerState("running"))
    return ObservedContainer(container, service, 1, False, {})


def test_what_is_waited_for_before_it_is_made(tmp_path: Path) -> None:
    project = _project(tmp_path)
    others = others_of(project, "web")
    assert others.services.names == ("db", "late", "once")
    assert others.disabled.names == ("off", "web")
    observed = Observed("demo", (_running("db"), _running("once"), _running("late")))
    plan = plan_waits(project, "web", observed)
    assert [(step.service, step.condition, step.flag) for step in plan.starts] == [
        ("db", "service_healthy", False),
        ("once", "service_completed_successfully", True),
    ]
    assert plan_waits(project, "db", observed).is_empty


def test_names_of_the_first_version(tmp_path: Path) -> None:
    text = "name: demo\nservices: {web: {build: ., ports: [80]}}"
    project = one(tmp_path, text, is_compatible=True)
    assert request_of("web", project).name == "demo_web_1"
    request = one_off_request(project, "web", RunChoice(), _SLUG)
    assert (request.name, request.image) == ("demo_web_run_0123456789ab", "demo_web")
