"""Which containers of a project a verb is about, and how `ls` and `ps` show them."""

from __future__ import annotations

import pytest

from sandbox.cli.commands.compose_ls import project_line
from sandbox.cli.compose_rows import publishers_of
from sandbox.compose.chosen import Choice, chosen, the_one
from sandbox.compose.names import CONFIG_FILES
from sandbox.compose.observe import Observed, ObservedContainer, ProjectSummary
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.errors import NotFoundError
from sandbox.values import PublishedPort


def _container(name: str, number: int, status: str = "running", *, one_off: bool = False) -> ObservedContainer:
    config = ContainerConfig("i", "sha256:1", (), ("true",), exposed_ports=("80/tcp", "53/udp"))
    ports = (PublishedPort("0.0.0.0", 8080, 80, "tcp"),)
    state = ContainerState(status, published_ports=ports)  # type: ignore[arg-type]  # a text of the test
    container = Container(name, name, number, config, state)
    return ObservedContainer(container, name.partition("-")[0], number, one_off, {CONFIG_FILES: "/a.yaml"})


_ALL = Observed(
    "demo",
    (
        _container("web-2", 2),
        _container("web-1", 1, "exited"),
        _container("web-run-1", 1, one_off=True),
        _container("db-1", 1),
    ),
)


def _names(choice: Choice) -> list[str]:
    return [each.name for each in chosen(_ALL, choice)]


def test_containers_by_service_life_and_kind() -> None:
    assert _names(Choice()) == ["db-1", "web-2"]
    assert _names(Choice(all=True)) == ["db-1", "web-1", "web-2"]
    assert _names(Choice(("web",), all=True, one_off=True)) == ["web-1", "web-2", "web-run-1"]


def test_the_one_container_that_is_meant() -> None:
    assert the_one(_ALL, "web") == "web-2"
    assert the_one(_ALL, "web", all=True) == "web-1"
    assert the_one(_ALL, "web", 1, all=True) == "web-1"
    assert the_one(_ALL, "web", 1, one_off=True) == "web-run-1"
    with pytest.raises(NotFoundError, match='service "web" is not running container #1'):
        the_one(_ALL, "web", 1)
    with pytest.raises(NotFoundError, match='service "none" is not running'):
        the_one(_ALL, "none")


def test_a_project_is_one_line() -> None:
    summary = ProjectSummary("demo", _ALL.containers)
    assert project_line(summary, all=False) == ("demo", "running(3)", "/a.yaml")
    assert project_line(summary, all=True) == ("demo", "exited(1), running(3)", "/a.yaml")
    ended = ProjectSummary("demo", (_container("web-1", 1, "exited"),))
    assert project_line(ended, all=False) is None
    unlabelled = ProjectSummary("demo", (_container("web-1", 1)._replace(labels={}),))
    assert project_line(unlabelled, all=False) == ("demo", "running(1)", "N/A")


def test_what_is_exposed_alone_is_published_at_nothing() -> None:
    assert publishers_of(_container("web-1", 1)) == [
        {"URL": "", "TargetPort": 53, "PublishedPort": 0, "Protocol": "udp"},
        {"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"},
    ]
    assert publishers_of(_container("web-1", 1, "exited")) == []
