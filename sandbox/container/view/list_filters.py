"""`ps --filter`: what each key asks of a container."""

from __future__ import annotations

from sandbox.errors import NotFoundError
from sandbox.grammar.filters import FilterError, Filters, parse_filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from sandbox.container.model.record import Container

    Test = Callable[[Container], bool]

_STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")


def read_filters(texts: Sequence[str]) -> Filters:
    """The filters given. Raises UsageError, and FilterError for a key there is not."""
    return parse_filters(texts, (*_MAKERS, "label"))


def filter_containers(
    connection: sqlite3.Connection, containers: Sequence[Container], filters: Filters
) -> list[Container]:
    """The containers that pass every filter, in the same order. Raises FilterError and NotFoundError."""
    tests: list[list[Test]] = [
        [make(connection, containers, value) for value in filters.of(key)]
        for key, make in _MAKERS.items()
        if filters.given(key)
    ]
    return [
        container
        for container in containers
        if filters.match_labels(dict(container.config.labels))
        and all(any(test(container) for test in alternatives) for alternatives in tests)
    ]


def _by_id(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    return lambda container: container.id.startswith(value)


def _by_name(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    import re

    try:
        # Docker matches names as regular expressions, with and without the slash it puts before them
        pattern = re.compile(value)
    except re.error as error:
        raise FilterError(f"invalid filter 'name={value}': {error}") from error
    return lambda container: bool(pattern.search(container.name) or pattern.search(f"/{container.name}"))


def _by_status(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    if value not in _STATES:
        raise FilterError(f"invalid filter 'status={value}'", mend=f"one of {', '.join(_STATES)}")
    return lambda container: container.state.status == value


def _by_exit_code(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise FilterError(f"invalid filter 'exited={value}'", mend="exited=0")
    # Docker: a container that never ran has not exited
    return lambda container: container.state.status == "exited" and container.state.exit_code == int(value)


def _by_health(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    if value not in _HEALTH:
        raise FilterError(f"invalid filter 'health={value}'", mend=f"one of {', '.join(_HEALTH)}")
    return lambda container: (container.state.health or "none") == value


def _by_ancestor(connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    from sandbox.image.store import find_image

    image = find_image(connection, value)
    if image is None:
        return lambda container: container.config.image == value
    layers = image.layers
    # an image made on top of this one has its layers first
    return lambda container: (
        container.config.image_id == image.id or (bool(layers) and container.config.layers[: len(layers)] == layers)
    )


def _reference(containers: Sequence[Container], value: str) -> Container:
    word = value.removeprefix("/")
    for container in containers:
        if container.name == word:
            return container
    for container in containers:
        if value and container.id.startswith(value):
            return container
    raise NotFoundError(f"No such container: {value}")


def _before(_connection: sqlite3.Connection, containers: Sequence[Container], value: str) -> Test:
    reference = _reference(containers, value)
    return lambda container: container.created_ns < reference.created_ns


def _since(_connection: sqlite3.Connection, containers: Sequence[Container], value: str) -> Test:
    reference = _reference(containers, value)
    return lambda container: container.created_ns > reference.created_ns


def _by_volume(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    return lambda container: any(value in (mount.source, mount.target) for mount in container.config.mounts)


def _by_network(connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    from sandbox.network.requested import network_names

    # Docker takes the whole id too
    row = connection.execute("SELECT name FROM network WHERE id = ?", (value,)).fetchone()
    wanted = {value, row[0]} if row else {value, "bridge" if value == "default" else value}
    return lambda container: not wanted.isdisjoint(network_names(container.config))


def _ports_of(value: str) -> Callable[[str, str], bool]:
    from net.errors import NetError
    from net.port_texts import split_protocol
    from net.ports import parse_port_range

    port_text, wanted = split_protocol(value)
    try:
        ports = parse_port_range(port_text)
    except NetError as error:
        raise FilterError(f"invalid filter: {value}: {error.message}") from error
    return lambda port, protocol: port.isdecimal() and ports.first <= int(port) <= ports.last and protocol == wanted


def _by_published(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    fits = _ports_of(value)
    # Docker looks at the host's port, and its manual speaks of the container's
    return lambda container: (
        any(fits(str(port.container_port), port.protocol) for port in container.config.published_ports)
        or any(fits(str(port.host_port), port.protocol) for port in container.state.published_ports)
    )


def _by_exposed(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    fits = _ports_of(value)
    return lambda container: any(
        fits(port, protocol or "tcp")
        for port, _slash, protocol in (text.partition("/") for text in container.config.exposed_ports)
    )


def _never_tasks(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    # tasks are Swarm's, which is not here
    return lambda _container: value.lower() in ("false", "0")


def _default_isolation(_connection: sqlite3.Connection, _all: Sequence[Container], value: str) -> Test:
    return lambda _container: value in ("", "default")


_MAKERS: dict[str, Callable[[sqlite3.Connection, Sequence[Container], str], Test]] = {
    "id": _by_id,
    "name": _by_name,
    "exited": _by_exit_code,
    "status": _by_status,
    "ancestor": _by_ancestor,
    "before": _before,
    "since": _since,
    "volume": _by_volume,
    "network": _by_network,
    "publish": _by_published,
    "expose": _by_exposed,
    "health": _by_health,
    "is-task": _never_tasks,
    "isolation": _default_isolation,
}
