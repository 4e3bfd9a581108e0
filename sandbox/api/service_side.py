"""Operations of a worker in the shape that the server calls them in: what a swarm has. Results are documents."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.api.log_frames import LogForm
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext
    from sandbox.secret.operations import ObjectRequest
    from sandbox.secret.record import Kind
    from sandbox.swarm_of_one import NodeSpec

    Document = dict[str, Any]

_NODE_FILTERS = ("id", "label", "membership", "name", "node.label", "role")


def node_id(context: OperationContext) -> str:
    """This machine's id as a node."""
    from sandbox.service.looking import node_of

    return node_of(context).id


def nodes(context: OperationContext, filters: tuple[str, ...]) -> list[Document]:
    """This machine's document as a node, where it passes the filters. Raises FilterError."""
    from sandbox.grammar.filters import parse_filters
    from sandbox.service.looking import node_of
    from sandbox.state import open_state
    from sandbox.swarm_of_one import node_spec

    wanted = parse_filters(filters, _NODE_FILTERS)
    node = node_of(context)
    passes = (
        wanted.match("id", node.id.startswith)
        and wanted.match("name", node.hostname.startswith)
        and wanted.match_exact("role", "manager")
        and wanted.match_exact("membership", "accepted")
        and wanted.match_labels(node.labels, "node.label")
        and wanted.match_labels({})
    )
    if not passes:
        return []
    with open_state(context.paths, durable=False) as connection:
        return [_node_document(node.id, node.hostname, node_spec(connection))]


def update_node(context: OperationContext, version: int, name: str, labels: dict[str, str]) -> bool:
    """Have this machine's node be called so, and have these labels; False where it is not of that version any more."""
    import time

    from sandbox.humane import rfc3339
    from sandbox.state import open_state
    from sandbox.swarm_of_one import NodeSpec, keep_node_spec, node_spec
    from sandbox.transactions import transaction

    with open_state(context.paths) as connection, transaction(connection):
        if node_spec(connection).version != version:
            return False
        keep_node_spec(connection, NodeSpec(labels, name, version + 1, rfc3339(time.time_ns())))
    return True


def _node_document(node_id: str, hostname: str, spec: NodeSpec) -> Document:
    import os

    from sandbox.swarm_of_one import BEGAN
    from sandbox.version import __version__

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "ID": node_id,
        "Version": {"Index": spec.version},
        "CreatedAt": BEGAN,
        "UpdatedAt": spec.updated,
        "Spec": {
            **({"Name": spec.name} if spec.name else {}),
            "Labels": dict(spec.labels),
            "Role": "manager",
            "Availability": "active",
        },
        "Description": {
            "Hostname": hostname,
            "Platform": {"Architecture": os.uname().machine, "OS": "linux"},
            "Resources": {"NanoCPUs": len(os.sched_getaffinity(0)) * 10**9, "MemoryBytes": memory},
            "Engine": {"EngineVersion": __version__},
            "TLSInfo": {},
        },
        "Status": {"State": "ready", "Addr": "127.0.0.1"},
        "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "127.0.0.1:2377"},
    }


def objects(context: OperationContext, kind: Kind, filters: tuple[str, ...]) -> list[Document]:
    """Docker's documents of the secrets or configs that pass the filters."""
    from sandbox.secret.document import describe_object
    from sandbox.secret.operations import list_all

    return [describe_object(context.paths, kind, found) for found in list_all(context, kind, filters)]


def create_object(context: OperationContext, kind: Kind, request: ObjectRequest, session: str) -> str:
    """Keep a secret or a config; its id."""
    from sandbox.api.session import recorded_in
    from sandbox.secret.operations import create

    with recorded_in(session):
        return create(context, kind, request)


def update_object(
    context: OperationContext,
    kind: Kind,
    word: str,
    version: int,
    name: str,
    data: bytes | None,
    labels: tuple[tuple[str, str], ...],
) -> tuple[int, str] | None:
    """Give it other labels. The status and the words of a refusal: of another name or content, and of a change of what
    has changed since.
    """
    from sandbox.secret.operations import find, same_content, update

    found = find(context, kind, word)
    if found.version != version:
        return 500, "rpc error: code = Unknown desc = update out of sequence"
    if name != found.name or (data is not None and not same_content(context, kind, found.id, data)):
        return 400, "rpc error: code = InvalidArgument desc = only updates to Labels are allowed"
    update(context, kind, found.id, dict(labels))
    return None


