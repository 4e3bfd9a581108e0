"""The keywords of `containers.run` and `containers.create` as a ContainerRequest.

Names and forms are those that users of Docker's Python library know; texts may be given where the command takes them.

Here the caller's directory and environment are looked at; what is asked for means the same wherever it is read later.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from sandbox.caller_directory import find_caller_directory
from sandbox.client import structured_options as structured
from sandbox.client.network_options import read_networks
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import UsageError, at_field
from sandbox.grammar import hosts, limits, mounts, sizes
from sandbox.grammar.devices import parse_device
from sandbox.grammar.environment import read_variables
from sandbox.grammar.grants import parse_run_secret
from sandbox.grammar.ports import parse_ports
from sandbox.grammar.security import read_security_option
from sandbox.grammar.volumes import resolve_relative

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    _T = TypeVar("_T")


class ContainerOptions(TypedDict, total=False):
    """What may be said of a new container; docs/python-api.md has a line for each.

    Numbers are bytes where they are sizes, seconds of `stop_timeout`, microseconds of `cpu_period` and `cpu_quota`.
    """

    annotations: Mapping[str, str]
    auto_remove: bool
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    cpu_period: int
    cpu_quota: int
    cpu_shares: int
    cpuset_cpus: str
    devices: Sequence[str]
    dns: Sequence[str]
    dns_opt: Sequence[str]
    dns_search: Sequence[str]
    egress: Sequence[str]
    host_ports: Sequence[int]
    domainname: str
    entrypoint: str | Sequence[str]
    environment: Mapping[str, str | None] | Sequence[str]
    extra_hosts: Mapping[str, str] | Sequence[str]
    group_add: Sequence[str | int]
    healthcheck: Mapping[str, Any]
    hostname: str
    init: bool
    ipc_mode: str
    labels: Mapping[str, str] | Sequence[str]
    links: Mapping[str, str] | Sequence[tuple[str, str]]
    log_config: Mapping[str, Any]
    mac_address: str
    mem_limit: int | str
    mem_reservation: int | str
    memswap_limit: int | str
    mounts: Sequence[str]
    name: str
    nano_cpus: int
    net_delay: str
    net_loss: str
    net_rate: str
    network: str
    network_mode: str
    networking_config: Mapping[str, Mapping[str, Any] | None]
    oom_score_adj: int
    pid_mode: str
    pids_limit: int
    platform: str
    port_driver: str
    ports: Mapping[int, Any] | Mapping[str, Any] | Mapping[int | str, Any]
    privileged: bool
    publish_all_ports: bool
    read_only: bool
    restart_policy: str | Mapping[str, Any]
    secrets: Sequence[str]
    security_opt: Sequence[str]
    shm_size: int | str
    stdin_open: bool
    stop_signal: str
    stop_timeout: int
    storage_opt: Mapping[str, str]
    sysctls: Mapping[str, str]
    tmpfs: Mapping[str, str] | Sequence[str]
    tty: bool
    ulimits: Sequence[str | Mapping[str, Any]]
    user: str | int
    uts_mode: str
    volumes: Mapping[str, Mapping[str, str] | str] | Sequence[str]
    volumes_from: Sequence[str]
    working_dir: str


class UpdateOptions(TypedDict, total=False):
    """The keywords that may be changed of a container that is there.

    Numbers are bytes where they are sizes, millionths of seconds of `cpu_period` and `cpu_quota`.
    """

    cpu_period: int
    cpu_quota: int
    cpu_shares: int
    cpuset_cpus: str
    mem_limit: int | str
    mem_reservation: int | str
    memswap_limit: int | str
    nano_cpus: int
    pids_limit: int
    restart_policy: str | Mapping[str, Any]


#: keyword -> field, for values that are taken as they are
_PLAIN = {
    "auto_remove": "auto_remove", "cpu_period": "cpu_period_us", "cpu_quota": "cpu_quota_us",
    "cpu_shares": "cpu_shares", "cpuset_cpus": "cpuset_cpus", "domainname": "domain_name", "hostname": "hostname",
    "init": "init", "ipc_mode": "ipc_mode", "name": "name", "nano_cpus": "nano_cpus",
    "net_delay": "net_delay", "net_loss": "net_loss", "net_rate": "net_rate",
    "oom_score_adj": "oom_score_adjust", "pid_mode": "pid_mode", "pids_limit": "pids_limit", "platform": "platform",
    "port_driver": "port_driver",
    "privileged": "privileged", "publish_all_ports": "publish_all", "read_only": "read_only",
    "stdin_open": "open_stdin", "stop_signal": "stop_signal", "stop_timeout": "stop_timeout_seconds",
    "tty": "terminal", "uts_mode": "uts_mode", "working_dir": "working_directory",
}  # fmt: skip
_SIZES = {
    "mem_limit": "memory_bytes", "mem_reservation": "memory_reservation_bytes", "memswap_limit": "memory_swap_bytes",
    "shm_size": "shm_size_bytes",
}  # fmt: skip
#: keyword -> field and what reads each of its texts
_LISTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "cap_add": ("cap_add", str), "cap_drop": ("cap_drop", str), "devices": ("devices", parse_device),
    "secrets": ("secrets", parse_run_secret),
    "dns": ("dns", hosts.parse_address), "dns_opt": ("dns_options", hosts.parse_dns_option),
    "dns_search": ("dns_search", hosts.parse_dns_search), "egress": ("egress", str), "group_add": ("group_add", str),
    "host_ports": ("host_ports", int),
    "volumes_from": ("volumes_from", str),
}  # fmt: skip
#: keyword -> field and what reads its pairs, given as a map or as texts
_PAIRS: dict[str, tuple[str, str]] = {
    "annotations": ("annotations", "="), "labels": ("labels", "="), "storage_opt": ("storage_options", "="),
    "sysctls": ("sysctls", "="), "tmpfs": ("tmpfs", ":"),
}  # fmt: skip


def read_options(
    image: str,
    command: str | Sequence[str] | None,
    pull_policy: str,
    options: ContainerOptions,
    environment: Mapping[str, str],
) -> ContainerRequest:
    """The container that the keywords ask for. Raises UsageError, TypeError for a keyword that there is not."""
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if unknown := sorted(given.keys() - ContainerOptions.__annotations__.keys()):
        raise TypeError(f"unknown keyword of a container: {', '.join(unknown)}")
    fields: dict[str, Any] = {field: given[key] for key, field in _PLAIN.items() if key in given}
    for key, (field, read) in _STRUCTURES.items():
        if key in given:
            with at_field(key):
                fields[field] = read(given[key])
    for key, (field, parse) in _LISTS.items():
        if key in given:
            with at_field(key):
                fields[field] = tuple(parse(str(item)) for item in _items(key, given[key]))
    for key, (field, between) in _PAIRS.items():
        if key in given:
            fields[field] = tuple(structured.pairs(given[key], between))
    return ContainerRequest(
        image,
        command=read_words(command) or None if command is not None else None,
        environment=read_environment(given.get("environment"), environment),
        pull_policy=pull_policy,
        **fields,
        **_places(given),
    )


def read_update(options: UpdateOptions) -> ContainerRequest:
    """What the keywords ask for. Raises UsageError, TypeError for a keyword that there is not."""
    if unknown := sorted(options.keys() - UpdateOptions.__annotations__.keys()):
        raise TypeError(f"unknown keyword of an update: {', '.join(unknown)}")
    return read_options("", None, "never", cast("ContainerOptions", options), {})._replace(pull_policy=None)


def _places(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is mounted, and where the network is; paths are the caller's."""
    cwd = find_caller_directory(os.getcwd)
    fields: dict[str, Any] = {}
    if "volumes" in given:
        with at_field("volumes"):
            texts = structured.bind_texts(given["volumes"])
            fields["binds"] = tuple(resolve_relative(text, cwd) for text in texts)
    if "mounts" in given:
        with at_field("mounts"):
            asked = (mounts.parse_mount(text) for text in _items("mounts", given["mounts"]))
            fields["mounts"] = tuple(mounts.resolve_source(mount, cwd) for mount in asked)
    if "security_opt" in given:
        with at_field("security_opt"):
            options = _items("security_opt", given["security_opt"])
            fields["security_options"] = tuple(read_security_option(text, cwd) for text in options)
    return fields | read_networks(given)


