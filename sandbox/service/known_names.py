"""What services call by one of its names, and documents by another: this machine, networks, secrets and configs."""

from __future__ import annotations

from sandbox.service.documents import KnownNames
from sandbox.service.published import all_published
from sandbox.service.vips import all_vips
from sandbox.state import open_state
from sandbox.swarm_of_one import node_id
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.operation_context import OperationContext


def known_names(context: OperationContext) -> KnownNames:
    """The names of all that there is now."""
    with open_state(context.paths, durable=False) as connection, transaction(connection):
        objects = {
            str(each): str(name)
            for kind in ("secret", "config")
            for each, name in connection.execute(f"SELECT id, name FROM {kind}").fetchall()
        }
        networks = {str(name): str(each) for name, each in connection.execute("SELECT name, id FROM network")}
        return KnownNames(node_id(connection), networks, objects, all_published(connection), all_vips(connection))
