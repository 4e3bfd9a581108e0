"""What real clients asked an engine for (api-flows.jsonl): a request can hold it, and `inspect` gives it back.

Whether there are networks of the names that are asked for is not looked at. `ConsoleSize` and `MemorySwappiness` are of
no meaning here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.container.model.record import Container, ContainerState
from sandbox.container.request.image_defaults import ImageDefaults
from sandbox.container.request.merging import HostFacts, merge
from sandbox.container.request.request import ContainerRequest, EndpointRequest
from sandbox.container.view.inspect import inspect_container
from sandbox.grammar.ports import parse_ports
from sandbox.values import HealthCheck, MountRequest, PublishedPort, RestartPolicy
from tests.needs import vectors_directory

if TYPE_CHECKING:
    from sandbox.paths import Paths

pytestmark = pytest.mark.requires("vectors")
_OF_NO_MEANING = {"ConsoleSize", "MemorySwappiness"}


def recorded() -> list[dict[str, Any]]:
    """The bodies of the requests that made a container; none where the folder is missing."""
    try:
        with open(vectors_directory() / "api-flows.jsonl", encoding="utf-8") as lines:
            flows = [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []
    bodies = [flow["body"] for flow in flows if flow["endpoint"] == "POST /containers/create"]
    # each kind once
    return list({json.dumps(body, sort_keys=True): body for body in bodies if body}.values())


BODIES = recorded()


def published(bindings: dict[str, list[dict[str, str]]]) -> tuple[PublishedPort, ...]:
    return parse_ports(
        f"{binding.get('HostIp', '')}:{binding.get('HostPort', '')}:{port}"
        for port, of_port in bindings.items()
        for binding in of_port
    )


def request_of(body: dict[str, Any]) -> ContainerRequest:
    host = body.get("HostConfig", {})
    health = body.get("Healthcheck") or {}
    policy = host.get("RestartPolicy")
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    streams = ("stdin", "stdout", "stderr")
    return ContainerRequest(
        body["Image"],
        command=tuple(body["Cmd"]) if "Cmd" in body else None,
        entrypoint=tuple(body["Entrypoint"]) if "Entrypoint" in body else None,
        environment=tuple(body.get("Env", ())),
        labels=tuple(body.get("Labels", {}).items()),
        terminal=body.get("Tty"),
        open_stdin=body.get("OpenStdin"),
        stdin_once=body.get("StdinOnce"),
        attached=tuple(stream for stream in streams if body.get(f"Attach{stream.capitalize()}")),
        health=HealthCheck(tuple(health["Test"]), health.get("Interval", 0), retries=health.get("Retries", 0))
        if health
        else None,
        restart=RestartPolicy(policy["Name"], policy.get("MaximumRetryCount", 0)) if policy else None,
        auto_remove=host.get("AutoRemove"),
        init=host.get("Init"),
        memory_bytes=host.get("Memory"),
        binds=tuple(host.get("Binds", ())),
        mounts=tuple(
            MountRequest(mount["Type"], mount["Source"], mount["Target"], mount.get("ReadOnly", False))
            for mount in host.get("Mounts", ())
        ),
        published_ports=published(host.get("PortBindings", {})),
        network_mode=host.get("NetworkMode"),
        endpoints=tuple(EndpointRequest(name, tuple(one.get("Aliases", ()))) for name, one in endpoints.items()),
    )


def lacks(asked: Any, shown: Any, place: str = "") -> list[str]:
    """The places at which `shown` has not what was asked for; what was left out may be anything."""
    if isinstance(asked, dict) and isinstance(shown, dict):
        return [text for name, value in asked.items() for text in lacks(value, shown.get(name), f"{place}.{name}")]
    if isinstance(asked, list) and isinstance(shown, list) and len(asked) == len(shown):
        pairs = enumerate(zip(asked, shown, strict=True))
        return [text for number, pair in pairs for text in lacks(*pair, f"{place}[{number}]")]
    return [] if asked == shown else [f"{place}: {asked!r}, and not {shown!r}"]


def test_there_are_requests() -> None:
    assert len(BODIES) > 20


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body.get("Image")))
def test_what_a_client_asked_for_is_given_back(body: dict[str, Any], paths: Paths) -> None:
    request = request_of(body)
    config = merge(request, ImageDefaults(command=("serve",)), HostFacts("sha256:0")).config
    document = inspect_container(paths, Container("a" * 64, "web", 1, config, ContainerState()), request)
    config_part = {name: value for name, value in body.items() if name not in ("HostConfig", "NetworkingConfig")}
    assert lacks(config_part, document["Config"], "Config") == []
    host_part = {name: value for name, value in body.get("HostConfig", {}).items() if name not in _OF_NO_MEANING}
    mode = "bridge" if host_part.get("NetworkMode", "default") == "default" else host_part["NetworkMode"]
    assert lacks({**host_part, "NetworkMode": mode}, document["HostConfig"], "HostConfig") == []
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {mode: {}})
    networks = document["NetworkSettings"]["Networks"]
    assert networks.keys() == endpoints.keys()
    assert lacks(endpoints, networks, "Networks") == []
