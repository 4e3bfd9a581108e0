"""What of a service cannot be: said before anything is made, as Docker's engine says it. Pure."""

from __future__ import annotations

from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.service.spec import RestartRule, ServiceSpec, UpdateConfig

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_-")
_NAME_LENGTH = 63
_LEAST_NANO_CPUS = 1_000_000
_LEAST_MEMORY = 4 << 20
#: what stands for a task while nobody knows which: texts with them in it are read all the same
_SAMPLE = {
    ".Service.ID": "serviceid", ".Service.Name": "servicename", ".Node.ID": "nodeid", ".Node.Hostname": "nodehostname",
    ".Task.ID": "taskid", ".Task.Name": "taskname", ".Task.Slot": "1",
}  # fmt: skip


def check_service_name(name: str) -> None:
    """Raise UsageError for what no service can be called."""
    if not name or name[0] not in _FIRST or name[-1] not in _FIRST or not _REST.issuperset(name):
        raise UsageError(
            f"invalid name: {name!r}: only [a-zA-Z0-9-_] are allowed, with a letter or digit at both ends",
            mend="--name web", field="name",
        )  # fmt: skip
    if len(name) > _NAME_LENGTH:
        raise UsageError("name must be 63 characters or fewer", field="name")


def check_spec(spec: ServiceSpec) -> None:
    """Raise UsageError, with the field that is at fault, where there is no such service."""
    check_service_name(spec.name)
    if not spec.request.image:
        raise UsageError("ContainerSpec: image reference must be provided", field="image")
    _check_mode(spec)
    for field, rules in (("update", spec.update), ("rollback", spec.rollback)):
        if rules is not None:
            _check_rules(rules, field)
    if spec.restart is not None:
        _check_restart(spec.restart)
    _check_ports(spec)


def check_containers(spec: ServiceSpec) -> None:
    """Raise UsageError, with the field of the request that is at fault, where no container could be made so, whatever
    its image: else each replica would be rejected for it.
    """
    from sandbox.container.request.image_defaults import ImageDefaults
    from sandbox.container.request.merging import HostFacts, merge
    from sandbox.service.placeholders import with_values

    request = spec.request
    _check_resources(request.nano_cpus or 0, request.memory_bytes or 0)
    _check_resources(spec.reserved_nano_cpus, request.memory_reservation_bytes or 0)
    # whose volumes those are is asked where a container is made
    merge(with_values(request, _SAMPLE)._replace(volumes_from=()), ImageDefaults(), HostFacts())


def _check_resources(nano_cpus: int, memory_bytes: int) -> None:
    if 0 < nano_cpus < _LEAST_NANO_CPUS:
        raise UsageError(
            f"invalid cpu value {nano_cpus / 1e9:g}: Must be at least {_LEAST_NANO_CPUS / 1e9:g}", field="nano_cpus"
        )
    if 0 < memory_bytes < _LEAST_MEMORY:
        raise UsageError(f"invalid memory value {memory_bytes}: Must be at least 4MiB", field="memory_bytes")


def _check_mode(spec: ServiceSpec) -> None:
    mode = spec.mode
    if mode.kind not in ("replicated", "global", "replicated-job", "global-job"):
        raise UsageError(f"Unknown mode: {mode.kind}", mend="--mode replicated", field="mode")
    if mode.replicas < 0 or mode.max_concurrent < 0:
        raise UsageError("Number of replicas must be non-negative", mend="--replicas 1", field="mode.replicas")
    if mode.is_job and spec.update is not None:
        raise UsageError("update config is not supported for jobs", field="update")
    if mode.is_job and spec.rollback is not None:
        raise UsageError("rollback config is not supported for jobs", field="rollback")
    most = spec.max_replicas_per_node
    if most and mode.slots > most:
        raise UsageError(
            f"{mode.slots} replicas cannot run with at most {most} on a node",
            cause="there is this machine alone", mend=f"--replicas {most}", field="max_replicas_per_node",
        )  # fmt: skip
    if spec.endpoint_mode not in ("vip", "dnsrr"):
        raise UsageError(f"unknown endpoint mode: {spec.endpoint_mode}", field="endpoint_mode")


def _check_rules(rules: UpdateConfig, field: str) -> None:
    if rules.failure_action not in ("pause", "continue", "rollback"):
        raise UsageError(f"unrecognized update failure action {rules.failure_action}", field=f"{field}.failure_action")
    if rules.order not in ("stop-first", "start-first"):
        raise UsageError(f"unrecognized update order {rules.order}", field=f"{field}.order")
    if rules.parallelism < 0:
        raise UsageError(f"invalid parallelism: {rules.parallelism}", field=f"{field}.parallelism")
    if rules.delay_ns < 0:
        raise UsageError("TaskSpec: update-delay cannot be negative", field=f"{field}.delay")
    if rules.monitor_ns < 0:
        raise UsageError("TaskSpec: update-monitor cannot be negative", field=f"{field}.monitor")
    if not 0 <= rules.max_failure_ratio <= 1:
        raise UsageError(
            "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
            field=f"{field}.max_failure_ratio",
        )


def _check_restart(rule: RestartRule) -> None:
    if rule.condition not in ("any", "on-failure", "none"):
        raise UsageError(f'invalid RestartCondition: "{rule.condition}"', field="restart.condition")
    if rule.delay_ns < 0:
        raise UsageError("TaskSpec: restart-delay cannot be negative", field="restart.delay")
    if (rule.window_ns or 0) < 0:
        raise UsageError("TaskSpec: restart-window cannot be negative", field="restart.window")
    if rule.max_attempts < 0:
        raise UsageError("TaskSpec: restart-max-attempts cannot be negative", field="restart.max_attempts")


def _check_ports(spec: ServiceSpec) -> None:
    seen: set[tuple[int, str, str]] = set()
    for position, port in enumerate(spec.ports):
        field = f"ports[{position}]"
        if port.mode not in ("ingress", "host"):
            raise UsageError(f"invalid publish mode {port.mode}", field=field)
        if port.mode == "ingress" and spec.endpoint_mode == "dnsrr":
            raise UsageError(
                "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
                mend="--publish mode=host,…, or --endpoint-mode vip", field=field,
            )  # fmt: skip
        key = (port.published, port.protocol, port.host_ip)
        if port.published and key in seen:
            raise UsageError("EndpointSpec: duplicate published ports provided", field=field)
        seen.add(key)
