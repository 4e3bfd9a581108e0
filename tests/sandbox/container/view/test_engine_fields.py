"""The documents of `inspect` beside those of Docker's engine: the same fields, of the same types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cli.output.inspect_shape import SHAPE, typed
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.request.request import ContainerRequest
from sandbox.container.usage.stats_document import stats_document
from sandbox.container.usage.usage import Device, Usage
from sandbox.container.view.inspect import inspect_container
from sandbox.go_template import parse_template
from sandbox.image.inspect import inspect_image
from sandbox.image.store import ImageRecord
from sandbox.values import HealthCheck, MountPoint, MountRequest, PublishedPort
from sandbox.volume.document import describe_volume
from sandbox.volume.store import Volume
from tests.sandbox.container.view import engine_fields

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths

CONFIG = ContainerConfig("img", "sha256:1", (), ("serve",), storage_driver="overlay", platform="linux/amd64")
RUNNING = ContainerState(
    "running", pid=5, started_ns=1, published_ports=(PublishedPort("0.0.0.0", 8080, 80),), health="healthy"
)
MOUNTS = (
    MountPoint("bind", "/host", "/bind"),
    MountPoint("volume", "data", "/named"),
    MountPoint("volume", "f" * 64, "/unnamed", anonymous=True),
    MountPoint("volume", "data", "/ro", read_only=True),
    MountPoint("tmpfs", "", "/tmp"),
)
FULL = CONFIG._replace(
    mounts=MOUNTS,
    exposed_ports=("80/tcp", "81/tcp"),
    sysctls=(("a", "b"),),
    init=True,
    health=HealthCheck(("CMD", "true")),
    stop_signal="TERM",
    stop_timeout_seconds=3,
)
ASKED = ContainerRequest(
    "img", mounts=(MountRequest("tmpfs", "", "/t"),), tmpfs=(("/tmp", ""),), annotations=(("a", "b"),),
    storage_options=(("size", "1g"),),
)  # fmt: skip


def document_of(paths: Paths, config: ContainerConfig, state: ContainerState, request: ContainerRequest) -> Any:
    document = inspect_container(paths, Container("a" * 64, "web", 1, config, state), request)
    # as it goes out
    assert json.loads(json.dumps(document)) == document
    return document


@pytest.mark.parametrize("state", [ContainerState(), RUNNING], ids=["created", "running"])
@pytest.mark.parametrize(("config", "request_"), [(CONFIG, ContainerRequest("img")), (FULL, ASKED)])
def test_a_container_s_document_has_docker_s_fields(
    paths: Paths, config: ContainerConfig, state: ContainerState, request_: ContainerRequest
) -> None:
    assert engine_fields.differences(document_of(paths, config, state, request_), engine_fields.CONTAINER) == []


def test_what_was_not_asked_for_is_left_out_where_docker_does(paths: Paths) -> None:
    document = document_of(paths, CONFIG, ContainerState(), ContainerRequest("img"))
    rare = {"Annotations", "Init", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"}
    assert not rare & document["HostConfig"].keys()
    assert rare <= document_of(paths, FULL, RUNNING, ASKED)["HostConfig"].keys()
    assert "ExposedPorts" not in document["Config"]
    settings = document["NetworkSettings"]
    assert settings["SandboxKey"] == settings["SandboxID"] == document["GraphDriver"]["Data"]["MergedDir"] == ""


def test_mounts_and_ports_of_a_running_one(paths: Paths) -> None:
    document = document_of(paths, FULL, RUNNING, ASKED)
    bind, *volumes = document["Mounts"]
    assert engine_fields.differences(bind, engine_fields.BIND_MOUNT) == []
    assert [engine_fields.differences(volume, engine_fields.VOLUME_MOUNT) for volume in volumes] == [[], [], []]
    # as the engine writes it down: of its own accord for those with a name
    assert [volume["Mode"] for volume in volumes] == ["z", "", "ro"]
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}
    assert document["NetworkSettings"]["Ports"] == ports
    assert document["NetworkSettings"]["SandboxKey"] == "/proc/5/ns/net"
    assert document_of(paths, FULL, RUNNING._replace(status="paused"), ASKED)["NetworkSettings"]["Ports"] == ports


def test_an_image_s_document_has_docker_s_fields(paths: Paths, database: sqlite3.Connection) -> None:
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"]}, "rootfs": {"diff_ids": ["x"]}}
    image = ImageRecord("sha256:1", "img", (), config, "linux/amd64", "sha256:2", 3, 4, 5)
    assert engine_fields.differences(inspect_image(paths, database, image), engine_fields.IMAGE) == []


def test_a_volume_s_document_has_docker_s_fields(paths: Paths) -> None:
    volume = Volume("data", 1, {}, False, {})
    assert engine_fields.differences(describe_volume(paths, volume), engine_fields.VOLUME) == []


def test_the_document_of_stats_has_docker_s_fields() -> None:
    container = Container("a" * 64, "web", 1, CONFIG, RUNNING)
    usage = Usage(1, "proc", 1, 1, 1, 1, 1, 1, 1, 1, devices=(Device(8, 0, 1, 1),))
    for before, now in ((None, None), (None, usage), (usage, usage)):
        assert engine_fields.differences(stats_document(container, before, now), engine_fields.STATS) == []


def test_a_difference_is_seen() -> None:
    fields = {"a": "text", "b": {"c": "number"}, "d?": "list"}
    assert engine_fields.differences({"a": 1, "b": {"e": 2}}, fields) == [
        "a is int, not text",
        "b.c is lacking",
        "b.e is ours alone",
    ]


#: a template, and what Docker's client prints of a container for which nothing was asked
NULLS = [
    ("{{.HostConfig.Binds}} {{len .HostConfig.Binds}}", "[] 0"),
    ("{{json .HostConfig.Binds}}", "null"),
    ("{{range .HostConfig.Binds}}x{{else}}none{{end}}", "none"),
    ("{{if .HostConfig.CapAdd}}x{{end}}{{.HostConfig.CapAdd}}", "[]"),
    ("{{.Config.Volumes}} {{.Config.Entrypoint}} {{.Config.OnBuild}}", "map[] [] []"),
    ("{{json .Config.Volumes}}", "null"),
    ("{{.HostConfig.PidsLimit}} {{.HostConfig.Init}} {{.State.Health}}", "<nil> <nil> <nil>"),
    ("{{with .State.Health}}{{.Status}}{{else}}none{{end}}", "none"),
    ("{{.HostConfig.Tmpfs}} {{.HostConfig.Sysctls}} {{.Config.ExposedPorts}}", "map[] map[] map[]"),
    ("{{.NetworkSettings.Ports}} {{.HostConfig.RestartPolicy}}", "map[] {no 0}"),
    ("{{.HostConfig.LogConfig}}", "{json-file map[]}"),
    ("{{.State}}", "{created false false false false false 0 0  0001-01-01T00:00:00Z 0001-01-01T00:00:00Z <nil>}"),
    ("{{.NetworkSettings.Networks.bridge.IPAMConfig}}", "<nil>"),
    ("{{.NetworkSettings.Networks.bridge.Aliases}} {{.NetworkSettings.Networks.none}}", "[] <no value>"),
    ('{{index .Config.Labels "x"}}|{{.Config.Labels.x}}', "|<no value>"),
]


@pytest.mark.parametrize(("template", "text"), NULLS)
def test_what_is_null_prints_as_docker_s_types_do(paths: Paths, template: str, text: str) -> None:
    document = document_of(paths, CONFIG, ContainerState(), ContainerRequest("img"))
    assert parse_template(template).render(typed(document), shape=SHAPE) == text


def test_a_port_without_a_host_s_is_an_empty_list(paths: Paths) -> None:
    document = document_of(paths, FULL, RUNNING, ASKED)
    template = "{{.NetworkSettings.Ports}} {{json .NetworkSettings.Ports}}"
    assert parse_template(template).render(typed(document), shape=SHAPE) == (
        'map[80/tcp:[{0.0.0.0 8080}] 81/tcp:[]] {"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"81/tcp":null}'
    )


def test_mounts_print_with_every_field(paths: Paths) -> None:
    document = document_of(paths, FULL._replace(mounts=MOUNTS[:1]), RUNNING, ASKED)
    assert parse_template("{{.Mounts}}").render(typed(document), shape=SHAPE) == (
        "[{bind  /host /bind   true rprivate}]"
    )
    assert parse_template("{{json .Mounts}}").render(typed(document), shape=SHAPE).count("Name") == 0
