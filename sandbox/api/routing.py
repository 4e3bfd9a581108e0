"""Who answers what: one table, and how a path is taken apart."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from sandbox.api.errors import ApiError
from sandbox.system.versions import API_VERSION, LEAST_API_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.api.call import Answer, Call

    Handler = Callable[[Call], Awaitable[Answer | None]]

#: method, path, "module.function" below `handlers`. {id} is one word, {name} may have slashes, {kind} is
#: of a secret or a config, which are served alike; exact paths come first
ROUTES: tuple[tuple[str, str, str], ...] = (
    ("HEAD", "/_ping", "system.ping"),
    ("GET", "/_ping", "system.ping"),
    ("GET", "/version", "system.version"),
    ("GET", "/info", "system.info"),
    ("GET", "/plugins", "plugins.list_all"),
    ("GET", "/plugins/privileges", "plugins.refuse"),
    ("POST", "/plugins/pull", "plugins.refuse"),
    ("POST", "/plugins/create", "plugins.refuse"),
    ("GET", "/plugins/{name}/json", "plugins.find"),
    ("DELETE", "/plugins/{name}", "plugins.find"),
    ("POST", "/plugins/{name}/enable", "plugins.find"),
    ("POST", "/plugins/{name}/disable", "plugins.find"),
    ("POST", "/plugins/{name}/upgrade", "plugins.find"),
    ("POST", "/plugins/{name}/push", "plugins.find"),
    ("POST", "/plugins/{name}/set", "plugins.find"),
    ("GET", "/events", "system.events"),
    ("POST", "/auth", "system.authenticate"),
    ("GET", "/system/df", "system.usage"),
    ("GET", "/distribution/{name}/json", "system.distribution"),
    ("GET", "/containers/json", "containers.list_all"),
    ("POST", "/containers/create", "containers.create"),
    ("POST", "/containers/prune", "containers.prune"),
    # the name of a link has a slash
    ("GET", "/containers/{name}/json", "containers.inspect"),
    ("POST", "/containers/{id}/update", "containers.update"),
    ("GET", "/containers/{id}/changes", "files.changes"),
    ("GET", "/containers/{id}/export", "files.export"),
    ("HEAD", "/containers/{id}/archive", "files.stat_archive"),
    ("GET", "/containers/{id}/archive", "files.get_archive"),
    ("PUT", "/containers/{id}/archive", "files.put_archive"),
    ("GET", "/containers/{id}/top", "looking.top"),
    ("GET", "/containers/{id}/stats", "looking.stats"),
    ("POST", "/containers/{id}/start", "lives.start"),
    ("POST", "/containers/{id}/stop", "lives.stop"),
    ("POST", "/containers/{id}/restart", "lives.restart"),
    ("POST", "/containers/{id}/kill", "lives.kill"),
    ("POST", "/containers/{id}/wait", "lives.wait"),
    ("POST", "/containers/{id}/pause", "lives.pause"),
    ("POST", "/containers/{id}/unpause", "lives.unpause"),
    ("POST", "/containers/{id}/rename", "containers.rename"),
    ("POST", "/containers/{id}/resize", "streams.resize"),
    ("POST", "/containers/{id}/attach", "streams.attach"),
    ("GET", "/containers/{id}/attach/ws", "streams.attach_websocket"),
    ("GET", "/containers/{id}/logs", "streams.logs"),
    ("DELETE", "/containers/{name}", "containers.remove"),
    ("POST", "/containers/{id}/exec", "execs.create"),
    ("POST", "/exec/{id}/start", "execs.start"),
    ("POST", "/exec/{id}/resize", "execs.resize"),
    ("GET", "/exec/{id}/json", "execs.inspect"),
    ("GET", "/images/json", "images.list_all"),
    ("POST", "/images/create", "transfers.create"),
    ("POST", "/images/load", "transfers.load"),
    ("GET", "/images/get", "transfers.save"),
    ("GET", "/images/search", "transfers.search"),
    ("POST", "/images/prune", "images.prune"),
    ("POST", "/grpc", "buildkit.grpc"),
    ("POST", "/session", "buildkit.session"),
    ("POST", "/commit", "builds.commit"),
    ("POST", "/build", "builds.build"),
    ("POST", "/build/prune", "builds.prune"),
    ("POST", "/build/cancel", "builds.cancel"),
    ("POST", "/images/{name}/push", "transfers.push"),
    ("GET", "/images/{name}/get", "transfers.save_one"),
    ("GET", "/images/{name}/json", "images.inspect"),
    ("POST", "/images/{name}/tag", "images.tag"),
    ("GET", "/images/{name}/history", "images.history"),
    ("DELETE", "/images/{name}", "images.remove"),
    ("GET", "/volumes", "volumes.list_all"),
    ("POST", "/volumes/create", "volumes.create"),
    ("POST", "/volumes/prune", "volumes.prune"),
    ("GET", "/volumes/{id}", "volumes.inspect"),
    ("PUT", "/volumes/{id}", "volumes.update"),
    ("DELETE", "/volumes/{id}", "volumes.remove"),
    ("GET", "/networks", "networks.list_all"),
    ("GET", "/networks/", "networks.list_all"),
    ("POST", "/networks/create", "networks.create"),
    ("POST", "/networks/prune", "networks.prune"),
    ("GET", "/networks/{id}", "networks.inspect"),
    ("DELETE", "/networks/{id}", "networks.remove"),
    ("POST", "/networks/{id}/connect", "networks.connect"),
    ("POST", "/networks/{id}/disconnect", "networks.disconnect"),
    ("GET", "/swarm", "swarm.inspect"),
    ("POST", "/swarm/init", "swarm.init"),
    ("POST", "/swarm/join", "swarm.join"),
    ("POST", "/swarm/leave", "swarm.leave"),
    ("POST", "/swarm/update", "swarm.update"),
    ("GET", "/swarm/unlockkey", "swarm.unlock_key"),
    ("POST", "/swarm/unlock", "swarm.unlock"),
    ("GET", "/nodes", "nodes.list_all"),
    ("GET", "/nodes/{id}", "nodes.inspect"),
    ("POST", "/nodes/{id}/update", "nodes.update"),
    ("DELETE", "/nodes/{id}", "nodes.remove"),
    ("GET", "/{kind}s", "objects.list_all"),
    ("POST", "/{kind}s/create", "objects.create"),
    ("GET", "/{kind}s/{id}", "objects.inspect"),
    ("POST", "/{kind}s/{id}/update", "objects.update"),
    ("DELETE", "/{kind}s/{id}", "objects.remove"),
    ("GET", "/services", "services.list_all"),
    ("POST", "/services/create", "services.create"),
    ("GET", "/services/{id}", "services.inspect"),
    ("POST", "/services/{id}/update", "services.update"),
    ("DELETE", "/services/{id}", "services.remove"),
    ("GET", "/services/{id}/logs", "streams.service_logs"),
    ("GET", "/tasks", "services.list_tasks"),
    ("GET", "/tasks/{id}", "services.inspect_task"),
    ("GET", "/tasks/{id}/logs", "streams.service_logs"),
)

_VERSIONED = re.compile(r"/v([0-9]{1,3})\.([0-9]{1,3})(/.*)\Z", re.DOTALL)


class Route(NamedTuple):
    """One row, ready to be held against paths."""

    method: str
    pattern: re.Pattern[str]
    handler: str


class Target(NamedTuple):
    """A path without its version, and that; (0, 0) where none was given, which is the newest."""

    path: str
    version: tuple[int, int]


def _compiled(path: str) -> re.Pattern[str]:
    text = re.escape(path).replace(r"\{id\}", "([^/]+)").replace(r"\{name\}", "(.+)")
    text = text.replace(r"\{kind\}", "(secret|config)")
    return re.compile(text + r"\Z", re.DOTALL)


_ROUTES = tuple(Route(method, _compiled(path), handler) for method, path, handler in ROUTES)


def _number(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


NEWEST, OLDEST = _number(API_VERSION), _number(LEAST_API_VERSION)


def read_target(raw: str) -> Target:
    """The path of a request. Raises ApiError for a version that is not spoken, and for what is no text."""
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise ApiError(400, "invalid path: it is not UTF-8") from None
    if "\0" in path:
        raise ApiError(400, "invalid path: it has a NUL byte")
    found = _VERSIONED.match(path)
    if found is None:
        return Target(path, NEWEST)
    version = int(found[1]), int(found[2])
    text = f"{version[0]}.{version[1]}"
    if version > NEWEST:
        raise ApiError(400, f"client version {text} is too new. Maximum supported API version is {API_VERSION}")
    if version < OLDEST:
        raise ApiError(
            400,
            f"client version {text} is too old. Minimum supported API version is {LEAST_API_VERSION},"
            " please upgrade your client to a newer version",
        )
    return Target(found[3], version)


def find_handler(method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
    """Who answers, and the words that the path has for the pattern's. Raises ApiError."""
    for route in _ROUTES:
        found = route.pattern.match(path)
        if found is not None and route.method == method:
            module, _, function = route.handler.partition(".")
            # those that are asked for alone: a server is there sooner
            handler: Handler = getattr(import_module(f"sandbox.api.handlers.{module}"), function)
            return handler, found.groups()
    # Docker says so of a method too
    raise ApiError(404, "page not found")
