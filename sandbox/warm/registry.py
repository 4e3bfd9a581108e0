"""What a worker can be asked to do. A request names an operation of this table, and never a module or a function.

An operation is a function of values that returns a value and raises errors of ours (`values` has what a value is). It
prints nothing, and what it needs of its caller are its arguments; a descriptor comes as `Descriptor`. Where it gives an
iterator each item is told as progress, and the result is None. To offer one, add a line here.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


#: a shell's status for what SIGINT ended; that of a worker whose call was cancelled
INTERRUPTED_STATUS = 130


class Operation(NamedTuple):
    """Where an operation is found."""

    module: str
    function: str
    #: the keyword by which it takes a function to tell its progress to, one value at a time; "" where it has none
    reports: str = ""
    #: goes on for as long as a container or a person likes: not one of the few that may be on at once
    lasts: bool = False


_BUILDER = "sandbox.builder.operations"
_CONTAINER = "sandbox.container.operations"
_FILES = "sandbox.container.file_operations"
_LOOKING = "sandbox.container.looking"
_CHANGING = "sandbox.container.changing"
_NETWORK = "sandbox.network.operations"
_NETWORKING = "sandbox.container.networking"
_IMAGE = "sandbox.image.operations"
_SECRET = "sandbox.secret.operations"
_SYSTEM = "sandbox.system.operations"
_VOLUME = "sandbox.volume.operations"
_UPKEEP = "sandbox.upkeep.operations"
#: in the shape that the server of Docker's API calls them in
_API = "sandbox.api.worker_side"
_API_SERVICES = "sandbox.api.service_side"
#: in the shape that the Python API calls them in
_CLIENT = "sandbox.client.worker_side"
_CLIENT_SERVICES = "sandbox.client.service_side"

OPERATIONS: Mapping[str, Operation] = {
    "api.attach": Operation(_API, "attach_container"),
    "api.authenticate": Operation(_API, "authenticate"),
    "api.bring_image": Operation(_API_SERVICES, "bring_image", lasts=True),
    "api.brief": Operation(_API, "brief"),
    "api.build": Operation(_API, "build_image", reports="tell", lasts=True),
    "api.buildkit": Operation(_API, "build_for_buildkit", reports="tell", lasts=True),
    "api.commit": Operation(_API, "commit_container"),
    "api.create": Operation(_API, "create_container"),
    "api.create_exec": Operation(_API, "create_exec"),
    "api.create_network": Operation(_API, "create_network"),
    "api.create_object": Operation(_API_SERVICES, "create_object"),
    "api.create_service": Operation(_API_SERVICES, "create_service"),
    "api.create_volume": Operation(_API, "create_volume"),
    "api.distribution": Operation(_API, "distribution"),
    "api.exec_end": Operation(_API, "exec_end"),
    "api.images": Operation(_API, "image_summaries"),
    "api.import": Operation(_API, "import_image", reports="tell", lasts=True),
    "api.is_mounted": Operation(_API, "is_socket_mounted"),
    "api.load": Operation(_API, "load_images", reports="tell", lasts=True),
    "api.logs": Operation(_API, "write_logs", lasts=True),
    "api.networks": Operation(_API, "list_networks"),
    "api.node_id": Operation(_API_SERVICES, "node_id"),
    "api.nodes": Operation(_API_SERVICES, "nodes"),
    "api.objects": Operation(_API_SERVICES, "objects"),
    "api.past_events": Operation(_API, "past_events"),
    "api.pull": Operation(_API, "pull_image", reports="tell", lasts=True),
    "api.push": Operation(_API, "push_image", reports="tell", lasts=True),
    "api.remove_image": Operation(_API, "remove_image"),
    "api.remove_network": Operation(_API_SERVICES, "remove_network", lasts=True),
    "api.remove_session": Operation(_API, "remove_session"),
    "api.run_exec": Operation(_API, "run_exec", lasts=True),
    "api.roll_back_service": Operation(_API_SERVICES, "roll_back_service"),
    "api.service": Operation(_API_SERVICES, "service"),
    "api.service_has_terminal": Operation(_API_SERVICES, "service_has_terminal"),
    "api.service_logs": Operation(_API_SERVICES, "write_service_logs", lasts=True),
    "api.services": Operation(_API_SERVICES, "services"),
    "api.start": Operation(_API, "start_container"),
    "api.summaries": Operation(_API, "summaries"),
    "api.task": Operation(_API_SERVICES, "task"),
    "api.tasks": Operation(_API_SERVICES, "tasks"),
    "api.remove_service": Operation(_API_SERVICES, "remove_service"),
    "api.update_service": Operation(_API_SERVICES, "update_service"),
    "api.update_node": Operation(_API_SERVICES, "update_node"),
    "api.update_object": Operation(_API_SERVICES, "update_object"),
    "api.discard": Operation(_API, "discard_container"),
    "api.volumes": Operation(_API, "list_volumes"),
    "builder.prune": Operation(_BUILDER, "prune_cache"),
    "builder.usage": Operation(_BUILDER, "cache_usage"),
    "client.create_service": Operation(_CLIENT_SERVICES, "create_service"),
    "client.deploy_stack": Operation("sandbox.client.stack_side", "deploy_stack", lasts=True),
    "client.remove_stack": Operation(_CLIENT_SERVICES, "remove_stack", lasts=True),
    "client.scale_service": Operation(_CLIENT_SERVICES, "scale_service"),
    "client.service_logs": Operation(_CLIENT_SERVICES, "follow_logs", reports="tell", lasts=True),
    "client.stacks": Operation(_CLIENT_SERVICES, "stacks"),
    "client.update_service": Operation(_CLIENT_SERVICES, "update_service"),
    "compose.build": Operation("sandbox.compose.building", "build_service", reports="tell", lasts=True),
    "container.attach": Operation(_CLIENT, "attach_container", lasts=True),
    "container.commit": Operation("sandbox.commit.operations", "commit"),
    "container.changes": Operation(_FILES, "changes"),
    "container.add_ports": Operation(_CHANGING, "add_ports"),
    "container.create": Operation(_CLIENT, "create_container", reports="tell"),
    "container.documents": Operation(_CLIENT, "container_documents"),
    "container.execute": Operation(_CONTAINER, "execute", lasts=True),
    "container.export": Operation(_FILES, "export", lasts=True),
    "container.get_archive": Operation(_FILES, "get_archive", lasts=True),
    "container.inspect": Operation(_CONTAINER, "inspect"),
    "container.kill": Operation(_CONTAINER, "kill"),
    "container.logs": Operation(_CONTAINER, "logs", lasts=True),
    "container.pause": Operation(_CONTAINER, "pause"),
    "container.prune": Operation(_UPKEEP, "prune_containers"),
    "container.put_archive": Operation(_FILES, "put_archive", lasts=True),
    "container.remove": Operation(_CONTAINER, "remove"),
    "container.remove_link": Operation("sandbox.container.networking", "remove_link"),
    "container.remove_ports": Operation(_CHANGING, "remove_ports"),
    "container.rename": Operation(_CONTAINER, "rename"),
    "container.resize": Operation(_CHANGING, "resize"),
    "container.restart": Operation(_CONTAINER, "restart"),
    "container.start": Operation(_CONTAINER, "start"),
    "container.stats": Operation(_LOOKING, "stats", lasts=True),
    "container.stat_path": Operation(_FILES, "stat_path"),
    "container.stop": Operation(_CONTAINER, "stop"),
    "container.top": Operation(_LOOKING, "top"),
    "container.wait_healthy": Operation(_CONTAINER, "wait_healthy", lasts=True),
    "container.unpause": Operation(_CONTAINER, "unpause"),
    "container.update": Operation(_CHANGING, "update"),
    "container.wait": Operation(_CLIENT, "wait_container", lasts=True),
    "events": Operation(_CLIENT, "events", lasts=True),
    "image.build": Operation(_CLIENT, "build_image", reports="tell", lasts=True),
    "image.ids": Operation(_CLIENT, "image_ids"),
    "image.inspect": Operation(_IMAGE, "inspect"),
    "image.history": Operation(_CLIENT, "image_history"),
    "image.load": Operation(_CLIENT, "load_images"),
    "image.pull": Operation(_CLIENT, "pull_image", reports="tell"),
    "image.prune": Operation(_UPKEEP, "prune_images"),
    "image.push": Operation(_CLIENT, "push_image", reports="tell"),
    "image.remove": Operation(_CLIENT, "remove_image"),
    "image.save": Operation(_CLIENT, "save_images", lasts=True),
    "image.search": Operation(_CLIENT, "search_images"),
    "image.tag": Operation(_IMAGE, "tag"),
    "network.connect": Operation(_NETWORKING, "connect"),
    "network.create": Operation(_NETWORK, "create"),
    "network.disconnect": Operation(_NETWORKING, "disconnect"),
    "network.ids": Operation(_CLIENT, "network_ids"),
    "network.inspect": Operation(_NETWORK, "inspect"),
    "network.prune": Operation(_NETWORK, "prune"),
    "network.remove": Operation(_NETWORK, "remove"),
    "object.create": Operation(_SECRET, "create"),
    "object.ids": Operation(_CLIENT, "object_ids"),
    "object.inspect": Operation(_SECRET, "inspect"),
    "object.remove": Operation(_SECRET, "remove"),
    "service.do": Operation("sandbox.service.doing", "do", lasts=True),
    "service.settle_ports": Operation("sandbox.service.doing", "settle_ports"),
    "service.give_up": Operation("sandbox.service.doing", "give_up"),
    "system.usage": Operation(_UPKEEP, "usage_document"),
    "system.info": Operation(_SYSTEM, "info"),
    "system.try_machine": Operation(_SYSTEM, "try_machine"),
    "volume.create": Operation(_VOLUME, "create"),
    "volume.inspect": Operation(_VOLUME, "inspect"),
    "volume.names": Operation(_CLIENT, "volume_names"),
    "volume.prune": Operation(_VOLUME, "prune"),
    "volume.remove": Operation(_VOLUME, "remove"),
}

#: what the prepared process imports besides the modules of the operations: what these import as they go, and nothing
#: that a monitor, which is forked from a worker, must not carry for weeks
PRELOADED: tuple[str, ...] = (
    "sandbox.container.life.creation",
    "sandbox.container.life.driver_choice",
    "sandbox.container.life.image_lookup",
    "sandbox.container.life.publish",
    "sandbox.container.life.remove",
    "sandbox.container.life.start",
    "sandbox.container.life.stop",
    "sandbox.container.monitor.process",
    "sandbox.container.request.merging",
    "sandbox.container.session.exec_run",
    "sandbox.container.view.inspect",
    "sandbox.container.view.log_following",
    "sandbox.image.store",
    "sandbox.state",
    "sandbox.volume.volumes",
)
