"""docker-py over the socket: the swarm of one, its node, secrets, configs and services."""

from __future__ import annotations

import base64
from typing import Any

import docker.errors
import pytest

pytestmark = pytest.mark.requires("subids", "overlay")


def test_what_a_swarm_has(client: Any) -> None:
    node_id = client.swarm.init()
    swarm = client.info()["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["NodeID"]) == ("active", True, node_id)
    (node,) = client.nodes.list(filters={"role": "manager"})
    assert (node.id, client.nodes.get(node_id).attrs["Spec"]["Availability"]) == (node_id, "active")
    assert client.nodes.list(filters={"role": "worker"}) == []
    _check_objects(client)
    assert (client.services.list(status=True), client.api.tasks()) == ([], [])
    with pytest.raises(docker.errors.NotFound, match="service web not found"):
        client.api.remove_service("web")
    with pytest.raises(docker.errors.NotFound, match="task web not found"):
        client.api.inspect_task("web")
    client.swarm.leave(force=True)
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
    with pytest.raises(docker.errors.APIError, match="not a swarm manager") as raised:
        client.api.secrets()
    assert raised.value.status_code == 503


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
