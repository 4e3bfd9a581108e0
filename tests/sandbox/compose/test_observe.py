"""What there is of a project, by labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.compose.names import CONFIG_FILES, NUMBER, ONE_OFF, PROJECT, SERVICE
from sandbox.compose.observe import container_of, observe, observe_all, orphans
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import insert_container
from sandbox.errors import NotFoundError
from sandbox.operation_context import OperationContext
from sandbox.paths import Paths
from sandbox.state import open_state
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> OperationContext:
    return OperationContext(Paths(str(tmp_path), str(tmp_path), str(tmp_path)), {})


def _insert(context: OperationContext, *containers: Container) -> None:
    with open_state(context.paths) as connection:
        for container in containers:
            insert_container(connection, container)


def _container(name: str, created_ns: int, labels: dict[str, str]) -> Container:
    container_id = name.encode().hex().ljust(64, "f")
    return Container(
        container_id,
        name,
        created_ns,
        ContainerConfig("i", "sha256:1", (), ("true",), labels=tuple(sorted(labels.items()))),
        ContainerState("exited", exit_code=3),
    )


def _of(service: str, number: int, project: str = "demo", **more: str) -> Container:
    labels = {PROJECT: project, SERVICE: service, NUMBER: str(number), **more}
    return _container(f"{project}-{service}-{number}", number, labels)


def test_containers_of_a_project_by_service_and_number(context: OperationContext) -> None:
    run = {PROJECT: "demo", SERVICE: "web", ONE_OFF: "True"}
    _insert(
        context,
        _of("web", 10), _of("web", 2), _of("db", 1), _of("web", 1, "other"),
        _container("run", 1, run), _container("mine", 1, {SERVICE: "demo"}), _container("odd", 1, {PROJECT: "demo\"'"}),
    )  # fmt: skip
    seen = observe(context, "demo")
    assert [each.name for each in seen.regular] == ["demo-db-1", "demo-web-2", "demo-web-10"]
    assert [each.name for each in seen.containers if each.is_one_off] == ["run"]
    assert [each.number for each in seen.of("web")] == [2, 10]
    assert seen.of("nothing") == ()
    assert (seen.containers[0].status, seen.containers[0].is_running) == ("exited", False)
    assert [each.name for each in observe(context, "demo\"'").containers] == ["odd"]


def test_all_projects_with_the_files_of_the_newest(context: OperationContext) -> None:
    _insert(context, _of("a", 1, "x", **{CONFIG_FILES: "old"}), _of("a", 2, "x", **{CONFIG_FILES: "new"}), _of("b", 1))
    assert [(each.name, len(each.containers), each.config_files) for each in observe_all(context)] == [
        ("demo", 1, ""),
        ("x", 2, "new"),
    ]


def test_orphans_are_of_services_that_no_file_has(context: OperationContext, tmp_path: Path) -> None:
    _insert(context, _of("web", 1), _of("off", 1), _of("gone", 1), _of("gone", 2, **{ONE_OFF: "True"}))
    text = "name: demo\nservices:\n  web: {image: i}\n  off: {image: i, profiles: [p]}"
    found = orphans(observe(context, "demo"), one(tmp_path / "project", text))
    # the second is one of `run` that has ended
    assert [each.name for each in found] == ["demo-gone-1", "demo-gone-2"]


def test_a_service_that_does_not_run_is_named(context: OperationContext) -> None:
    _insert(context, _of("web", 1))
    with pytest.raises(NotFoundError, match='service "web" is not running'):
        container_of(observe(context, "demo"), "web")
    with pytest.raises(NotFoundError, match='service "web" is not running container #2'):
        container_of(observe(context, "demo"), "web", 2)
