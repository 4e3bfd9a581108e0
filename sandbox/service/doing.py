"""One act for one task, done by a worker: the container is acted on, then the task's row says so.

A worker may be killed between the two, or be the second to do it: each act first looks at what there is.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from sandbox.container import operations as containers
from sandbox.container.life.naming import Identity
from sandbox.container.model.store import find_container
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.random_ids import new_container_id
from sandbox.service import members, ports
from sandbox.service.acts import act_of
from sandbox.service.container_request import TASK_LABEL, Node, container_name, container_request, task_values
from sandbox.service.seeing import End, ended, rejected, seen
from sandbox.service.store import (
    delete_task,
    load_service,
    load_task,
    spec_of_task,
    tasks_of,
    update_task,
)
from sandbox.state import open_state
from sandbox.swarm_of_one import node_id
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.container.model.record import Container
    from sandbox.operation_context import OperationContext
    from sandbox.service.acts import Act
    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec
    from sandbox.service.task import Task


class _Work(NamedTuple):
    """What an act is about."""

    task: Task
    service: Service
    spec: ServiceSpec
    node: Node

    @property
    def container_name(self) -> str:
        return container_name(self.service, self.task, self.node)


def do(context: OperationContext, task_id: str, act: Act) -> None:
    """Do the act where the rows still ask for it. Raises SandboxError where it cannot be done now."""
    work = _work_of(context, task_id)
    if work is not None and act_of(work.task) == act:
        _ACTS[act](context, work)


def give_up(context: OperationContext, task_id: str, error: str) -> None:
    """The task's container cannot be brought about: the task is rejected, or failed where it has a container."""

    def failing(task: Task) -> Task:
        if task.is_over:
            return task
        now_ns = time.time_ns()
        return ended(task, End(error, task.exit_code), now_ns) if task.container_id else rejected(task, error, now_ns)

    _write(context, task_id, failing)


def settle_ports(context: OperationContext, service_id: str) -> None:
    """Have the service's ports and their members be what the rows say. Raises SandboxError."""
    with open_state(context.paths, durable=False) as connection:
        service = load_service(connection, service_id)
        tasks = tasks_of(connection, service_id) if service is not None else []
    if service is None or service.removing:
        ports.sweep(context.paths)
    else:
        ports.settle(context.paths, service, tasks)


def _work_of(context: OperationContext, task_id: str) -> _Work | None:
    with open_state(context.paths, durable=False) as connection:
        task = load_task(connection, task_id)
        service = load_service(connection, task.service_id) if task else None
        if task is None or service is None:
            return None
        spec = spec_of_task(connection, task) or service.spec
        return _Work(task, service, spec, Node(node_id(connection), os.uname().nodename))


def _write(context: OperationContext, task_id: str, change: Callable[[Task], Task]) -> None:
    """Write what becomes of the task as its row is now, which may be gone."""
    with open_state(context.paths, durable=False) as connection, transaction(connection):
        task = load_task(connection, task_id)
        if task is not None:
            update_task(connection, change(task))


def _find(context: OperationContext, work: _Work) -> Container | None:
    """The task's container: as its row says, or one that was made before the row could say so."""
    try:
        found = containers.look_up(context, work.task.container_id or work.container_name)
    except NotFoundError:
        return None
    return found if dict(found.config.labels).get(TASK_LABEL) == work.task.id else None


def _prepare(context: OperationContext, work: _Work) -> None:
    _write(context, work.task.id, lambda task: _at(task, "preparing", "preparing"))
    found = _find(context, work)
    if found is None:
        try:
            container_id = _create(context, work)
        except SandboxError as error:
            told = error.message
            _write(context, work.task.id, lambda task: rejected(task, told, time.time_ns()))
            return
    else:
        container_id = found.id
    _write(context, work.task.id, lambda task: _at(task._replace(container_id=container_id), "ready", "prepared"))


def _create(context: OperationContext, work: _Work) -> str:
    request = container_request(work.service, work.spec, work.task, work.node)
    if request.secrets or request.configs:
        from sandbox.service.payloads import with_payloads

        values = task_values(work.service, work.task, work.node)
        with open_state(context.paths, durable=False) as connection:
            request = with_payloads(connection, context.paths, request, values, dict(work.service.spec.labels))
    context = context._replace(env=_env_of_deployer(context.env, work.service))
    try:
        return containers.create(context, request, Identity(new_container_id(), work.container_name)).container.id
    except ConflictError:
        # by one who was killed, or is about to be
        found = _find(context, work)
        if found is None:
            raise
        return found.id


def _env_of_deployer(env: Mapping[str, str], service: Service) -> dict[str, str]:
    """Credentials are those of who deployed the service, and not of who happened to start the reconciler."""
    own = {name: value for name, value in env.items() if name != "DOCKER_CONFIG"}
    return own | {"DOCKER_CONFIG": service.docker_config} if service.docker_config else own


def _at(task: Task, state: str, message: str) -> Task:
    if task.is_over:
        return task
    return task._replace(state=state, message=message, state_ns=time.time_ns())  # type: ignore[arg-type]  # a TaskState


def _start(context: OperationContext, work: _Work) -> None:
    _write(context, work.task.id, lambda task: _at(task, "starting", "starting"))
    try:
        containers.start(context, work.task.container_id)
    except NotFoundError:
        return  # taken away: seen as such
    except SandboxError as error:
        told = f"starting container failed: {error.message}"
        code = _state_code(context, work)
        _write(context, work.task.id, lambda task: ended(task, End(told, code), time.time_ns()))
        return
    _see(context, work)


def _state_code(context: OperationContext, work: _Work) -> int:
    found = _find(context, work)
    return found.state.exit_code if found else 0


def _see(context: OperationContext, work: _Work) -> None:
    """Write down what the container is by now."""
    with open_state(context.paths, durable=False) as connection:
        try:
            state = find_container(connection, work.task.container_id).state
        except NotFoundError:
            state = None
        with transaction(connection):
            task = load_task(connection, work.task.id)
            if task is not None:
                update_task(connection, seen(task, state, time.time_ns()))


def _stop(context: OperationContext, work: _Work) -> None:
    found = _find(context, work)
    if found is not None and found.state.status == "created":
        # it never ran: nothing of it is history
        _discard(context, found)
        found = None
    if found is None:
        _write(context, work.task.id, lambda task: ended(task._replace(container_id=""), End("", 0), time.time_ns()))
        return
    _write(context, work.task.id, lambda task: task._replace(container_id=found.id, draining=True))
    # out of ports and names before its signal: who comes from now on goes elsewhere
    task = work.task._replace(container_id=found.id)
    with open_state(context.paths, durable=False) as connection:
        others = tasks_of(connection, work.service.id)
    members.drain(context.paths, work.service, task, others, work.spec.request.stop_timeout_seconds)
    containers.stop(context, found.id)
    _see(context, work._replace(task=task))


def _remove(context: OperationContext, work: _Work) -> None:
    found = _find(context, work)
    if found is not None:
        _discard(context, found)
    with open_state(context.paths, durable=False) as connection, transaction(connection):
        delete_task(connection, work.task)


def _discard(context: OperationContext, container: Container) -> None:
    with suppress(NotFoundError):
        containers.remove(context, container.id, force=True, volumes=True)


_ACTS: dict[Act, Callable[[OperationContext, _Work], None]] = {
    "prepare": _prepare,
    "start": _start,
    "stop": _stop,
    "remove": _remove,
}
