"""What only a cluster has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.call import Answer

if TYPE_CHECKING:
    from sandbox.api.call import Call

#: Docker's words, by which clients know that there is none
NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)


async def refuse(_call: Call) -> Answer:
    """This machine is in no cluster."""
    return Answer(503, {"message": NO_SWARM})


async def leave(_call: Call) -> Answer:
    """It is in none that it could leave."""
    return Answer(503, {"message": "This node is not part of a swarm"})
