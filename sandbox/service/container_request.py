"""The request of a task's container: the service's own, with what Swarm adds to it. Pure."""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple
from sandbox.reconciler_calls import SERVICE_LABEL
from sandbox.service.placeholders import with_values
from sandbox.service.task import task_name
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.request.request import ContainerRequest
    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec
    from sandbox.service.task import Task

TASK_LABEL = "com.docker.swarm.task.id"


class Node(NamedTuple):
    """This machine, as tasks are told of it."""

    id: str
    hostname: str
    #: by which services may be kept to it
    labels: Mapping[str, str] = {}


def container_name(service: Service, task: Task, node: Node) -> str:
    """The name that the task and its container have."""
    return task_name(service.name, task, node.id if service.spec.mode.is_global else "")


def task_values(service: Service, task: Task, node: Node) -> dict[str, str]:
    """What the task's own names stand for in texts of its service, as ".Task.Slot"."""
    return {
        ".Service.ID": service.id, ".Service.Name": service.name, ".Node.ID": node.id, ".Node.Hostname": node.hostname,
        ".Node.Platform.Architecture": os.uname().machine, ".Node.Platform.OS": "linux", ".Task.ID": task.id,
        ".Task.Name": container_name(service, task, node),
        # a task of each node has no other number
        ".Task.Slot": node.id if service.spec.mode.is_global else str(task.slot),
    }  # fmt: skip


def container_request(service: Service, spec: ServiceSpec, task: Task, node: Node) -> ContainerRequest:
    """What is asked for the task."""
    name = container_name(service, task, node)
    labels = dict(spec.request.labels) | {
        "com.docker.swarm.node.id": node.id,
        SERVICE_LABEL: service.id,
        "com.docker.swarm.service.name": service.name,
        "com.docker.swarm.task": "",
        TASK_LABEL: task.id,
        "com.docker.swarm.task.name": name,
    }
    ports = tuple(
        PublishedPort(port.host_ip, port.published, port.target, port.protocol)
        for port in spec.ports
        if port.mode == "host"
    )
    # by its service's name each of them is found
    endpoints = tuple(
        each if service.name in each.aliases else each._replace(aliases=(service.name, *each.aliases))
        for each in spec.request.endpoints
    )
    return with_values(spec.request, task_values(service, task, node))._replace(
        name=name, labels=tuple(labels.items()), published_ports=ports, endpoints=endpoints, restart=None,
        auto_remove=None, id_file=None,
    )  # fmt: skip
