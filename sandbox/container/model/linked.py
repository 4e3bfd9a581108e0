"""Links in the database: whether those who are called run, what is told of them, and links taken back."""

from __future__ import annotations

import json

from sandbox.container.model.links import (
    Link,
    changed_texts,
    host_names,
    links_of,
    names_by_links,
    variables,
    with_links,
)
from sandbox.container.model.store import find_container, write_networks
from sandbox.errors import ConflictError, NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from sandbox.container.model.record import Container

_RUNNING = ("running", "paused")
_PLACE = "container_id = ? AND network_id = (SELECT id FROM network WHERE name = 'bridge')"


def linked_names(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """What containers are called by others, by their own name; few have links, and only those are read."""
    rows = connection.execute("""SELECT name FROM container WHERE instr(config, '"links":[')""").fetchall()
    return names_by_links(find_container(connection, name) for (name,) in rows)


def check_links(connection: sqlite3.Connection, container: Container) -> None:
    """Raise SandboxError where a container that is called by a link does not run, or is not on the default network."""
    for link, child in _children(connection, container):
        if child.state.status not in _RUNNING:
            raise SandboxError(
                f"Cannot link to a non running container: /{child.name} AS /{container.name}/{link.alias}",
                mend=f"sandbox start {child.name}",
            )
        if connection.execute(f"SELECT 1 FROM endpoint WHERE {_PLACE}", (child.id,)).fetchone() is None:
            raise SandboxError(
                f"Cannot link to /{child.name}, as it does not belong to the default network",
                mend=f"sandbox network connect bridge {child.name}",
            )


def with_link_variables(connection: sqlite3.Connection, container: Container) -> Container:
    """The container as its processes are started, with what it is told of those that it is linked to, as far as they
    run; what it was told itself wins.
    """
    config = container.config
    own = {entry.partition("=")[0] for entry in config.environment}
    told = (entry for entry in _environment(connection, container) if entry.partition("=")[0] not in own)
    return container._replace(config=config._replace(environment=(*told, *config.environment)))


def _environment(connection: sqlite3.Connection, container: Container) -> Iterator[str]:
    for link, child in _children(connection, container):
        place = connection.execute(f"SELECT address4 FROM endpoint WHERE {_PLACE}", (child.id,)).fetchone()
        if child.state.status in _RUNNING and place is not None:
            yield from variables(container.name, link.alias, child.config, place[0])


def link_host_lines(connection: sqlite3.Connection, container: Container) -> tuple[str, ...]:
    """The lines of a hosts file for those that the container is linked to, as far as they run."""
    query = f"SELECT address4, address6 FROM endpoint WHERE {_PLACE}"
    return tuple(
        f"{address}\t{host_names(link.alias, child)}\n"
        for link, child in _children(connection, container)
        if child.state.status in _RUNNING
        for address in connection.execute(query, (child.id,)).fetchone() or ()
        if address
    )


def parents_of(connection: sqlite3.Connection, name: str) -> tuple[Container, ...]:
    """The containers that call the one of that name by a link."""
    rows = connection.execute("SELECT name FROM container WHERE instr(config, ?)", (f'"{name}:',)).fetchall()
    containers = (find_container(connection, parent) for (parent,) in rows)
    return tuple(one for one in containers if any(link.container == name for link in links_of(one.config)))


def unlink(connection: sqlite3.Connection, word: str) -> Container:
    """Forget the link "web/database", within a transaction; the container that had it. Raises NotFoundError;
    ConflictError for a name that is no link's.
    """
    parent_word, _, alias = word.removeprefix("/").partition("/")
    if not alias:
        raise ConflictError("Conflict, cannot remove the default link name of the container", mend="sandbox rm")
    try:
        parent = find_container(connection, parent_word)
    except NotFoundError as error:
        raise NotFoundError(
            f"Cannot get parent /{parent_word} for link name /{parent_word}/{alias}", mend="sandbox ps -a"
        ) from error
    if all(link.alias != alias for link in links_of(parent.config)):
        raise NotFoundError(f"No such container: {word}", mend=f"sandbox inspect {parent.name}")
    _change(connection, parent, lambda link: None if link.alias == alias else link)
    return parent


def rename_linked(connection: sqlite3.Connection, former: str, name: str) -> None:
    """Have the links to a container that has another name now lead to it still, within a transaction."""
    for parent in parents_of(connection, former):
        _change(connection, parent, lambda link: link._replace(container=name) if link.container == former else link)


def _change(connection: sqlite3.Connection, container: Container, change: Callable[[Link], Link | None]) -> None:
    config = with_links(container.config, change)
    write_networks(connection, container.id, config.network, config.endpoints)
    # what the monitor of one that runs goes by
    row = connection.execute(f"SELECT links FROM endpoint WHERE {_PLACE}", (container.id,)).fetchone()
    if row is not None:
        links = json.dumps(changed_texts(json.loads(row[0]), change))
        connection.execute(f"UPDATE endpoint SET links = ? WHERE {_PLACE}", (links, container.id))


def _children(connection: sqlite3.Connection, container: Container) -> Iterator[tuple[Link, Container]]:
    for link in links_of(container.config):
        try:
            yield link, find_container(connection, link.container)
        except NotFoundError:
            # it was removed, and the link with it
            continue
