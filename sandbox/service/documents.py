"""Services and tasks as the Engine's documents have them."""

from __future__ import annotations

from sandbox.humane import rfc3339
from sandbox.named_tuple import NamedTuple
from sandbox.service.jobs import desired_state
from sandbox.service.published import ports_in_force
from sandbox.service.task_documents import container_spec, grants, resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sandbox.service.record import Service
    from sandbox.service.spec import RestartRule, ServiceMode, ServicePort, ServiceSpec, UpdateConfig
    from sandbox.service.task import Task

_JOBS = {"replicated-job": "ReplicatedJob", "global-job": "GlobalJob"}
_STATES = {"paused", "completed", "rollback_paused", "rollback_completed"}


class KnownNames(NamedTuple):
    """What documents call things by, where a service has their other name."""

    node_id: str = ""
    #: name -> id
    networks: Mapping[str, str] = {}
    #: id -> name, of secrets and configs
    objects: Mapping[str, str] = {}
    #: a service's id -> the ports that it listens on, those that were chosen among them
    ports: Mapping[str, Sequence[ServicePort]] = {}
    #: a service's id -> its addresses with their prefixes, by the ids of its networks
    addresses: Mapping[str, Mapping[str, str]] = {}


def service_document(service: Service, names: KnownNames, *, defaults: bool = False) -> dict[str, Any]:
    """Docker's document of a service; with `defaults` what nobody said is said."""
    document: dict[str, Any] = {
        "ID": service.id,
        "Version": {"Index": service.version},
        "CreatedAt": rfc3339(service.created_ns),
        "UpdatedAt": rfc3339(service.updated_ns),
        "Spec": spec_document(service.spec, names, defaults=defaults),
    }
    if service.previous_spec is not None:
        document["PreviousSpec"] = spec_document(service.previous_spec, names, defaults=defaults)
    document["Endpoint"] = _endpoint(service, names)
    status = service.status
    if status is not None:
        document["UpdateStatus"] = {"State": status.state, "StartedAt": rfc3339(status.started_ns)}
        if status.completed_ns and status.state in _STATES:
            document["UpdateStatus"]["CompletedAt"] = rfc3339(status.completed_ns)
        document["UpdateStatus"]["Message"] = status.message
    if service.spec.mode.is_job:
        document["JobStatus"] = {"JobIteration": {"Index": service.spec_version}, "LastExecution": rfc3339(
            service.updated_ns)}  # fmt: skip
    return document


def spec_document(spec: ServiceSpec, names: KnownNames, *, defaults: bool = False) -> dict[str, Any]:
    """Docker's ServiceSpec."""
    update, rollback = (spec.update_rules, spec.rollback_rules) if defaults else (spec.update, spec.rollback)
    document: dict[str, Any] = {
        "Name": spec.name,
        "Labels": dict(spec.labels),
        "TaskTemplate": _task_template(spec, names, defaults=defaults),
        "Mode": _mode(spec.mode),
    }
    if not spec.mode.is_job or not defaults:
        if update is not None:
            document["UpdateConfig"] = _rules(update)
        if rollback is not None:
            document["RollbackConfig"] = _rules(rollback)
    document["EndpointSpec"] = {"Mode": spec.endpoint_mode}
    if spec.ports:
        document["EndpointSpec"]["Ports"] = [_port(port) for port in spec.ports]
    return document


def _task_template(spec: ServiceSpec, names: KnownNames, *, defaults: bool) -> dict[str, Any]:
    request, restart = spec.request, spec.restart_rules if defaults else spec.restart
    document: dict[str, Any] = {"ContainerSpec": container_spec(request, defaults=defaults)}
    for key, kind in (("Secrets", "Secret"), ("Configs", "Config")):
        given = request.secrets if kind == "Secret" else request.configs
        if given:
            document["ContainerSpec"][key] = grants(given, kind, names.objects)
    document["Resources"] = resources(request, spec.reserved_nano_cpus)
    if restart is not None:
        document["RestartPolicy"] = _restart(restart)
    document["Placement"] = _placement(spec)
    networks = [
        {
            "Target": names.networks.get(each.network, each.network),
            **({"Aliases": list(each.aliases)} if each.aliases else {}),
            **({"DriverOpts": dict(each.driver_options)} if each.driver_options else {}),
        }
        for each in request.endpoints
    ]
    networks += [{"Target": request.network_mode}] if request.network_mode else []
    if networks:
        document["Networks"] = networks
    if request.log is not None:
        document["LogDriver"] = {"Name": request.log.driver, "Options": dict(request.log.options)}
    return document | {"ForceUpdate": spec.force_update, "Runtime": "container"}


