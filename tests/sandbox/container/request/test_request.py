"""A request as a value: kept as JSON, and compared with another."""

from __future__ import annotations

from sandbox.container.model.documents import from_json, to_json, to_plain
from sandbox.container.request.request import ContainerRequest, EndpointRequest, changed
from sandbox.values import Device, HealthCheck, LogConfig, MountRequest, PublishedPort, RestartPolicy, Rlimit

REQUEST = ContainerRequest(
    image="web:1",
    command=(),
    environment=("A=b", "GONE"),
    labels=(("a", "1"),),
    health=HealthCheck(retries=3),
    restart=RestartPolicy("on-failure", 2),
    log=LogConfig("local", (("max-size", "1m"),)),
    published_ports=(PublishedPort("", 8080, 80, "tcp", 8082),),
    endpoints=(EndpointRequest("front", ("web",), ipv4_address="10.0.0.2"), EndpointRequest("back")),
    mounts=(MountRequest("volume", "data", "/data", labels=(("k", "v"),)),),
    tmpfs=(("/run", "size=1m"),),
    devices=(Device("/dev/fuse", "/dev/fuse"),),
    rlimits=(Rlimit("nofile", 5, 10),),
    pids_limit=-1,
    init=False,
)


def test_a_request_comes_back_equal_with_its_nested_values() -> None:
    assert from_json(ContainerRequest, to_json(REQUEST)) == REQUEST


def test_what_was_not_said_is_not_written() -> None:
    assert to_plain(ContainerRequest("web:1")) == {"image": "web:1"}
    assert to_plain(ContainerRequest(command=(), init=False)) == {"command": [], "init": False}


def test_the_fields_that_differ() -> None:
    assert changed(REQUEST, REQUEST) == frozenset()
    other = REQUEST._replace(command=None, endpoints=(), pids_limit=0)
    assert changed(REQUEST, other) == changed(other, REQUEST) == {"command", "endpoints", "pids_limit"}
