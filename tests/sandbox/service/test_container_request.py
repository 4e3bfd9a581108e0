"""What is asked for a task's container: the service's request, with its name, its labels and the values of its own."""

from __future__ import annotations

from sandbox.container.request.request import ContainerRequest
from sandbox.service.container_request import Node, container_request
from sandbox.service.spec import ServiceMode, ServicePort, ServiceSpec
from sandbox.values import EndpointRequest, MountRequest
from tests.sandbox.service.values import service_of, task_of

NODE = Node("node1", "here")


def _requested(spec: ServiceSpec) -> ContainerRequest:
    service = service_of(spec)
    return container_request(service, spec, task_of(service, "task1", slot=3), NODE)


def test_a_container_has_the_tasks_name_and_swarms_labels() -> None:
    request = ContainerRequest(
        image="busybox", labels=(("a", "b"),), endpoints=(EndpointRequest("front", aliases=("www",)),)
    )
    made = _requested(ServiceSpec("web", request, ports=(ServicePort(80, 8080), ServicePort(53, 53, "udp", "host"))))
    assert made.name == "web.3.task1"
    assert dict(made.labels) == {
        "a": "b",
        "com.docker.swarm.node.id": "node1",
        "com.docker.swarm.service.id": "s1",
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": "task1",
        "com.docker.swarm.task.name": "web.3.task1",
    }
    assert made.endpoints[0].aliases == ("web", "www")
    # the others are the service's own
    assert [(port.host_port, port.container_port, port.protocol) for port in made.published_ports] == [(53, 53, "udp")]
    assert _requested(ServiceSpec("web", request, mode=ServiceMode("global"))).name == "web.node1.task1"


def test_values_of_the_task_are_put_in() -> None:
    request = ContainerRequest(
        image="busybox",
        hostname="{{.Service.Name}}-{{ .Task.Slot }}",
        environment=("WHO={{.Task.Name}} at {{.Node.Hostname}}", "OWN={{.Values.x}} {{", "PLAIN=a"),
        mounts=(MountRequest("volume", "data-{{.Task.Slot}}", "/data"),),
        binds=("/srv/{{.Node.ID}}:/srv",),
    )
    made = _requested(ServiceSpec("web", request))
    assert made.hostname == "web-3"
    assert made.environment == ("WHO=web.3.task1 at here", "OWN={{.Values.x}} {{", "PLAIN=a")
    assert made.mounts[0].source == "data-3"
    assert made.binds == ("/srv/node1:/srv",)
