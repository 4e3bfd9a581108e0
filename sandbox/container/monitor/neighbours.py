"""The containers whose namespaces another one shares: `--network container:ID`, `--pid container:ID`, `--ipc …`."""

from __future__ import annotations

from sandbox.container.model.store import find_container
from sandbox.container.monitor.runtime_spec import JoinedPids, hostname_of
from sandbox.errors import ConflictError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths

_PREFIX = "container:"


class Neighbours(NamedTuple):
    """Containers whose namespaces are shared, as they are at this moment."""

    joined: JoinedPids = JoinedPids()
    #: where the files below /etc of the one that gives the network lie
    network_files: str = ""
    #: its names, which go with its network as in Docker
    hostname: str = ""
    domain_name: str = ""


def find_neighbours(connection: sqlite3.Connection, paths: Paths, config: ContainerConfig) -> Neighbours:
    """The running containers that `config` names. Raises NotFoundError; ConflictError where one does not run."""
    if not any(mode.startswith(_PREFIX) for mode in (config.network, config.pid_mode, config.ipc_mode)):
        return Neighbours()
    network = _running(connection, config.network)
    joined = JoinedPids(
        network.state.pid if network else 0,
        _pid(_running(connection, config.pid_mode)),
        _pid(_running(connection, config.ipc_mode)),
    )
    if network is None:
        return Neighbours(joined)
    return Neighbours(joined, paths.container_data(network.id), hostname_of(network), network.config.domain_name)


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
