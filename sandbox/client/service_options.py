"""The keywords of a service as Docker's document of it, which is what Docker's Python library makes of them.

A value that is a mapping there (`endpoint_spec`, `resources`, `update_config`, a mount, …) is one in the Engine's keys
here too, so those made by `docker.types` are taken as they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from sandbox.client.errors import raised_as_api_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Document = dict[str, Any]  # Any: JSON


class ServiceOptions(TypedDict, total=False):
    """What may be said of a service; docs/python-api.md has a line for each. `stop_grace_period` is in nanoseconds."""

    args: Sequence[str]
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    configs: Sequence[Mapping[str, Any]]
    constraints: Sequence[str]
    container_labels: Mapping[str, str]
    dns_config: Mapping[str, Any]
    endpoint_spec: Mapping[str, Any]
    env: Sequence[str] | Mapping[str, str]
    force_update: bool | int
    groups: Sequence[str]
    healthcheck: Mapping[str, Any]
    hostname: str
    hosts: Mapping[str, str]
    init: bool
    labels: Mapping[str, str]
    log_driver: str
    log_driver_options: Mapping[str, str]
    maxreplicas: int
    mode: str | Mapping[str, Any]
    mounts: Sequence[str | Mapping[str, Any]]
    name: str
    networks: Sequence[str | Mapping[str, Any]]
    open_stdin: bool
    preferences: Sequence[tuple[str, str]]
    read_only: bool
    resources: Mapping[str, Any]
    restart_policy: Mapping[str, Any]
    rollback_config: Mapping[str, Any]
    secrets: Sequence[Mapping[str, Any]]
    stop_grace_period: int
    stop_signal: str
    sysctls: Mapping[str, str]
    tty: bool
    update_config: Mapping[str, Any]
    user: str
    workdir: str


def _environment(given: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) else list(given)


def _mounts(given: Sequence[str | Mapping[str, Any]]) -> list[Document]:
    return [_mount(each) if isinstance(each, str) else dict(each) for each in given]


def _mount(text: str) -> Document:
    """`source:target[:ro]`, as of a container. Raises InvalidArgument."""
    from sandbox.grammar.volumes import parse_volume

    with raised_as_api_errors():
        spec = parse_volume(text)
    kind = "bind" if spec.is_bind else "volume"
    return {"Type": kind, "Source": spec.source, "Target": spec.target, "ReadOnly": spec.read_only}


def _hosts(given: Mapping[str, str]) -> list[str]:
    return [f"{address} {name}" for name, address in given.items()]


def _mode(given: str | Mapping[str, Any]) -> Document:
    return (
        {given.title() if given in ("replicated", "global") else given: {}} if isinstance(given, str) else dict(given)
    )


def _networks(given: Sequence[str | Mapping[str, Any]]) -> list[Document]:
    return [{"Target": each} if isinstance(each, str) else dict(each) for each in given]


def _preferences(given: Sequence[tuple[str, str]]) -> list[Document]:
    return [{strategy.title(): {"SpreadDescriptor": over}} for strategy, over in given]


def _as_it_is(given: object) -> object:
    return given


_CONTAINER = ("TaskTemplate", "ContainerSpec")
#: a keyword -> where its value goes, and what becomes of it
_PLACES: Mapping[str, tuple[tuple[str, ...], Callable[[Any], object]]] = {
    "args": ((*_CONTAINER, "Args"), list),
    "cap_add": ((*_CONTAINER, "CapabilityAdd"), list),
    "cap_drop": ((*_CONTAINER, "CapabilityDrop"), list),
    "configs": ((*_CONTAINER, "Configs"), list),
    "constraints": (("TaskTemplate", "Placement", "Constraints"), list),
    "container_labels": ((*_CONTAINER, "Labels"), dict),
    "dns_config": ((*_CONTAINER, "DNSConfig"), dict),
    "endpoint_spec": (("EndpointSpec",), dict),
    "env": ((*_CONTAINER, "Env"), _environment),
    "force_update": (("TaskTemplate", "ForceUpdate"), int),
    "groups": ((*_CONTAINER, "Groups"), list),
    "healthcheck": ((*_CONTAINER, "Healthcheck"), dict),
    "hostname": ((*_CONTAINER, "Hostname"), _as_it_is),
    "hosts": ((*_CONTAINER, "Hosts"), _hosts),
    "init": ((*_CONTAINER, "Init"), _as_it_is),
    "labels": (("Labels",), dict),
    "log_driver": (("TaskTemplate", "LogDriver", "Name"), _as_it_is),
    "log_driver_options": (("TaskTemplate", "LogDriver", "Options"), dict),
    "maxreplicas": (("TaskTemplate", "Placement", "MaxReplicas"), _as_it_is),
    "mode": (("Mode",), _mode),
    "mounts": ((*_CONTAINER, "Mounts"), _mounts),
    "name": (("Name",), _as_it_is),
    "networks": (("TaskTemplate", "Networks"), _networks),
    "open_stdin": ((*_CONTAINER, "OpenStdin"), _as_it_is),
    "preferences": (("TaskTemplate", "Placement", "Preferences"), _preferences),
    "read_only": ((*_CONTAINER, "ReadOnly"), _as_it_is),
    "resources": (("TaskTemplate", "Resources"), dict),
    "restart_policy": (("TaskTemplate", "RestartPolicy"), dict),
    "rollback_config": (("RollbackConfig",), dict),
    "secrets": ((*_CONTAINER, "Secrets"), list),
    "stop_grace_period": ((*_CONTAINER, "StopGracePeriod"), _as_it_is),
    "stop_signal": ((*_CONTAINER, "StopSignal"), _as_it_is),
    "sysctls": ((*_CONTAINER, "Sysctls"), dict),
    "tty": ((*_CONTAINER, "TTY"), _as_it_is),
    "update_config": (("UpdateConfig",), dict),
    "user": ((*_CONTAINER, "User"), _as_it_is),
    "workdir": ((*_CONTAINER, "Dir"), _as_it_is),
}


def with_options(
    document: Document, image: str | None, command: str | Sequence[str] | None, options: ServiceOptions
) -> Document:
    """Docker's document of a service as the keywords change it. Raises TypeError for a keyword that there is not,
    InvalidArgument.
    """
    if unknown := sorted(options.keys() - _PLACES.keys()):
        raise TypeError(f"unknown keyword of a service: {', '.join(unknown)}")
    found = _copied(document)
    if image is not None:
        _put(found, (*_CONTAINER, "Image"), image)
    if command is not None:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        _put(found, (*_CONTAINER, "Command"), words)
    for key, value in options.items():
        if value is not None:
            place, made = _PLACES[key]
            _put(found, place, made(value))
    return found


def _copied(document: Document) -> Document:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in document.items()}


def _put(document: Document, place: tuple[str, ...], value: object) -> None:
    *outer, last = place
    for key in outer:
        document = document.setdefault(key, {})
    document[last] = value
