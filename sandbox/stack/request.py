"""From a service to the request for one of its containers: Compose's names, labels and meanings, and nothing asked of
the machine.
"""

from __future__ import annotations

from sandbox.container.request.request import ContainerRequest
from sandbox.grammar.restart import parse_restart
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import config_hash, image_of
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.request_grants import granted
from sandbox.stack.request_mounts import binds_of, mounts_of, tmpfs_of
from sandbox.stack.request_names import container_name, shared_namespace
from sandbox.stack.request_networks import endpoints_of, network_mode_of, ports_of
from sandbox.values import Device, HealthCheck, LogConfig, RestartPolicy, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Service
    from sandbox.stack.project import Project

_S = 1_000_000_000
#: of the label that says by which Compose a container was made; programs that read labels know the second version
COMPOSE_VERSION = "2.40.3"
_PULLED = {"always": "always", "missing": "missing", "never": "never", "build": "missing"}
#: what a request has no field for: who brings a project up does it beside the container, or says that it is left out
NOT_CARRIED: dict[str, str] = {
    "services.*.build": "the image is built first; its name is the request's",
    "services.*.develop": "watching is beside the container",
    "services.*.attach": "whose output is shown is beside the container",
    "services.*.depends_on": "the order of starts; the label com.docker.compose.depends_on keeps it",
    "services.*.post_start": "run in the container once it runs (`compose/hooks.py`)",
    "services.*.pre_start": "run in a container of its own before (`compose/hooks.py`)",
    "services.*.pre_stop": "run in the container before it is stopped (`compose/hooks.py`)",
    "services.*.pull_policy": "daily, weekly and every_… compare the image's age first (`compose/refreshing.py`)",
    "services.*.deploy": "all but resources and restart_policy is of services",
}


class Instance(NamedTuple):
    """Which container of a service: its number from 1; `image_id` is known once the image is here."""

    number: int = 1
    image_id: str = ""
    #: of `compose run`: the name it gets in place of a number
    one_off_name: str = ""


def request_of(name: str, project: Project, instance: Instance = Instance()) -> ContainerRequest:  # noqa: B008
    """The request for a container of the service `name`. Raises ComposeFileError for a value that none can have."""
    service = project.services.value(name)
    assert service is not None
    own_name = instance.one_off_name or container_name(project, name, service, instance.number)
    mode = network_mode_of(project, service)
    request = ContainerRequest(
        image=image_of(project, name, service),
        name=own_name,
        platform=service.platform or None,
        pull_policy=_PULLED.get(service.pull_policy),
        command=service.command,
        entrypoint=service.entrypoint,
        environment=tuple(key if value is None else f"{key}={value}" for key, value in service.environment),
        working_directory=service.working_dir or None,
        user=service.user or None,
        group_add=service.group_add,
        hostname=service.hostname or None,
        domain_name=service.domainname or None,
        labels=labels_of(name, project, service, instance),
        annotations=tuple(service.annotations),
        terminal=service.tty or None,
        open_stdin=service.stdin_open or None,
        attached=("stdout", "stderr"),
        init=service.init,
        stop_signal=service.stop_signal or None,
        stop_timeout_seconds=_seconds(service.stop_grace_period),
        health=_health(name, project, service),
        restart=_restart(name, project, service),
        log=_log(service),
        published_ports=ports_of(name, project, service),
        exposed_ports=_exposed(name, project, service),
        network_mode=mode,
        endpoints=endpoints_of(name, project, service, own_name),
        best_effort=project.best_effort or None,
    )
    request = request._replace(
        secrets=tuple(granted(project, name, service, "secrets")),
        configs=tuple(granted(project, name, service, "configs")),
    )
    return _with_isolation(_with_limits(request, service), project, service)


def labels_of(name: str, project: Project, service: Service, instance: Instance) -> tuple[tuple[str, str], ...]:
    """The labels of a container: its own, and those by which Compose and others find it."""
    prefix = "com.docker.compose."
    depends_on = ",".join(
        f"{other}:{each.condition}:{'true' if each.restart else 'false'}" for other, each in service.depends_on
    )
    ours = {
        f"{prefix}config-hash": config_hash(service),
        f"{prefix}container-number": str(instance.number),
        f"{prefix}depends_on": depends_on,
        f"{prefix}image": instance.image_id,
        f"{prefix}oneoff": "True" if instance.one_off_name else "False",
        f"{prefix}project": project.name,
        f"{prefix}project.environment_file": ",".join(project.env_files),
        f"{prefix}project.config_files": ",".join(project.files),
        f"{prefix}project.working_dir": project.working_directory,
        f"{prefix}service": name,
        f"{prefix}version": COMPOSE_VERSION,
    }
    # what is not known is no label
    return tuple(sorted({**dict(service.labels), **{key: value for key, value in ours.items() if value}}.items()))