def services(context: OperationContext, filters: tuple[str, ...], *, status: bool) -> list[Document]:
    """Docker's documents of the services that pass the filters, with `status` how many tasks of each run."""
    from sandbox.service.documents import service_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import list_all

    names = known_names(context)
    found = []
    for count in list_all(context, filters):
        document = service_document(count.service, names)
        if status:
            document["ServiceStatus"] = {
                "RunningTasks": count.running, "DesiredTasks": count.desired, "CompletedTasks": count.completed,
            }  # fmt: skip
        found.append(document)
    return found


def service(context: OperationContext, word: str, *, defaults: bool) -> Document:
    """Docker's document of a service; with `defaults` what nobody said is said. Raises NotFoundError."""
    from sandbox.service.documents import service_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import inspect

    return service_document(inspect(context, word), known_names(context), defaults=defaults)


def bring_image(context: OperationContext, image: str) -> None:
    """Pull an image that is not here, while the client's credentials are known: they are kept nowhere."""
    from sandbox.image.operations import bring

    bring(context, image)


def create_service(context: OperationContext, body: Document, session: str) -> str:
    """Make the service that Docker's document asks for; its id. Raises ApiError."""
    from sandbox.api.service_changes import create

    return create(context, body, session)


def update_service(context: OperationContext, word: str, version: int, body: Document) -> None:
    """Have it be what Docker's document asks for. Raises ApiError, NotFoundError."""
    from sandbox.api.service_changes import update

    update(context, word, version, body)


def roll_back_service(context: OperationContext, word: str, version: int) -> None:
    """Have it be what it was before its last update. Raises ApiError, NotFoundError."""
    from sandbox.api.service_changes import roll_back

    roll_back(context, word, version)


def service_has_terminal(context: OperationContext, word: str) -> bool:
    """Whether what the service's tasks write, or one task of that name, comes of a terminal. Raises NotFoundError."""
    from sandbox.errors import NotFoundError
    from sandbox.service.looking import inspect, inspect_task

    try:
        spec = inspect(context, word).spec
    except NotFoundError:
        row = inspect_task(context, word)
        spec = row.spec or row.service.spec
    return bool(spec.request.terminal)


def write_service_logs(
    context: OperationContext, word: str, selection: LogSelection, form: LogForm, output_fd: int
) -> None:
    """What its tasks wrote goes to a descriptor, in frames where they have no terminal. Raises NotFoundError."""
    from sandbox.api.service_logs import write_logs

    write_logs(context, word, selection, form, output_fd)


def remove_service(context: OperationContext, word: str) -> None:
    """Its tasks go after it. Raises NotFoundError."""
    from sandbox.service.operations import remove

    remove(context, word)


def tasks(context: OperationContext, filters: tuple[str, ...]) -> list[Document]:
    """Docker's documents of the tasks that pass the filters."""
    from sandbox.service.documents import task_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import tasks as list_tasks

    names = known_names(context)
    return [task_document(row.task, row.service, row.spec, names) for row in list_tasks(context, (), filters)]


def task(context: OperationContext, word: str) -> Document:
    """Docker's document of a task. Raises NotFoundError."""
    from sandbox.service.documents import task_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import inspect_task

    row = inspect_task(context, word)
    return task_document(row.task, row.service, row.spec, known_names(context))


def remove_network(context: OperationContext, word: str) -> None:
    """Remove a network; where containers on it are of services that were removed, when these have gone, as nobody
    waits for them who removes a stack. Raises NotFoundError, ConflictError.
    """
    from sandbox.network.operations import inspect, remove
    from sandbox.service.removed import wait_for_network

    network = inspect(context, word)
    if network["Containers"]:
        wait_for_network(context, str(network["Name"]))
    remove(context, str(network["Id"]))
