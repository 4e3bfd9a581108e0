"""Which path is whose, and which version is spoken."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from sandbox.api.errors import ApiError
from sandbox.api.routing import ROUTES, find_handler, read_target


@pytest.mark.parametrize("handler", sorted({handler for _method, _path, handler in ROUTES}))
def test_every_route_leads_to_a_function(handler: str) -> None:
    module, _, function = handler.partition(".")
    assert inspect.iscoroutinefunction(getattr(import_module(f"sandbox.api.handlers.{module}"), function))


@pytest.mark.parametrize(
    ("raw", "path", "version"),
    [
        ("/_ping", "/_ping", (1, 45)),
        ("/v1.24/containers/json", "/containers/json", (1, 24)),
        ("/v1.41/images/host%3A5000%2Fa%2Fb%3Atag/json", "/images/host:5000/a/b:tag/json", (1, 41)),
        ("/v1.45/images/host:5000/a/b:tag/json", "/images/host:5000/a/b:tag/json", (1, 45)),
        ("/version", "/version", (1, 45)),
    ],
)
def test_a_path_and_its_version(raw: str, path: str, version: tuple[int, int]) -> None:
    assert read_target(raw) == (path, version)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("/v1.60/info", "client version 1.60 is too new. Maximum supported API version is 1.45"),
        ("/v1.12/info", "client version 1.12 is too old. Minimum supported API version is 1.24"),
        ("/containers/a%00b/json", "NUL"),
        ("/containers/%ff/json", "UTF-8"),
    ],
)
def test_what_is_no_path(raw: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as raised:
        read_target(raw)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("method", "path", "name", "words"),
    [
        ("GET", "/images/json", "images.list_all", ()),
        ("GET", "/images/a/b/json", "images.inspect", ("a/b",)),
        ("GET", "/images/json/json", "images.inspect", ("json",)),
        ("DELETE", "/images/host:5000/a:b", "images.remove", ("host:5000/a:b",)),
        ("GET", "/containers/web/db/json", "containers.inspect", ("web/db",)),
        ("POST", "/images/a/push/push", "transfers.push", ("a/push",)),
        ("GET", "/containers/json/json", "containers.inspect", ("json",)),
        ("POST", "/containers/create", "containers.create", ()),
        ("GET", "/networks/prune", "networks.inspect", ("prune",)),
    ],
)
def test_the_row_that_answers(method: str, path: str, name: str, words: tuple[str, ...]) -> None:
    handler, found = find_handler(method, path)
    assert (f"{handler.__module__.rpartition('.')[2]}.{handler.__name__}", found) == (name, words)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("POST", "/containers/a/b/start"), ("PATCH", "/containers/json"), ("GET", "/containers//json"),
        ("GET", "/grpc"), ("GET", "/session"), ("GET", "/containers/../json/x"), ("GET", "/containers/a/json/"),
    ],
)  # fmt: skip
def test_what_nobody_answers(method: str, path: str) -> None:
    with pytest.raises(ApiError, match="page not found") as raised:
        find_handler(method, path)
    assert raised.value.status == 404