def _seconds(span_ns: int | None) -> int | None:
    """Whole seconds of a span in nanoseconds, more rather than less."""
    return None if span_ns is None else -(-span_ns // _S)


def _health(name: str, project: Project, service: Service) -> HealthCheck | None:
    check = service.healthcheck
    if check is None:
        return None
    if check.disable:
        return HealthCheck(("NONE",))
    if check.start_interval and not check.start_period:
        path = f"services.{name}.healthcheck.start_interval"
        what = "healthcheck.start_interval requires healthcheck.start_period to be set"
        raise problem(place_of(project.places, path), path, what)
    return HealthCheck(
        check.test,
        int(check.interval or 0),
        int(check.timeout or 0),
        int(check.start_period or 0),
        int(check.start_interval or 0),
        check.retries or 0,
    )


def _restart(name: str, project: Project, service: Service) -> RestartPolicy | None:
    if service.restart:
        from sandbox.errors import UsageError

        try:
            return parse_restart(service.restart)
        except UsageError as error:
            path = f"services.{name}.restart"
            raise problem(place_of(project.places, path), path, error.message) from error
    policy = service.deploy.restart_policy if service.deploy is not None else None
    if policy is None:
        return None
    if policy.condition == "on-failure":
        return RestartPolicy("on-failure", policy.max_attempts or 0)
    return RestartPolicy("no" if policy.condition == "none" else "always")


def _log(service: Service) -> LogConfig | None:
    if service.logging is None:
        return None
    return LogConfig(service.logging.driver or "json-file", tuple(service.logging.options))


def _exposed(name: str, project: Project, service: Service) -> tuple[str, ...]:
    from sandbox.errors import UsageError
    from sandbox.grammar.ports import parse_exposed

    found: list[str] = []
    for number, each in enumerate(service.expose):
        try:
            found += parse_exposed(each)
        except UsageError as error:
            path = f"services.{name}.expose[{number}]"
            raise problem(place_of(project.places, path), path, error.message) from error
    return tuple(found)


def _with_limits(request: ContainerRequest, service: Service) -> ContainerRequest:
    resources = service.deploy.resources if service.deploy is not None else None
    limits = resources.limits if resources is not None else None
    reserved = resources.reservations if resources is not None else None
    cpus = service.cpus or (limits.cpus if limits is not None else 0)
    return request._replace(
        memory_bytes=int(service.mem_limit or (limits.memory if limits is not None else 0)) or None,
        memory_swap_bytes=int(service.memswap_limit) or None,
        memory_reservation_bytes=int(service.mem_reservation or (reserved.memory if reserved is not None else 0))
        or None,
        nano_cpus=round(cpus * _S) or None,
        cpu_period_us=service.cpu_period or None,
        cpu_quota_us=service.cpu_quota or None,
        cpu_shares=service.cpu_shares or None,
        cpuset_cpus=service.cpuset or None,
        pids_limit=service.pids_limit or (limits.pids if limits is not None else 0) or None,
        rlimits=tuple(_rlimits(service)),
        shm_size_bytes=int(service.shm_size) or None,
        oom_score_adjust=service.oom_score_adj or None,
    )


def _rlimits(service: Service) -> Iterator[Rlimit]:
    for name, limit in service.ulimits:
        yield Rlimit(name, limit.single or limit.soft, limit.single or limit.hard)


def _with_isolation(request: ContainerRequest, project: Project, service: Service) -> ContainerRequest:
    return request._replace(
        dns=service.dns,
        dns_search=service.dns_search,
        dns_options=service.dns_opt,
        extra_hosts=tuple(each.replace("=", ":", 1) for each in service.extra_hosts),
        binds=tuple(binds_of(project, service)),
        mounts=tuple(mounts_of(project, service)),
        tmpfs=tuple(tmpfs_of(service)),
        volumes_from=tuple(_volumes_from(project, service)),
        read_only=service.read_only or None,
        storage_options=tuple(service.storage_opt),
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        privileged=service.privileged or None,
        security_options=service.security_opt,
        devices=tuple(Device(each.source, each.target or each.source, each.permissions or "rwm")
                      for each in service.devices if not isinstance(each, str)),
        sysctls=tuple(service.sysctls),
        pid_mode=shared_namespace(project, service.pid) or None,
        ipc_mode=shared_namespace(project, service.ipc) or None,
        uts_mode=shared_namespace(project, service.uts) or None,
    )  # fmt: skip


def _volumes_from(project: Project, service: Service) -> Iterator[str]:
    for each in service.volumes_from:
        if each.startswith("container:"):
            yield each.removeprefix("container:")
            continue
        other, colon, mode = each.partition(":")
        found = project.all_services.value(other)
        yield f"{container_name(project, other, found, 1)}{colon}{mode}"
