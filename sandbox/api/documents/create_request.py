"""The body of `POST /containers/create` as a ContainerRequest.

Fields that nobody knows are passed over, for clients are newer than engines; `unheld_fields` has those that Docker's
engine knows and this one does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.api.documents.endpoint_request import endpoint_of
from sandbox.api.documents.mount_request import mount_of
from sandbox.api.documents.reading import (
    flag,
    given_flag,
    number,
    pairs,
    table,
    tables,
    text,
    texts,
    value_of,
    words,
)
from sandbox.api.documents.unheld_fields import refuse_fields, warnings_of
from sandbox.api.errors import ApiError
from sandbox.container.request.request import ContainerRequest
from sandbox.grammar.hosts import parse_extra_host
from sandbox.grammar.limits import check_rlimit
from sandbox.grammar.logs import DRIVERS, parse_log
from sandbox.grammar.networks import is_user_defined
from sandbox.grammar.ports import parse_ports
from sandbox.grammar.restart import check_restart
from sandbox.values import Device, EndpointRequest, HealthCheck, LogConfig, PublishedPort, RestartPolicy, Rlimit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Document = Mapping[str, Any]

_STREAMS = ("stdin", "stdout", "stderr")


class ReadRequest(NamedTuple):
    """What was asked for, and what of it is left out, a sentence each."""

    request: ContainerRequest
    warnings: tuple[str, ...] = ()


def read_create(body: Document, name: str, platform: str) -> ReadRequest:
    """The request. Raises ApiError, UsageError, NotSupportedError."""
    host = table(body, "HostConfig")
    refuse_fields(host, body)
    image = text(body, "Image")
    if not image:
        raise ApiError(400, "Config cannot be empty in order to create a container")
    request = _process(body, ContainerRequest(image, name or None, platform or None, "never"))
    # Docker tells in a warning what limits a machine cannot hold
    request = request._replace(best_effort=True, later_networks=True)
    request = _life(body, host, request)
    request = _network(body, host, request)
    request = _files(body, host, request)
    return ReadRequest(_isolation(host, read_limits(host, request)), tuple(warnings_of(body, host)))


def _process(body: Document, request: ContainerRequest) -> ContainerRequest:
    command, entrypoint = words(body, "Cmd"), words(body, "Entrypoint")
    return request._replace(
        # for Docker no words are as good as none given
        command=command or None,
        entrypoint=entrypoint or None,
        environment=texts(body, "Env"),
        working_directory=text(body, "WorkingDir") or None,
        user=text(body, "User") or None,
        hostname=text(body, "Hostname") or None,
        domain_name=text(body, "Domainname") or None,
        labels=pairs(body, "Labels"),
        terminal=given_flag(body, "Tty"),
        open_stdin=given_flag(body, "OpenStdin"),
        stdin_once=given_flag(body, "StdinOnce"),
        attached=tuple(each for each in _STREAMS if flag(body, f"Attach{each.capitalize()}")),
        stop_signal=text(body, "StopSignal") or None,
        stop_timeout_seconds=None if value_of(body, "StopTimeout") is None else number(body, "StopTimeout"),
        health=read_health(body),
    )


def read_health(body: Document) -> HealthCheck | None:
    """The health check; None where none was given. Raises ApiError."""
    if value_of(body, "Healthcheck") is None:
        return None
    check = table(body, "Healthcheck")
    return HealthCheck(
        texts(check, "Test"),
        number(check, "Interval"),
        number(check, "Timeout"),
        number(check, "StartPeriod"),
        number(check, "StartInterval"),
        number(check, "Retries"),
    )


def _life(body: Document, host: Document, request: ContainerRequest) -> ContainerRequest:
    return request._replace(
        restart=read_restart(host),
        auto_remove=given_flag(host, "AutoRemove"),
        init=given_flag(host, "Init"),
        log=_log(host),
        # docker-py says it beside the HostConfig
        runtime=text(host, "Runtime") or text(body, "Runtime") or None,
        volume_driver=text(host, "VolumeDriver") or None,
        isolation=text(host, "Isolation") or None,
        annotations=_annotations(host),
    )


def read_restart(host: Document) -> RestartPolicy | None:
    """The restart policy; None where none was given. Raises UsageError."""
    policy = table(host, "RestartPolicy")
    name = text(policy, "Name")
    return check_restart(name, number(policy, "MaximumRetryCount")) if name else None


def _annotations(host: Document) -> tuple[tuple[str, str], ...]:
    found = pairs(host, "Annotations")
    if any(not key for key, _value in found):
        raise ApiError(400, "invalid Annotations: the empty string is not permitted as an annotation key")
    return found


def _log(host: Document) -> LogConfig | None:
    log = table(host, "LogConfig")
    kind, options = text(log, "Type"), pairs(log, "Config")
    if not kind and not options:
        return None
    if kind not in ("", *DRIVERS):
        raise ApiError(400, f"logger: no log driver named '{kind}' is registered")
    return parse_log(kind or "json-file", [f"{key}={value}" for key, value in options])


def refuse_several_networks(body: Document) -> None:
    """Raise ApiError for a container on more than one network, which Docker made none of before version 1.44."""
    names = [*table(table(body, "NetworkingConfig"), "EndpointsConfig")]
    if len(names) > 1:
        raise ApiError(400, f"Container cannot be created with multiple network endpoints: {', '.join(names)}")


def _network(body: Document, host: Document, request: ContainerRequest) -> ContainerRequest:
    mode = "none" if flag(body, "NetworkDisabled") else text(host, "NetworkMode")
    given = table(table(body, "NetworkingConfig"), "EndpointsConfig")
    endpoints = [endpoint_of(name, table(given, name)) for name in given]
    if len(endpoints) == 1 and endpoints[0].is_plain and not is_user_defined(endpoints[0].network):
        # Docker's client says the mode twice
        mode, endpoints = mode or endpoints[0].network, []
    if mode in ("", "default") and endpoints and mode not in given:
        mode = ""
    if mode and is_user_defined(mode) and mode not in given:
        endpoints.insert(0, EndpointRequest(mode))
    endpoints.sort(key=lambda endpoint: endpoint.network != mode)
    links, mac = texts(host, "Links"), text(body, "MacAddress")
    if links and (mode == "host" or mode.startswith("container:")):
        kind = "host type networking" if mode == "host" else "container type network"
        raise ApiError(
            400, f"conflicting options: {kind} can't be used with links. This would result in undefined behavior"
        )
    if mac and mode.startswith("container:"):
        raise ApiError(400, "conflicting options: mac-address and the network mode")
    if (links or mac) and not endpoints and mode in ("", "default", "bridge"):
        endpoints = [EndpointRequest(mode or "default")]
    if (links or mac) and endpoints:
        first = endpoints[0]
        if not is_user_defined(first.network):
            first = first._replace(links=(*first.links, *links))
        endpoints[0] = first._replace(mac_address=first.mac_address or mac)
    return request._replace(
        network_mode=mode or None,
        endpoints=tuple(endpoints),
        exposed_ports=tuple(table(body, "ExposedPorts")),
        published_ports=_published(host),
        publish_all=given_flag(host, "PublishAllPorts"),
        dns=texts(host, "Dns"),
        dns_search=texts(host, "DnsSearch"),
        dns_options=texts(host, "DnsOptions"),
        extra_hosts=tuple(map(parse_extra_host, texts(host, "ExtraHosts"))),
    )


def _published(host: Document) -> tuple[PublishedPort, ...]:
    bindings = table(host, "PortBindings")
    found = []
    for port in bindings:
        # null, or an empty list, is any free port of the host
        for binding in tables(bindings, port) or [{}]:
            address, number_text = text(binding, "HostIp"), text(binding, "HostPort")
            if ":" in address and not address.startswith("["):
                address = f"[{address}]"
            found.append(f"{address}:{number_text}:{port}" if address or number_text else port)
    return parse_ports(found)


def _files(body: Document, host: Document, request: ContainerRequest) -> ContainerRequest:
    return request._replace(
        binds=(*texts(host, "Binds"), *_nameless(body, host)),
        mounts=tuple(mount_of(each) for each in tables(host, "Mounts")),
        tmpfs=pairs(host, "Tmpfs"),
        volumes_from=texts(host, "VolumesFrom"),
        read_only=given_flag(host, "ReadonlyRootfs"),
        storage_options=pairs(host, "StorageOpt"),
    )


def _nameless(body: Document, host: Document) -> Iterator[str]:
    """The volumes that have no name, but for those of which more is said elsewhere."""
    elsewhere = {text.split(":")[1] for text in texts(host, "Binds") if ":" in text}
    elsewhere |= {str(value_of(mount, "Target")) for mount in tables(host, "Mounts")}
    for target in table(body, "Volumes"):
        # old clients send what was meant for Binds
        if target not in elsewhere:
            yield target


def _isolation(host: Document, request: ContainerRequest) -> ContainerRequest:
    options = texts(host, "SecurityOpt")
    if value_of(host, "MaskedPaths") == [] and "systempaths=unconfined" not in options:
        options = (*options, "systempaths=unconfined")
    return request._replace(
        cap_add=texts(host, "CapAdd"),
        cap_drop=texts(host, "CapDrop"),
        group_add=texts(host, "GroupAdd"),
        privileged=given_flag(host, "Privileged"),
        security_options=options,
        devices=tuple(_device(each) for each in tables(host, "Devices")),
        sysctls=pairs(host, "Sysctls"),
        pid_mode=text(host, "PidMode") or None,
        ipc_mode=text(host, "IpcMode") or None,
        uts_mode=text(host, "UTSMode") or None,
        oom_score_adjust=number(host, "OomScoreAdj") or None,
        shm_size_bytes=number(host, "ShmSize") or None,
    )


def _device(document: Document) -> Device:
    host_path = text(document, "PathOnHost")
    return Device(
        host_path, text(document, "PathInContainer") or host_path, text(document, "CgroupPermissions") or "rwm"
    )


def read_limits(host: Document, request: ContainerRequest) -> ContainerRequest:
    """The request with the limits of a HostConfig, or of an update."""
    return request._replace(
        memory_bytes=number(host, "Memory") or None,
        memory_swap_bytes=number(host, "MemorySwap") or None,
        memory_reservation_bytes=number(host, "MemoryReservation") or None,
        nano_cpus=number(host, "NanoCpus") or None,
        cpu_period_us=number(host, "CpuPeriod") or None,
        cpu_quota_us=number(host, "CpuQuota") or None,
        cpu_shares=number(host, "CpuShares") or None,
        cpuset_cpus=text(host, "CpusetCpus") or None,
        pids_limit=None if value_of(host, "PidsLimit") is None else number(host, "PidsLimit"),
        rlimits=read_ulimits(tables(host, "Ulimits")),
    )


def read_ulimits(documents: Sequence[Document]) -> tuple[Rlimit, ...]:
    """The limits of processes. Raises ApiError, UsageError."""
    return tuple(check_rlimit(text(each, "Name"), number(each, "Soft"), number(each, "Hard")) for each in documents)
