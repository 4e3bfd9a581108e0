"""Images of services and stacks by digest: what a registry has by their tag, or what was made here."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from sandbox.service import operations
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar
from tests.integration.service.services import Services
from tests.needs import CONTAINER
from tests.registry import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

__all__ = ["busybox", "busybox_home", "busybox_tar"]

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]

_SLEEP = ("busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done")


@pytest.fixture
def services(sandbox: Sandbox) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


@pytest.fixture
def pushed(sandbox: Sandbox, busybox_tar: Path, registry: Registry) -> Callable[[str], tuple[str, str]]:
    """Have the registry have another image by the name, and nobody here; the name and the image's digest."""

    def push(version: str) -> tuple[str, str]:
        name = f"{registry.host}/web"
        sandbox.run("import", "--change", f"LABEL version={version}", busybox_tar, name)
        digest = sandbox.run("push", name).lines[-1].split()[2]
        sandbox.run("rmi", "-f", name)
        return name, digest

    return push


def test_a_service_is_of_what_the_registry_had(
    services: Services, sandbox: Sandbox, pushed: Callable[[str], tuple[str, str]]
) -> None:
    name, first = pushed("1")

    def image() -> str:
        return services.load_named("web").spec.request.image

    options = ("--name", "web", "--network", "none", "--stop-grace-period", "1s")
    made = sandbox.run("service", "create", "-d", *options, name, *_SLEEP)
    service = services.load_named("web")
    assert made.stderr == ""
    assert image() == f"{name}:latest@{first}"
    _, second = pushed("2")
    # one that comes later is of the same image
    sandbox.run("service", "scale", "-d", "web=2")
    services.wait_running(service, 2)
    assert sandbox.run("ps", "--format", "{{.Image}}").lines == [f"{name}:latest"] * 2
    assert {each.split("@")[1] for each in sandbox.run("ps", "--no-trunc", "--format", "{{.Image}}").lines} == {first}
    assert sandbox.run("service", "ls", "--format", "{{.Image}}").lines == [f"{name}:latest"]
    sandbox.run("service", "scale", "-d", "web=0")
    sandbox.run("service", "update", "-d", "--env-add", "A=1", "web")
    assert image() == f"{name}:latest@{first}"
    sandbox.run("service", "update", "-d", "--image", name, "web")
    assert image() == f"{name}:latest@{second}"
    sandbox.run("service", "update", "-d", "--no-resolve-image", "--image", name, "web")
    assert image() == f"{name}:latest"
    unknown = sandbox.run("service", "create", "-d", "--replicas", "0", "--name", "other", f"{name}-none")
    assert f"image {name}-none:latest could not be accessed on a registry to record\nits digest." in unknown.stderr


def test_a_mirror_is_asked_for_the_digest(
    services: Services, sandbox: Sandbox, registry: Registry, pushed: Callable[[str], tuple[str, str]]
) -> None:
    _, digest = pushed("1")
    settings = sandbox.home.config / "sandbox/config.toml"
    settings.parent.mkdir(exist_ok=True)
    with settings.open("a") as file:
        file.write(f'[registries.mirrors]\n"registry.invalid" = ["http://{registry.host}"]\n')
    made = sandbox.run("service", "create", "-d", "--replicas", "0", "--name", "web", "registry.invalid/web")
    assert made.stderr == ""
    assert services.load_named("web").spec.request.image == f"registry.invalid/web:latest@{digest}"


def test_a_stack_builds_its_images_and_is_of_the_last(services: Services, sandbox: Sandbox, busybox: str) -> None:
    path = sandbox.home.root / "stack.yaml"
    (sandbox.home.root / "context").mkdir()

    def deploy(version: str) -> tuple[str, str]:
        path.write_text(
            "services:\n  one:\n    deploy: {replicas: 0}\n    build: {context: context, dockerfile_inline: "
            f'"FROM {busybox}\\nLABEL version={version}"}}\n'
        )
        sandbox.run("stack", "deploy", "-c", "stack.yaml", "--build", "st")
        image = services.load_named("st_one").spec.request.image
        return sandbox.run("image", "inspect", "-f", "{{.Id}}", "st-one").lines[0], image

    first_id, first = deploy("1")
    refused = sandbox.run("stack", "deploy", "-c", "stack.yaml", "st", status=1)
    assert "invalid image reference for service one: no image specified" in refused.stderr
    assert "--build" in refused.stderr
    assert first.startswith("st-one:latest@sha256:")
    second_id, second = deploy("2")
    assert second_id != first_id
    assert second.startswith("st-one:latest@sha256:")
    assert second != first
    # what has lost its name to the next one is found by its digest
    sandbox.run("run", "--rm", "--network", "none", "--pull", "never", first, "busybox", "true")
    sandbox.run("stack", "rm", "st")


def test_images_are_pulled_with_the_credentials_of_who_deploys(
    services: Services, sandbox: Sandbox, busybox: str, busybox_tar: Path, auth_registry: Registry
) -> None:
    # what decides is there already, with the environment of who began
    first = operations.create(services.context, services.spec(busybox, "first"))
    services.wait_running(first, 1)
    host, other = auth_registry.host, sandbox.home.root / "other"
    login = ("login", "-u", USER, "--password-stdin", host)
    sandbox.run("--config", other, *login, input=PASSWORD)
    name = f"{host}/web"
    sandbox.run("import", busybox_tar, name)
    sandbox.run("--config", other, "push", name)
    sandbox.run("rmi", "-f", name)
    options = ("-d", "--network", "none", "--stop-grace-period", "1s", "--restart-condition", "none")
    sandbox.run("service", "create", *options, "--name", "none", name, *_SLEEP)
    services.wait(services.load_named("none"), lambda _, tasks: [task.state for task in tasks] == ["rejected"])
    sandbox.run("--config", other, "service", "create", *options, "--name", "web", name, *_SLEEP)
    services.wait_running(services.load_named("web"), 1)
    sandbox.run("service", "rm", "web")
    sandbox.run("rmi", "-f", name)
    # of the environment: kept nowhere, and used at once
    auth = json.dumps({"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}})
    create = ("service", "create", *options, "--name", "once", "--with-registry-auth")
    sandbox.run(*create, name, *_SLEEP, env={"DOCKER_AUTH_CONFIG": auth})
    services.wait_running(services.load_named("once"), 1)
    sandbox.run("service", "rm", "once")
    sandbox.run("rmi", "-f", name)
    one = f"{{image: {name}, command: [{', '.join(_SLEEP[:1])}, sleep, '1000'], stop_signal: KILL}}"
    (sandbox.home.root / "stack.yaml").write_text(f"services: {{one: {one}}}\n")
    deploy = ("stack", "deploy", "-c", "stack.yaml", "--with-registry-auth", "st")
    sandbox.run(*deploy, env={"DOCKER_AUTH_CONFIG": auth})
    services.wait_running(services.load_named("st_one"), 1)
