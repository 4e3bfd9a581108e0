"""docker-py over the socket: the swarm of one, its node, secrets, configs and services."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import docker.errors
import pytest
from docker.types import ServiceMode, UpdateConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.registry import Registry

pytestmark = pytest.mark.requires("subids", "overlay")


@pytest.mark.usefixtures("leaves_no_service")
def test_what_a_swarm_has(client: Any, busybox: str, eventually: Callable[[Callable[[], object]], None]) -> None:
    node_id = client.swarm.init()
    swarm = client.info()["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["NodeID"]) == ("active", True, node_id)
    (node,) = client.nodes.list(filters={"role": "manager"})
    assert (node.id, client.nodes.get(node_id).attrs["Spec"]["Availability"]) == (node_id, "active")
    assert client.nodes.list(filters={"role": "worker"}) == []
    _check_node(client, node)
    _check_objects(client)
    assert (client.services.list(status=True), client.api.tasks()) == ([], [])
    with pytest.raises(docker.errors.NotFound, match="service web not found"):
        client.api.remove_service("web")
    with pytest.raises(docker.errors.NotFound, match="task web not found"):
        client.api.inspect_task("web")
    _check_services(client, busybox, eventually)
    client.swarm.leave(force=True)
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
    with pytest.raises(docker.errors.APIError, match="not a swarm manager") as raised:
        client.api.secrets()
    assert raised.value.status_code == 503


@pytest.mark.usefixtures("leaves_no_service")
@pytest.mark.requires("registry", "skopeo")
def test_credentials_of_a_service_pull_its_image(client: Any, auth_registry: Registry, busybox_layout: Path) -> None:
    reference = auth_registry.push(busybox_layout, "kept:1")
    client.login(auth_registry.user, auth_registry.password, registry=auth_registry.host)
    client.services.create(reference, name="kept", mode=ServiceMode("replicated", 0))
    assert client.images.get(reference).tags == [reference]


def _check_services(client: Any, image: str, eventually: Callable[[Callable[[], object]], None]) -> None:
    service = client.services.create(
        image, ["sh", "-c", "echo up; echo oh >&2; exec sleep 600"], name="web",
        env=["A=1"], labels={"mine": "1"}, stop_grace_period=0,
        mode=ServiceMode("replicated", 2), update_config=UpdateConfig(parallelism=2, monitor=1),
    )  # fmt: skip
    eventually(lambda: _counts(client) == [(2, 2)])
    _check_logs(client, service)
    with pytest.raises(docker.errors.APIError, match="service web already exists") as raised:
        client.services.create(image, name="web")
    assert raised.value.status_code == 409
    assert service.update(env=["A=2"], mode=ServiceMode("replicated", 1))
    eventually(lambda: _states(service) == [("running", ["A=2"])])
    with pytest.raises(docker.errors.APIError, match="update out of sequence"):
        client.api.update_service(service.id, 1, name="web", task_template=service.attrs["Spec"]["TaskTemplate"])
    service.reload()
    version = service.attrs["Version"]["Index"]
    # what there is no word for in the library
    answer = client.api._post_json(
        client.api._url("/services/{0}/update", service.id),
        data=service.attrs["Spec"],
        params={"rollback": "previous", "version": version},
    )
    assert answer.json() == {"Warnings": None}
    eventually(lambda: _states(service) == [("running", ["A=1"])] * 2)
    eventually(lambda: client.services.get("web").attrs["UpdateStatus"]["State"] == "rollback_completed")
    assert {task["Spec"]["ContainerSpec"]["Image"] for task in service.tasks()} == {image}
    service.remove()


def _check_logs(client: Any, service: Any) -> None:
    assert sorted(service.logs(stdout=True, stderr=True)) == [b"oh\n", b"oh\n", b"up\n", b"up\n"]
    assert list(service.logs(stdout=True, tail=0)) == []
    (first, _) = service.tasks()
    line = next(service.logs(stdout=True, details=True, follow=True))
    (told, text) = line.split(b" ")
    assert (text, b"com.docker.swarm.service.id=" + service.id.encode() in told) == (b"up\n", True)
    url = client.api._url("/tasks/{0}/logs", first["ID"])
    answer = client.api._get(url, params={"stderr": True})
    assert answer.content == b"\2\0\0\0\0\0\0\3oh\n"
    assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert client.api._get(url).status_code == 400


def _counts(client: Any) -> list[tuple[int, int]]:
    found = client.services.list(filters={"label": ["mine=1"]}, status=True)
    return [
        (status["RunningTasks"], status["DesiredTasks"]) for status in (each.attrs["ServiceStatus"] for each in found)
    ]


def _states(service: Any) -> list[tuple[str, list[str]]]:
    return [
        (task["Status"]["State"], task["Spec"]["ContainerSpec"]["Env"])
        for task in service.tasks(filters={"desired-state": "running"})
    ]


def _check_node(client: Any, node: Any) -> None:
    spec = {"Availability": "active", "Name": "here", "Role": "manager", "Labels": {"zone": "a"}}
    with pytest.raises(docker.errors.APIError, match="no suitable node"):
        client.services.create("busybox", name="kept", constraints=["node.labels.zone==a"])
    node.update(spec)
    with pytest.raises(docker.errors.APIError, match="out of sequence"):
        node.update(spec)
    node.reload()
    assert node.attrs["Spec"] == spec
    assert client.nodes.list(filters={"node.label": "zone=a"}) == [node]
    kept = client.services.create(
        "busybox", name="kept", constraints=["node.labels.zone==a"], mode=ServiceMode("replicated", 0)
    )
    kept.remove()
    with pytest.raises(docker.errors.APIError, match="last manager"):
        node.update({**spec, "Role": "worker"})
    with pytest.raises(docker.errors.APIError, match="only node"):
        node.update({**spec, "Availability": "drain"})


def _check_objects(client: Any) -> None:
    secret = client.secrets.create(name="word", data=b"hidden", labels={"mine": "1"})
    assert client.secrets.list(filters={"label": ["mine=1"]}) == [secret]
    assert "Data" not in client.secrets.get("word").attrs["Spec"]
    with pytest.raises(docker.errors.APIError) as raised:
        client.secrets.create(name="word", data=b"other")
    assert raised.value.status_code == 409
    config = client.configs.create(name="file", data="text")
    assert base64.b64decode(client.configs.get(config.id).attrs["Spec"]["Data"]) == b"text"
    _change(client, config.id, {"Name": "file", "Labels": {"a": "b"}}, 200)
    assert client.configs.get("file").attrs["Spec"]["Labels"] == {"a": "b"}
    _change(client, config.id, {"Name": "file", "Data": base64.b64encode(b"other").decode()}, 400)
    for each in (secret, config):
        each.remove()
    with pytest.raises(docker.errors.NotFound, match="secret word not found"):
        client.secrets.get("word")


def _change(client: Any, config_id: str, spec: dict[str, Any], status: int) -> None:
    version = client.configs.get(config_id).attrs["Version"]["Index"]
    api = client.api
    answer = api._post_json(api._url("/configs/{0}/update", config_id), data=spec, params={"version": version})
    assert answer.status_code == status, answer.text
