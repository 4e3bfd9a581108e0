"""Links of the default network, Docker's oldest way from one container to another: a name that one container alone has
for another, and what it needs to know of it in its environment.

Kept as "CONTAINER:ALIAS" with the endpoint on that network. On any other network a link is a name alone. Values only.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sandbox.container.model.record import Container, ContainerConfig

_DEFAULT_NETWORK = "bridge"
#: variables that every container has of its own
_UNTOLD = frozenset({"HOME", "PATH"})


class Link(NamedTuple):
    """The container that is called, and what it is called."""

    container: str
    alias: str

    @property
    def text(self) -> str:
        """As it is kept."""
        return f"{self.container}:{self.alias}"


def read_link(text: str) -> Link:
    """The link that is kept as `text`."""
    container, _, alias = text.partition(":")
    return Link(container, alias)


def links_of(config: ContainerConfig) -> tuple[Link, ...]:
    """Those of the default network, in the order in which they were asked for."""
    return tuple(
        read_link(text)
        for endpoint in config.endpoints
        if endpoint.network == _DEFAULT_NETWORK
        for text in endpoint.links
    )


def with_links(config: ContainerConfig, change: Callable[[Link], Link | None]) -> ContainerConfig:
    """The configuration with what `change` makes of each of those; None takes one back."""
    endpoints = tuple(
        one._replace(links=changed_texts(one.links, change)) if one.network == _DEFAULT_NETWORK else one
        for one in config.endpoints
    )
    return config._replace(endpoints=endpoints)


def changed_texts(texts: Iterable[str], change: Callable[[Link], Link | None]) -> tuple[str, ...]:
    """What `change` makes of links as they are kept."""
    changed = (change(read_link(text)) for text in texts)
    return tuple(link.text for link in changed if link is not None)


def link_texts(container: Container) -> list[str]:
    """Docker's words of a container's links: "/db:/web/database"."""
    return [f"/{link.container}:/{container.name}/{link.alias}" for link in links_of(container.config)]


def names_by_links(containers: Iterable[Container]) -> dict[str, list[str]]:
    """What containers are called by others: "/web/database", by their own name."""
    found: dict[str, list[str]] = {}
    for container in containers:
        for link in links_of(container.config):
            found.setdefault(link.container, []).append(f"/{container.name}/{link.alias}")
    return found


def host_names(alias: str, child: Container) -> str:
    """The names at which a hosts file has one that is called `alias`: that, its host name, its own."""
    names = (alias, child.config.hostname or child.id[:12], child.name)
    return " ".join(dict.fromkeys(names))


def variables(parent: str, alias: str, child: ContainerConfig, address: str) -> Iterator[str]:
    """What the container `parent` is told of one that it calls `alias`."""
    name = alias.upper().replace("-", "_")
    given = {*child.exposed_ports, *(f"{port.container_port}/{port.protocol}" for port in child.published_ports)}
    ports = sorted((int(number), protocol or "tcp") for number, _, protocol in (port.partition("/") for port in given))
    # of one number, tcp goes first
    ports.sort(key=lambda port: (port[0], port[1] != "tcp"))
    if ports:
        number, protocol = ports[0]
        yield f"{name}_PORT={protocol}://{address}:{number}"
    for number, protocol in ports:
        head = f"{name}_PORT_{number}_{protocol.upper()}"
        yield f"{head}={protocol}://{address}:{number}"
        yield f"{head}_ADDR={address}"
        yield f"{head}_PORT={number}"
        yield f"{head}_PROTO={protocol}"
    yield f"{name}_NAME=/{parent}/{alias}"
    for entry in child.environment:
        key, equals, value = entry.partition("=")
        if equals and key not in _UNTOLD:
            yield f"{name}_ENV_{key}={value}"
