"""Docker's ContainerSpec, and what a TaskTemplate says beside it, as the request of a service's containers."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from sandbox.api.documents.create_request import read_health
from sandbox.api.documents.mount_request import mount_of
from sandbox.api.documents.reading import flag, given_flag, number, pairs, table, tables, text, texts, words
from sandbox.api.errors import ApiError
from sandbox.container.request.request import ContainerRequest
from sandbox.grammar.logs import DRIVERS, parse_log
from sandbox.values import EndpointRequest, FileGrant, LogConfig, Rlimit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.service.documents import KnownNames

    Document = Mapping[str, Any]

_S = 10**9
#: networks that are a mode of the container
_MODES = ("host", "none")


def read_task(template: Document, given_networks: list[dict[str, Any]], names: KnownNames) -> ContainerRequest:
    """The request. Raises ApiError for what cannot be had here, or names what is not there."""
    spec = table(template, "ContainerSpec")
    if text(spec, "Isolation") not in ("", "default"):
        raise ApiError(400, f"invalid isolation '{spec['Isolation']}' on linux")
    # as with single containers, a machine that cannot hold a limit goes without
    request = ContainerRequest(text(spec, "Image"), best_effort=True)
    request = _limits(template, _isolation(spec, _files(spec, names, _process(spec, request))))
    return _networks(tables(template, "Networks") or given_networks, names, request)._replace(log=_log(template))


def _process(spec: Document, request: ContainerRequest) -> ContainerRequest:
    grace = spec.get("StopGracePeriod")
    dns = table(spec, "DNSConfig")
    return request._replace(
        entrypoint=words(spec, "Command") or None,
        command=words(spec, "Args") or None,
        environment=texts(spec, "Env"),
        working_directory=text(spec, "Dir") or None,
        user=text(spec, "User") or None,
        group_add=texts(spec, "Groups"),
        hostname=text(spec, "Hostname") or None,
        labels=tuple(sorted(pairs(spec, "Labels"))),
        terminal=flag(spec, "TTY") or None,
        open_stdin=flag(spec, "OpenStdin") or None,
        init=given_flag(spec, "Init"),
        stop_signal=text(spec, "StopSignal") or None,
        stop_timeout_seconds=None if grace is None else -(-number(spec, "StopGracePeriod") // _S),
        health=read_health(spec),
        extra_hosts=tuple(each for line in texts(spec, "Hosts") for each in _hosts(line)),
        dns=texts(dns, "Nameservers"),
        dns_search=texts(dns, "Search"),
        dns_options=texts(dns, "Options"),
    )


def _hosts(line: str) -> Iterator[str]:
    """A line of /etc/hosts as "name:address" for each of its names. Raises ApiError."""
    address, *names = line.split()
    if not names:
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = invalid extra host: {line}")
    yield from (f"{name}:{address}" for name in names)


def _files(spec: Document, names: KnownNames, request: ContainerRequest) -> ContainerRequest:
    return request._replace(
        read_only=flag(spec, "ReadOnly") or None,
        mounts=tuple(mount_of(each) for each in tables(spec, "Mounts")),
        secrets=tuple(_grant(each, "Secret", names) for each in tables(spec, "Secrets")),
        configs=tuple(_grant(each, "Config", names) for each in tables(spec, "Configs")),
    )


def _grant(reference: Document, kind: str, names: KnownNames) -> FileGrant:
    """A reference to a secret or a config, `kind` Secret or Config."""
    object_id, file = text(reference, f"{kind}ID"), table(reference, "File")
    name = text(reference, f"{kind}Name") or object_id
    if not file:
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = malformed file {kind.lower()} reference")
    if object_id not in names.objects:
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = {kind.lower()} not found: {name}")
    owner = [text(file, key) or "0" for key in ("UID", "GID")]
    if not all(each.isascii() and each.isdigit() for each in owner):
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = {kind.lower()} {name}: UID and GID are numbers")
    return FileGrant(object_id, text(file, "Name"), int(owner[0]), int(owner[1]), number(file, "Mode"))


def _isolation(spec: Document, request: ContainerRequest) -> ContainerRequest:
    limits = tables(spec, "Ulimits")
    return request._replace(
        cap_add=texts(spec, "CapabilityAdd"),
        cap_drop=texts(spec, "CapabilityDrop"),
        security_options=tuple(_security(table(spec, "Privileges"))),
        sysctls=tuple(sorted(pairs(spec, "Sysctls"))),
        rlimits=tuple(Rlimit(text(each, "Name"), number(each, "Soft"), number(each, "Hard")) for each in limits),
        oom_score_adjust=number(spec, "OomScoreAdj") or None,
    )


def _security(privileges: Document) -> Iterator[str]:
    """Docker's Privileges as the options of `--security-opt`."""
    if any(table(privileges, "CredentialSpec").values()):
        raise ApiError(501, "CredentialSpec is not supported: it is of containers of Windows")
    if flag(privileges, "NoNewPrivileges"):
        yield "no-new-privileges"
    seccomp = table(privileges, "Seccomp")
    if text(seccomp, "Mode") == "unconfined":
        yield "seccomp=unconfined"
    elif text(seccomp, "Mode") == "custom":
        try:
            yield f"seccomp={base64.b64decode(text(seccomp, 'Profile'), validate=True).decode()}"
        except (binascii.Error, ValueError):
            raise ApiError(400, "invalid seccomp profile: Profile is JSON in base64") from None
    if text(table(privileges, "AppArmor"), "Mode") == "disabled":
        yield "apparmor=unconfined"
    if flag(table(privileges, "SELinuxContext"), "Disable"):
        yield "label=disable"


def _limits(template: Document, request: ContainerRequest) -> ContainerRequest:
    limits, reserved = (table(table(template, "Resources"), key) for key in ("Limits", "Reservations"))
    if reserved.get("GenericResources"):
        raise ApiError(501, "GenericResources is not supported: this machine has no resources of its own kinds to give")
    return request._replace(
        nano_cpus=number(limits, "NanoCPUs") or None,
        memory_bytes=number(limits, "MemoryBytes") or None,
        pids_limit=number(limits, "Pids") or None,
        memory_reservation_bytes=number(reserved, "MemoryBytes") or None,
    )


def _networks(given: list[dict[str, Any]], names: KnownNames, request: ContainerRequest) -> ContainerRequest:
    by_id = {network_id: name for name, network_id in names.networks.items()}
    endpoints = []
    for each in given:
        target = text(each, "Target")
        name = by_id.get(target, target)
        if name in _MODES:
            return request._replace(network_mode=name)
        if name not in names.networks:
            raise ApiError(404, f"network {target} not found")
        endpoints.append(EndpointRequest(name, texts(each, "Aliases"), pairs(each, "DriverOpts")))
    return request._replace(endpoints=tuple(endpoints))


def _log(template: Document) -> LogConfig | None:
    driver = table(template, "LogDriver")
    name, options = text(driver, "Name"), pairs(driver, "Options")
    if not name and not options:
        return None
    if name not in ("", *DRIVERS):
        raise ApiError(400, f"logger: no log driver named '{name}' is registered")
    return parse_log(name or "json-file", [f"{key}={value}" for key, value in options])