#: keyword -> field and what reads its value
_STRUCTURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "entrypoint": ("entrypoint", lambda value: read_words(value)),
    "extra_hosts": ("extra_hosts", lambda value: tuple(map(hosts.parse_extra_host, structured.host_texts(value)))),
    "healthcheck": ("health", structured.health_check),
    "log_config": ("log", structured.log_config),
    "ports": ("published_ports", lambda value: parse_ports(structured.port_texts(value))),
    "restart_policy": ("restart", structured.restart_policy),
    "ulimits": ("rlimits", lambda value: tuple(map(limits.parse_ulimit, structured.ulimit_texts(value)))),
    "user": ("user", str),
    **{key: (field, lambda value: _size(value)) for key, field in _SIZES.items()},
}


def keyword_of(field: str) -> str:
    """The keyword that fills a field of a request, with the field's index; the field's own name where none does."""
    name, bracket, index = field.partition("[")
    known = {field: key for key, field in _PLAIN.items()}
    known |= {field: key for table in (_LISTS, _PAIRS, _STRUCTURES) for key, (field, *_more) in table.items()}
    known |= {"binds": "volumes", "security_options": "security_opt", "endpoints": "network"}
    return known.get(name, name) + bracket + index


def read_words(command: str | Sequence[str]) -> tuple[str, ...]:
    """A command's words; one text is split as a shell would."""
    return tuple(shlex.split(command)) if isinstance(command, str) else tuple(map(str, command))


def read_environment(
    variables: Mapping[str, str | None] | Sequence[str] | None, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """ "NAME=VALUE" for each; one without a value takes the caller's."""
    if not variables:
        return ()
    if not isinstance(variables, Mapping):
        return read_variables((), [str(text) for text in variables], environment)
    texts = [name if value is None else f"{name}={value}" for name, value in variables.items()]
    return read_variables((), texts, environment)


def _size(value: int | str) -> int:
    return value if isinstance(value, int) else sizes.parse_size_or_unlimited(value)


def _items(key: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        raise UsageError(f"{key} is a list, not a text", mend=f"{key}=[{value!r}]")
    return tuple(value)
