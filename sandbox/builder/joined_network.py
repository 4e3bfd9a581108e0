"""`--network container:ID`: each RUN is in the network of a container that runs, and has its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.builder.request import JoinedNetwork
from sandbox.container.monitor.neighbours import find_network
from sandbox.errors import UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    from sandbox.paths import Paths

_PREFIX = "container:"
_NAMED = ("default", "bridge", "none", "host")


def check_network(text: str) -> str:
    """`--network` of a build, "bridge" as "default". Raises UsageError for what a build cannot be on."""
    if text not in _NAMED and (text == _PREFIX or not text.startswith(_PREFIX)):
        raise UsageError(
            f"network mode {text!r} is not supported by builds",
            cause="a build is no member of a network; it can share that of a container which is",
            mend=f"sandbox run -d --network {text} --name NAME IMAGE sleep infinity, and --network container:NAME",
            field="network",
        )
    return "default" if text == "bridge" else text


def find_joined(paths: Paths, network: str) -> JoinedNetwork | None:
    """Of the container that `network` names; None where it names none, or where that one is in the host's network.

    Raises NotFoundError; ConflictError where it does not run.
    """
    if not network.startswith(_PREFIX):
        return None
    with open_state(paths, durable=False) as connection:
        found = find_network(connection, paths, network)
    return JoinedNetwork(found.joined.network, found.network_files, found.hostname, is_host=found.is_host_network)
