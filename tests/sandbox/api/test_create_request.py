"""The body that makes a container: recorded ones, hostile ones, and what cannot be had."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.documents.create_request import read_create
from sandbox.api.documents.filters import read_filters
from sandbox.api.errors import ApiError
from sandbox.container.request.image_defaults import ImageDefaults
from sandbox.container.request.merging import HostFacts, merge
from sandbox.errors import SandboxError
from sandbox.values import EndpointRequest, PublishedPort, RestartPolicy
from tests.sandbox.container.view.test_recorded_requests import recorded, request_of

BODIES = recorded()


@pytest.mark.requires("vectors")
@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body.get("Image")))
def test_a_recorded_body_is_read_as_it_was_meant(body: dict[str, Any]) -> None:
    request = read_create(body, "", "").request
    wanted = request_of(body)._replace(best_effort=True)
    defaults, facts = ImageDefaults(command=("serve",)), HostFacts("sha256:0")
    assert merge(request, defaults, facts).config == merge(wanted, defaults, facts).config


def test_what_is_asked_for_in_all_places() -> None:
    body = {
        "Image": "web", "Cmd": "one word", "Entrypoint": [], "Env": ["A=b", "GONE"], "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9}, "Unheard": {"of": 1},
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}], "53/udp": None},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "NetworkMode": "inner",
            "MaskedPaths": [], "MemorySwappiness": -1, "ConsoleSize": [0, 0],
        },
        "NetworkingConfig": {"EndpointsConfig": {"outer": {}, "inner": {"Aliases": ["a"]}}},
    }  # fmt: skip
    request, warnings = read_create(body, "/name".removeprefix("/"), "linux/amd64")
    assert (request.command, request.entrypoint, request.pull_policy, warnings) == (("one word",), None, "never", ())
    assert request.published_ports == (PublishedPort("::1", 8080, 80), PublishedPort("", 0, 53, "udp"))
    assert request.endpoints == (EndpointRequest("inner", ("a",)), EndpointRequest("outer"))
    assert request.restart == RestartPolicy("on-failure", 3)
    assert (request.binds, request.security_options) == (("/data",), ("systempaths=unconfined",))


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ({"DeviceRequests": [{"Count": -1}]}, 501, "HostConfig.DeviceRequests"),
        ({"DeviceCgroupRules": ["c 1:3 r"]}, 501, "HostConfig.DeviceCgroupRules"),
        ({"CgroupnsMode": "host"}, 501, "HostConfig.CgroupnsMode"),
        ({"MaskedPaths": ["/proc/kcore"]}, 501, "HostConfig.MaskedPaths"),
        ({"CgroupParent": "/a"}, 501, "HostConfig.CgroupParent"),
        ({"Runtime": "kata"}, 400, "unknown or invalid runtime name: kata"),
        ({"VolumeDriver": "nfs", "Binds": ["data:/d"]}, 404, "error looking up volume plugin nfs"),
        ({"Mounts": [{"Type": "npipe"}]}, 400, "mount type unknown"),
        ({"Memory": "1g"}, 400, "Memory is a number"),
        ({"Binds": [1]}, 400, "Binds is a list of texts"),
        ({"Privileged": "yes"}, 400, "Privileged is true or false"),
    ],
)
def test_what_is_refused_by_name(host: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(ApiError, match=words) as raised:
        read_create({"Image": "web", "HostConfig": host}, "", "")
    assert raised.value.status == status


def test_what_is_left_out_with_a_warning() -> None:
    _request, warnings = read_create({"Image": "web", "HostConfig": {"BlkioWeight": 100}}, "", "")
    assert warnings == (
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
_KEYS = (
    "Image", "Cmd", "Entrypoint", "Env", "Labels", "Healthcheck", "Volumes", "ExposedPorts", "Binds",
    "NetworkingConfig",
    "Mounts", "PortBindings", "RestartPolicy", "LogConfig", "Ulimits", "Devices", "Tmpfs", "NetworkMode", "ExtraHosts",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON), st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_any_body_is_read_or_refused(body: dict[str, Any], host: dict[str, Any]) -> None:
    with suppress(SandboxError):
        assert read_create({**body, "Image": "web", "HostConfig": host}, "", "").request.image == "web"


def test_filters_in_both_forms() -> None:
    assert read_filters('{"label": {"a=b": true, "c": false}}') == ("label=a=b",)
    assert read_filters('{"label": ["a=b"], "dangling": [true]}') == ("label=a=b", "dangling=true")
    assert read_filters("") == ()
    for text in ("[]", "{", '{"a": [[]]}', json.dumps({"a": [{}]})):
        with pytest.raises(ApiError, match="invalid filter"):
            read_filters(text)
