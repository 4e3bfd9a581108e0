"""`--network container:ID`, and `--network NAME` of a network: each RUN is in the network of a container that runs, and
has its names. For a network of one's own that container is made for the length of the build, by who asks for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.builder.request import JoinedNetwork
from sandbox.container.monitor.neighbours import find_network
from sandbox.state import open_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.builder.request import BuildPlan
    from sandbox.paths import Paths

_PREFIX = "container:"
_NAMED = ("default", "none", "host")


@contextmanager
def joined_network(paths: Paths, plan: BuildPlan) -> Iterator[JoinedNetwork | None]:
    """The network that the plan's steps are in, for the length of the block; None where they have one of their own,
    and where there is no image of which a container could be on it.

    Raises NotFoundError; ConflictError for a container that does not run.
    """
    network = plan.network
    if network in _NAMED:
        yield None
    elif network.startswith(_PREFIX):
        yield _find(paths, network)
    else:
        images = [key.partition("\0")[0] for key in plan.images]
        if plan.hold is None or not images:
            # a step that runs something says so
            yield None
            return
        with plan.hold(network, images[0]) as container_id:
            yield _find(paths, _PREFIX + container_id)


def _find(paths: Paths, mode: str) -> JoinedNetwork:
    with open_state(paths, durable=False) as connection:
        found = find_network(connection, paths, mode)
    return JoinedNetwork(found.joined.network, found.network_files, found.hostname, is_host=found.is_host_network)