def _placement(spec: ServiceSpec) -> dict[str, Any]:
    document: dict[str, Any] = {"Constraints": list(spec.constraints)} if spec.constraints else {}
    if spec.preferences:
        document["Preferences"] = [{"Spread": {"SpreadDescriptor": over}} for over in spec.preferences]
    if spec.max_replicas_per_node:
        document["MaxReplicas"] = spec.max_replicas_per_node
    if spec.platforms:
        document["Platforms"] = [{"Architecture": machine, "OS": system} for machine, system in spec.platforms]
    return document


def _mode(mode: ServiceMode) -> dict[str, Any]:
    if mode.kind == "replicated":
        return {"Replicated": {"Replicas": mode.replicas}}
    if mode.kind == "replicated-job":
        at_once = mode.max_concurrent or mode.replicas
        return {"ReplicatedJob": {"MaxConcurrent": at_once, "TotalCompletions": mode.replicas}}
    return {_JOBS.get(mode.kind, "Global"): {}}


def _rules(rules: UpdateConfig) -> dict[str, Any]:
    document: dict[str, Any] = {"Parallelism": rules.parallelism}
    if rules.delay_ns:
        document["Delay"] = rules.delay_ns
    document["FailureAction"] = rules.failure_action
    if rules.monitor_ns:
        document["Monitor"] = rules.monitor_ns
    return document | {"MaxFailureRatio": rules.max_failure_ratio, "Order": rules.order}


def _restart(rule: RestartRule) -> dict[str, Any]:
    document = {"Condition": rule.condition, "Delay": rule.delay_ns, "MaxAttempts": rule.max_attempts}
    return document | ({} if rule.window_ns is None else {"Window": rule.window_ns})


def _port(port: ServicePort) -> dict[str, Any]:
    document: dict[str, Any] = {"Name": port.name} if port.name else {}
    document |= {"Protocol": port.protocol, "TargetPort": port.target}
    if port.published:
        document["PublishedPort"] = port.published
    return document | {"PublishMode": port.mode}


def _endpoint(service: Service, names: KnownNames) -> dict[str, Any]:
    spec = service.spec
    document: dict[str, Any] = {"Spec": {"Mode": spec.endpoint_mode}}
    if spec.ports:
        document["Spec"]["Ports"] = [_port(port) for port in spec.ports]
        document["Ports"] = [_port(port) for port in ports_in_force(spec, names.ports.get(service.id, ()))]
    if given := names.addresses.get(service.id):
        document["VirtualIPs"] = [{"NetworkID": network, "Addr": address} for network, address in given.items()]
    return document


def task_document(task: Task, service: Service, spec: ServiceSpec | None, names: KnownNames) -> dict[str, Any]:
    """Docker's document of a task; `spec` is the one it was made of, where that is known."""
    made_of = spec or service.spec
    container = {"ContainerID": task.container_id, "PID": task.pid, "ExitCode": task.exit_code}
    status: dict[str, Any] = {
        "Timestamp": rfc3339(task.state_ns), "State": task.state, "Message": task.message or task.state,
    }  # fmt: skip
    if task.error:
        status["Err"] = task.error
    if task.container_id:
        status["ContainerStatus"] = container
    ports = [_port(port) for port in made_of.ports if port.mode == "host"] if task.state == "running" else []
    status["PortStatus"] = {"Ports": ports} if ports else {}
    document: dict[str, Any] = {
        "ID": task.id,
        "Version": {"Index": service.version},
        "CreatedAt": rfc3339(task.created_ns),
        "UpdatedAt": rfc3339(task.state_ns),
        "Labels": {},
        "Spec": _task_template(made_of, names, defaults=False),
        "ServiceID": task.service_id,
    }
    # Docker counts the slots of a job from 0, which it leaves out, and its client looks for each of them
    slot = task.slot - 1 if made_of.mode.is_job else task.slot
    if slot and not made_of.mode.is_global:
        document["Slot"] = slot
    document |= {"NodeID": names.node_id, "Status": status, "DesiredState": desired_state(task, made_of)}
    if made_of.mode.is_job:
        document["JobIteration"] = {"Index": task.spec_version}
    return document
