"""The containers whose namespaces another one shares: `--network container:ID`, `--pid container:ID`, `--ipc …`."""

from __future__ import annotations

import os

from sandbox.container.model.hostname import hostname_of
from sandbox.container.model.store import find_container
from sandbox.container.monitor.runtime_spec import JoinedPids
from sandbox.errors import ConflictError, SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths

_PREFIX = "container:"
#: a container may be renamed so that a circle comes of it
_MOST_STEPS = 16


class Neighbours(NamedTuple):
    """Containers whose namespaces are shared, as they are at this moment."""

    joined: JoinedPids = JoinedPids()
    #: where the files below /etc of the one that gives the network lie
    network_files: str = ""
    #: its names, which go with its network as in Docker
    hostname: str = ""
    domain_name: str = ""
    #: that network is the host's, which everybody is in who joins none
    is_host_network: bool = False


def find_neighbours(connection: sqlite3.Connection, paths: Paths, config: ContainerConfig) -> Neighbours:
    """The running containers that `config` names. Raises NotFoundError; ConflictError where one does not run."""
    if not any(mode.startswith(_PREFIX) for mode in (config.network, config.pid_mode, config.ipc_mode)):
        return Neighbours()
    found = find_network(connection, paths, config.network)
    joined = found.joined._replace(
        pid=_pid(_running(connection, config.pid_mode)), ipc=_pid(_running(connection, config.ipc_mode))
    )
    return found._replace(joined=joined)


def find_network(connection: sqlite3.Connection, paths: Paths, mode: str) -> Neighbours:
    """The running container whose network `mode` names. Raises NotFoundError; ConflictError where it does not run."""
    network = _running(connection, mode)
    if network is None:
        return Neighbours()
    owner = owner_of_names(connection, network)
    names = hostname_of(owner), owner.config.domain_name
    is_host = _is_in_host_network(network.state.pid)
    return Neighbours(JoinedPids(network.state.pid), paths.container_data(network.id), *names, is_host)


def owner_of_names(connection: sqlite3.Connection, container: Container) -> Container:
    """Whose names the container has: it may have its network, and so its names, from another one itself."""
    for _step in range(_MOST_STEPS):
        if not container.config.network.startswith(_PREFIX):
            break
        try:
            container = find_container(connection, container.config.network.removeprefix(_PREFIX))
        except SandboxError:
            break  # removed since
    return container


def _is_in_host_network(pid: int) -> bool:
    """Whether the process is in the network of this one: it may have come there by another container."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat("/proc/self/ns/net"))
    except OSError:
        return False


def outer_namespace_pid(neighbours: Neighbours) -> int:
    """A process in whose outer user namespace the container must be made, 0 where it may have its own."""
    return neighbours.joined.network or neighbours.joined.pid or neighbours.joined.ipc


def _running(connection: sqlite3.Connection, mode: str) -> Container | None:
    if not mode.startswith(_PREFIX):
        return None
    word = mode.removeprefix(_PREFIX)
    found = find_container(connection, word)
    if found.state.status not in ("running", "paused"):
        raise ConflictError(
            f"cannot join the namespace of container {word}: it is not running", mend=f"sandbox start {word}"
        )
    return found


def _pid(container: Container | None) -> int:
    return container.state.pid if container else 0
