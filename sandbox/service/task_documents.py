"""The container of a service as Docker's ContainerSpec, and what it may take of the machine."""

from __future__ import annotations

from base64 import b64encode

from sandbox.grammar.health import health_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import FileGrant, MountRequest

_S = 10**9
_GRACE_SECONDS = 10


def container_spec(request: ContainerRequest, *, defaults: bool) -> dict[str, Any]:
    """Docker's ContainerSpec without its secrets and configs; what was not said is left out."""
    grace = request.stop_timeout_seconds
    if grace is None and defaults:
        grace = _GRACE_SECONDS
    said: dict[str, Any] = {
        "Image": request.image,
        "Labels": dict(request.labels),
        "Command": list(request.entrypoint or ()),
        "Args": list(request.command or ()),
        "Hostname": request.hostname,
        "Env": list(request.environment),
        "Dir": request.working_directory,
        "User": request.user,
        "Groups": list(request.group_add),
        "Privileges": _privileges(request.security_options),
        "StopSignal": request.stop_signal,
        "TTY": request.terminal,
        "OpenStdin": request.open_stdin,
        "ReadOnly": request.read_only,
        "Mounts": [*(_mount(mount) for mount in request.mounts), *map(_bind, request.binds)],
        "StopGracePeriod": None if grace is None else grace * _S,
        "Healthcheck": None if request.health is None else health_document(request.health),
        "Hosts": [_host(text) for text in request.extra_hosts],
        "DNSConfig": _dns(request, defaults=defaults),
        "OomScoreAdj": request.oom_score_adjust,
        "Sysctls": dict(request.sysctls),
        "CapabilityAdd": list(request.cap_add),
        "CapabilityDrop": list(request.cap_drop),
        "Ulimits": [{"Name": each.name, "Hard": each.hard, "Soft": each.soft} for each in request.rlimits],
    }
    shown_empty = ("DNSConfig", "StopGracePeriod")
    document = {key: value for key, value in said.items() if value or (key in shown_empty and value is not None)}
    if request.init is not None:
        document["Init"] = request.init
    return document | {"Isolation": "default"}


def _privileges(options: Iterable[str]) -> dict[str, Any]:
    """What Docker's Privileges can say of the options of `--security-opt`."""
    document: dict[str, Any] = {}
    for option in options:
        key, _, value = option.replace(":", "=", 1).partition("=")
        if key == "no-new-privileges" and value in ("", "true"):
            document["NoNewPrivileges"] = True
        elif key == "seccomp" and value == "unconfined":
            document["Seccomp"] = {"Mode": "unconfined"}
        elif key == "seccomp":
            document["Seccomp"] = {"Mode": "custom", "Profile": b64encode(value.encode()).decode()}
        elif key == "apparmor" and value == "unconfined":
            document["AppArmor"] = {"Mode": "disabled"}
        elif key == "label" and value == "disable":
            document["SELinuxContext"] = {"Disable": True}
    return document


def _host(text: str) -> str:
    """An entry of /etc/hosts of "name:address"."""
    name, _, address = text.partition(":")
    return f"{address} {name}"


def _dns(request: ContainerRequest, *, defaults: bool) -> dict[str, Any] | None:
    said = {
        "Nameservers": list(request.dns), "Search": list(request.dns_search), "Options": list(request.dns_options),
    }  # fmt: skip
    document = {key: value for key, value in said.items() if value}
    return document if document or defaults else None


def _bind(text: str) -> dict[str, Any]:
    """A mount of Docker's short text, /HOST:TARGET[:MODES] or TARGET alone."""
    source, colon, rest = text.partition(":")
    if not colon:
        return {"Type": "volume", "Target": text}
    target, _, modes = rest.partition(":")
    document: dict[str, Any] = {"Type": "bind" if source.startswith("/") else "volume", "Source": source}
    document["Target"] = target
    return document | ({"ReadOnly": True} if "ro" in modes.split(",") else {})


def _mount(mount: MountRequest) -> dict[str, Any]:
    said: dict[str, Any] = {
        "Type": mount.kind, "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only,
    }  # fmt: skip
    bind = {
        "Propagation": mount.propagation,
        "NonRecursive": mount.recursion == "disabled",
        "CreateMountpoint": mount.create_source,
    }
    driver = {"Name": mount.driver, "Options": dict(mount.driver_options)}
    volume = {
        "NoCopy": mount.no_copy,
        "Labels": dict(mount.labels),
        "Subpath": mount.subpath,
        "DriverConfig": _said(driver) if mount.driver or mount.driver_options else None,
    }
    tmpfs = {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode}
    said |= {"BindOptions": _said(bind), "VolumeOptions": _said(volume), "TmpfsOptions": _said(tmpfs)}
    return _said(said)


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value}


def grants(given: Iterable[FileGrant], kind: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The references to secrets or configs, `kind` Secret or Config; `names` are those of ids."""
    return [
        {
            "File": {"Name": grant.target or grant.source, "UID": str(grant.uid), "GID": str(grant.gid),
                     "Mode": grant.mode},
            f"{kind}ID": grant.source,
            f"{kind}Name": names.get(grant.source, grant.source),
        }
        for grant in given
    ]  # fmt: skip


def resources(request: ContainerRequest, reserved_nano_cpus: int = 0) -> dict[str, Any]:
    """Docker's Limits and Reservations."""
    limits = {
        "NanoCPUs": request.nano_cpus, "MemoryBytes": request.memory_bytes, "Pids": request.pids_limit,
    }  # fmt: skip
    reserved = {"NanoCPUs": reserved_nano_cpus, "MemoryBytes": request.memory_reservation_bytes}
    return {"Limits": _said(limits), "Reservations": _said(reserved)}
