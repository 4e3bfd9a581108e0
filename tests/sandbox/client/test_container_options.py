"""Keywords of the Python API as a request: each form that Docker's library takes, and what is no form at all."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

import sandbox
from sandbox import errors
from sandbox.client.container_options import ContainerOptions, keyword_of, read_environment, read_options
from sandbox.client.errors import _CLASSES, APIError, api_error
from sandbox.client.filter_texts import filter_texts
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ImageNotFoundError, NotFoundError, SandboxError, UsageError
from sandbox.grammar.filters import FilterError
from sandbox.values import (
    Device,
    EndpointRequest,
    FileGrant,
    HealthCheck,
    LogConfig,
    PublishedPort,
    RestartPolicy,
    Rlimit,
)
from tests.needs import REPOSITORY

#: fields that are arguments of their own, or that no keyword fills
WITHOUT_KEYWORD = {
    "image", "command", "pull_policy", "id_file", "attached", "stdin_once", "exposed_ports", "storage_driver",
    "trace_path", "best_effort", "configs", "later_networks", "runtime", "isolation",
    "volume_driver",
}  # fmt: skip


def read(command: Any = None, **options: Any) -> ContainerRequest:
    given: ContainerOptions = options  # type: ignore[assignment]  # what a program may pass
    return read_options("img", command, "missing", given, {"HOME": "/home/me"})


FORMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"secrets": ["key,uid=5"]}, {"secrets": (FileGrant("key", "key", 5),)}),
    ({"ports": {6379: 0}}, {"published_ports": (PublishedPort("", 0, 6379),)}),
    ({"ports": {"80/tcp": None, "53/udp": 5353}},
     {"published_ports": (PublishedPort("", 0, 80), PublishedPort("", 5353, 53, "udp"))}),
    ({"ports": {80: [8080, ("127.0.0.1", 8081)]}},
     {"published_ports": (PublishedPort("", 8080, 80), PublishedPort("127.0.0.1", 8081, 80))}),
    ({"ports": {80: ("::1", None)}}, {"published_ports": (PublishedPort("::1", 0, 80),)}),
    ({"environment": {"A": "1", "HOME": None}}, {"environment": ("A=1", "HOME=/home/me")}),
    ({"environment": ["A=1", "HOME"]}, {"environment": ("A=1", "HOME=/home/me")}),
    ({"volumes": {"/a": {"bind": "/b", "mode": "ro"}, "data": {"bind": "/c"}}}, {"binds": ("/a:/b:ro", "data:/c")}),
    ({"volumes": ["data:/c:ro"]}, {"binds": ("data:/c:ro",)}),
    ({"volumes": {"./here": "/there"}}, {"binds": (f"{os.getcwd()}/here:/there",)}),
    ({"tmpfs": {"/run": "size=1m"}}, {"tmpfs": (("/run", "size=1m"),)}),
    ({"tmpfs": ["/run", "/tmp:size=1m"]}, {"tmpfs": (("/run", ""), ("/tmp", "size=1m"))}),
    ({"labels": {"a": "b"}}, {"labels": (("a", "b"),)}),
    ({"labels": ["a=b", "c"]}, {"labels": (("a", "b"), ("c", ""))}),
    ({"mem_limit": "512m", "shm_size": 1024}, {"memory_bytes": 512 << 20, "shm_size_bytes": 1024}),
    ({"memswap_limit": -1}, {"memory_swap_bytes": -1}),
    ({"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 5}}, {"restart": RestartPolicy("on-failure", 5)}),
    ({"restart_policy": "always"}, {"restart": RestartPolicy("always")}),
    ({"healthcheck": {"test": ["CMD", "true"], "interval": 10**9, "retries": 3}},
     {"health": HealthCheck(("CMD", "true"), 10**9, retries=3)}),
    ({"healthcheck": {"test": "true"}}, {"health": HealthCheck(("CMD-SHELL", "true"))}),
    ({"log_config": {"Type": "none"}}, {"log": LogConfig("none")}),
    ({"ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}, "core=0"]},
     {"rlimits": (Rlimit("nofile", 10, 20), Rlimit("core", 0, 0))}),
    ({"devices": ["/dev/fuse:/dev/fuse:rw"]}, {"devices": (Device("/dev/fuse", "/dev/fuse", "rw"),)}),
    ({"network_mode": "none"}, {"network_mode": "none"}),
    ({"network": "bridge"}, {"endpoints": (EndpointRequest("bridge"),)}),
    ({"network_mode": "container:db"}, {"network_mode": "container:db"}),
    ({"network": "front", "links": {"db": "database"}, "mac_address": "02:42:00:00:00:09"},
     {"endpoints": (EndpointRequest("front", links=("db:database",), mac_address="02:42:00:00:00:09"),)}),
    ({"links": [("db", "database")]}, {"endpoints": (EndpointRequest("default", links=("db:database",)),)}),
    ({"network": "front", "networking_config": {"back": {"aliases": ["x"], "ipv4_address": "10.9.0.2"}, "front": None}},
     {"endpoints": (EndpointRequest("front"), EndpointRequest("back", ("x",), ipv4_address="10.9.0.2"))}),
    ({"extra_hosts": {"db": "10.0.0.1"}}, {"extra_hosts": ("db:10.0.0.1",)}),
    ({"sysctls": {"net.ipv4.ip_forward": "1"}}, {"sysctls": (("net.ipv4.ip_forward", "1"),)}),
    ({"user": 1000, "working_dir": "/srv", "tty": True, "stdin_open": True, "hostname": "h", "init": True},
     {"user": "1000", "working_directory": "/srv", "terminal": True, "open_stdin": True, "hostname": "h",
      "init": True}),
    ({"entrypoint": "sh -c", "cap_add": ["NET_ADMIN"], "group_add": [5]},
     {"entrypoint": ("sh", "-c"), "cap_add": ("NET_ADMIN",), "group_add": ("5",)}),
    ({"name": None, "privileged": None}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "fields"), FORMS, ids=lambda value: " ".join(value))
def test_each_form_fills_its_field(options: dict[str, Any], fields: dict[str, Any]) -> None:
    assert read(**options) == read()._replace(**fields)


def test_a_command_is_words_or_a_text() -> None:
    assert read("echo 'a b'").command == read(["echo", "a b"]).command == ("echo", "a b")
    assert read().command is None
    assert read().image == "img"


@pytest.mark.parametrize(
    "options",
    [
        {"ports": {"x": 1}}, {"ports": {80: "nope"}}, {"ports": {80: object()}}, {"mem_limit": "much"},
        {"volumes": "/a:/b"}, {"volumes": {"/a": {"mode": "ro"}}}, {"restart_policy": "sometimes"},
        {"healthcheck": {"tset": ["CMD"]}}, {"ulimits": [{"Soft": 1}]}, {"ulimits": "nofile=1"}, {"dns": ["not-one"]},
        {"network": "a", "network_mode": "b"}, {"log_config": {"Type": "nowhere"}}, {"devices": ["fuse"]},
        {"extra_hosts": {"db": "nowhere"}}, {"cap_add": "ALL"}, {"links": "db"}, {"mac_address": "x"},
        {"networking_config": {"front": {"what": 1}}}, {"networking_config": {"host": {}}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_form_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        read(**options)
    assert raised.value.field in options or len(options) > 1


def test_a_field_of_a_request_has_a_keyword() -> None:
    for field in ContainerRequest._fields:
        keyword = keyword_of(f"{field}[1]").removesuffix("[1]")
        assert keyword in ContainerOptions.__annotations__ or field in WITHOUT_KEYWORD, field


def test_an_unknown_keyword_is_named() -> None:
    with pytest.raises(TypeError, match="detatch"):
        read(detatch=True)


def test_a_variable_that_the_caller_lacks_is_left_out() -> None:
    assert read_environment({"NOPE": None, "A": "1"}, {}) == ("NOPE", "A=1")
    assert read_environment(None, {}) == ()


def test_the_page_names_every_keyword_and_every_kind_of_error() -> None:
    page = (REPOSITORY / "docs/python-api.md").read_text()
    options = page.partition("### Options")[2].partition("## Images")[0]
    rows = [line.split("|")[1] for line in options.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == ContainerOptions.__annotations__.keys()
    kinds = set(re.findall(r"`([a-z_]+)`", page.partition("finer than the classes:")[2]))
    classes: list[type[SandboxError]] = [FilterError]
    classes += [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SandboxError)]
    assert kinds == {kind.kind for kind in classes}


def test_filters_are_texts() -> None:
    filters = {"label": ["a=b", "c"], "status": "exited", "dangling": True}
    assert filter_texts(filters) == ("label=a=b", "label=c", "status=exited", "dangling=true")
    assert filter_texts(None) == ()


def test_errors_have_the_names_that_users_know() -> None:
    for kind, name in _CLASSES.items():
        error = APIError("it failed", cause="why", mend="how", kind=kind)
        found = api_error(error)
        assert (type(found), found.kind, found.explanation) == (name, kind, "it failed")
        assert str(found) == "it failed\n  cause: why\n  mend: how"
    assert type(api_error(ImageNotFoundError("No such image: x"))) is sandbox.ImageNotFound
    assert type(api_error(NotFoundError("No such container: x"))) is sandbox.NotFound
    assert type(api_error(OSError(28, "No space left on device"))) is APIError
    assert issubclass(sandbox.ImageNotFound, sandbox.NotFound)
    assert issubclass(sandbox.ContainerError, sandbox.APIError)


def test_the_package_offers_what_it_says_and_no_more() -> None:
    assert all(getattr(sandbox, name) is not None for name in sandbox.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        sandbox.nope  # noqa: B018
