"""Services and tasks for tests: small ones, of which a test says what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.request.request import ContainerRequest
from sandbox.service.record import Service
from sandbox.service.spec import ServiceSpec, template_of
from sandbox.service.task import Task

if TYPE_CHECKING:
    from typing import Any


def spec_named(name: str = "web", **fields: Any) -> ServiceSpec:
    """A spec of nothing but what is given; `image` is the request's."""
    image = fields.pop("image", "busybox")
    return ServiceSpec(name, ContainerRequest(image=image), **fields)


def service_of(spec: ServiceSpec, **fields: Any) -> Service:
    """A service that was just made."""
    made: dict[str, Any] = {"id": "s1", "name": spec.name, "stack": "", "version": 1, "spec_version": 1, "spec": spec,
            "created_ns": 1, "updated_ns": 1}  # fmt: skip
    return Service(**(made | fields))


def task_of(service: Service, task_id: str = "t1", **fields: Any) -> Task:
    """A task of the service as it is, in slot 1."""
    made: dict[str, Any] = {"service_id": service.id, "slot": 1, "spec_version": service.spec_version,
            "template": template_of(service.spec), "image": service.spec.request.image, "desired": "running",
            "state": "new", "created_ns": 1, "state_ns": 1}  # fmt: skip
    return Task(task_id, **(made | fields))
