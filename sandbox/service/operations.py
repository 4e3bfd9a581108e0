"""What can be done with services, for whoever asks: a command, a program. Values in, values out, as with containers.

Each changes what is wanted, in one transaction, and calls the reconciler, which brings it about; nothing is waited for.
A `word` is a service's name, its id or a prefix of that. Looking at services is in `looking`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

from sandbox.errors import ConflictError, SandboxError, UsageError
from sandbox.events import emit
from sandbox.reconciler_calls import ensure_reconciler
from sandbox.service import ports
from sandbox.service.checks import check_containers, check_spec
from sandbox.service.events import change_event, service_event
from sandbox.service.record import Service, UpdateStatus
from sandbox.service.store import (
    delete_service,
    find_service,
    insert_service,
    new_id,
    refuse_taken_name,
    update_service,
)
from sandbox.state import open_state
from sandbox.swarm_of_one import node_id
from sandbox.transactions import transaction

#: the message where somebody else was quicker
OUT_OF_SEQUENCE = "update out of sequence"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.operation_context import OperationContext
    from sandbox.service.spec import ServiceSpec


def create(context: OperationContext, spec: ServiceSpec, stack: str = "") -> Service:
    """Make a service; its tasks follow. Raises ConflictError for a name that is taken, UsageError."""
    check_spec(spec)
    check_containers(spec)
    now_ns = time.time_ns()
    service = Service(new_id(), spec.name, stack, 1, 1, spec, now_ns, now_ns, docker_config=_docker_config(context))
    ports.check_modes(spec)
    with open_state(context.paths) as connection:
        ports.check_clash(connection, spec)
        refuse_taken_name(connection, spec.name)
    try:
        _make(context, service)
    except ConflictError:
        # a port of one that was removed just now, say, or that a killed process did not get to
        ports.sweep(context.paths)
        _make(context, service)
    ensure_reconciler(context.paths, context.env)
    return service


def _make(context: OperationContext, service: Service) -> None:
    """Have its ports, and then the service. Until then it is announced as one that is removed: so what was killed in
    between is taken away by whoever comes next.
    """
    with ports.giving_birth(context.paths) if ports.has_listener(service) else nullcontext():
        try:
            if ports.has_listener(service):
                with open_state(context.paths) as connection, transaction(connection):
                    insert_service(connection, service._replace(removing=True))
                ports.publish_first(context.paths, service)
            with open_state(context.paths) as connection, transaction(connection):
                node_id(connection)
                insert_service(connection, service)
                emit(connection, service_event("create", service))
        except SandboxError:
            _unmake(context, service)
            raise


def _unmake(context: OperationContext, service: Service) -> None:
    if ports.has_listener(service):
        ports.remove(context.paths, service)
        with open_state(context.paths, frees=True) as connection, transaction(connection):
            delete_service(connection, service.id)


def update(context: OperationContext, word: str, version: int, spec: ServiceSpec) -> Service:
    """Have the service be what `spec` says. Raises ConflictError where it is not of the version any more that the
    caller has read; UsageError for what cannot be changed; NotFoundError.
    """

    def change(service: Service) -> Service:
        _require_version(service, version)
        return _with_spec(service, spec)._replace(docker_config=_docker_config(context))

    return _change(context, word, change)


def scale(context: OperationContext, word: str, replicas: int) -> Service:
    """Have so many replicas, of a job so many completions. Raises UsageError for a service that has no number of
    them; NotFoundError.
    """

    def change(service: Service) -> Service:
        mode = service.spec.mode
        if mode.is_global:
            raise UsageError("scale can only be used with replicated or replicated-job mode")
        return _with_spec(service, service.spec._replace(mode=mode._replace(replicas=replicas)))

    return _change(context, word, change)


def rollback(context: OperationContext, word: str, version: int | None = None) -> Service:
    """Have the service be what it was before its last update, by its rules for rollbacks; done twice it is as it was.

    Raises ConflictError where it was nothing else before, or, with a version, is not of that any more; NotFoundError.
    """

    def change(service: Service) -> Service:
        if version is not None:
            _require_version(service, version)
        if service.previous_spec is None:
            raise ConflictError(
                f"service {service.name} does not have a previous specification to roll back to",
                mend=f"sandbox service inspect {service.name}",
            )
        changed = _with_spec(service, service.previous_spec)
        return changed._replace(
            status=UpdateStatus("rollback_started", "manually requested rollback", changed.updated_ns)
        )

    return _change(context, word, change)


def remove(context: OperationContext, word: str) -> Service:
    """Remove the service: it is gone at once, and its name free; its containers follow. Raises NotFoundError."""
    with open_state(context.paths, frees=True) as connection, transaction(connection):
        service = find_service(connection, word)
        removing = service._replace(removing=True, version=service.version + 1, run=None)
        update_service(connection, removing)
        emit(connection, service_event("remove", service))
    ensure_reconciler(context.paths, context.env)
    return removing


def _docker_config(context: OperationContext) -> str:
    return context.env.get("DOCKER_CONFIG", "")


def _require_version(service: Service, version: int) -> None:
    if service.version != version:
        raise ConflictError(
            OUT_OF_SEQUENCE,
            cause=f"service {service.name} is of version {service.version} by now, not {version}",
            mend=f"sandbox service inspect {service.name}",
        )


def _with_spec(service: Service, spec: ServiceSpec) -> Service:
    version = service.version + 1
    return service._replace(
        spec=spec, previous_spec=service.spec, version=version, spec_version=version, updated_ns=time.time_ns(),
        status=None, run=None,
    )  # fmt: skip


def _change(context: OperationContext, word: str, change: Callable[[Service], Service]) -> Service:
    while True:
        with open_state(context.paths) as connection:
            before = find_service(connection, word)
            after = change(before)
            check_spec(after.spec)
            if after.spec.request != before.spec.request:
                check_containers(after.spec)
            _refuse_other_kind(before.spec, after.spec)
            ports.check_modes(after.spec)
            ports.check_clash(connection, after.spec, after.id)
        if before.spec.ports != after.spec.ports:
            # who has one that is taken is told now, and nothing has changed
            ports.publish(context.paths, after)
        with open_state(context.paths) as connection, transaction(connection):
            # decisions of the reconciler meanwhile are no change of what is wanted
            present = find_service(connection, before.id)
            if present.version == before.version:
                after = change(present)
                update_service(connection, after)
                emit(connection, change_event(present, after))
                break
    ensure_reconciler(context.paths, context.env)
    return after


def _refuse_other_kind(before: ServiceSpec, after: ServiceSpec) -> None:
    if before.mode.kind != after.mode.kind:
        raise UsageError("service mode change is not allowed", field="mode")
    if before.name != after.name:
        raise UsageError("renaming services is not supported", field="name")
