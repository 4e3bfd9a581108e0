"""Records survive the trip through JSON, and fields that come and go."""

from __future__ import annotations

import json

from sandbox.container.model.documents import from_json, from_plain, to_json, to_plain
from sandbox.container.model.record import ContainerConfig, ContainerState
from sandbox.values import LogConfig, MountPoint, PublishedPort, RestartPolicy, Rlimit

CONFIG = ContainerConfig(
    image="busybox",
    image_id="sha256:" + "a" * 64,
    entrypoint=(),
    command=("sh", "-c", "true"),
    labels=(("a", "1"), ("b", "")),
    published_ports=(PublishedPort("0.0.0.0", 8080, 80), PublishedPort("::1", 0, 53, "udp")),
    mounts=(MountPoint("bind", "/src", "/dst", volume_labels=(("k", "v"),)),),
    rlimits=(Rlimit("nofile", 10, -1),),
    restart=RestartPolicy("on-failure", 3),
    log=LogConfig("json-file", (("max-size", "1k"),)),
)


def test_a_config_comes_back_equal_with_its_nested_values() -> None:
    assert from_json(ContainerConfig, to_json(CONFIG)) == CONFIG


def test_fields_at_their_default_are_not_written() -> None:
    assert to_plain(ContainerState()) == {}
    assert set(to_plain(ContainerConfig("i", "s", (), ()))) == {"image", "image_id", "entrypoint", "command"}


def test_a_field_from_a_newer_program_is_passed_over_and_a_missing_one_takes_its_default() -> None:
    plain = json.loads(to_json(CONFIG)) | {"quantum": {"entangled": True}}
    del plain["restart"]
    assert from_plain(ContainerConfig, plain) == CONFIG._replace(restart=RestartPolicy())
