"""`inspect`: a container as Docker's JSON, field for field."""

from __future__ import annotations

from sandbox.container.model.hostname import hostname_of
from sandbox.container.model.links import link_texts
from sandbox.container.model.runtime_files import runtime_directory
from sandbox.container.monitor.log_files import LOG_NAME
from sandbox.container.view.host_config import host_config
from sandbox.container.view.network_settings import network_settings
from sandbox.grammar.health import health_document
from sandbox.grammar.volumes import clean_path
from sandbox.humane import rfc3339
from sandbox.volume.volumes import volume_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths
    from sandbox.values import MountPoint

    Document = dict[str, Any]  # Any: JSON


def inspect_container(
    paths: Paths,
    container: Container,
    request: ContainerRequest | None,
    endpoints: Sequence[Endpoint] = (),
    *,
    with_size: bool = False,
) -> Document:
    """What `docker inspect` would print of the container; sizes are measured only when asked for.

    `request` is what was asked for, None where the record was kept without it; `endpoints` is where it is on networks.
    """
    if request is None:
        from sandbox.container.request.recovered import recovered_request  # for old records only

        request = recovered_request(container.config)
    document = _document(paths, container, request)
    document["NetworkSettings"] = network_settings(container, endpoints)
    if with_size:
        from sandbox.container.view.sizes import container_sizes

        sizes = container_sizes(paths, container)
        document |= {"SizeRw": sizes.written_bytes, "SizeRootFs": sizes.total_bytes}
    return document


def _document(paths: Paths, container: Container, request: ContainerRequest) -> Document:
    config, data = container.config, paths.container_data(container.id)
    words = (*config.entrypoint, *config.command)
    has_log = config.log.driver != "none"
    # those of --tmpfs are in HostConfig.Tmpfs alone, those of --mount are mounts as others
    listed = {clean_path(mount.target) for mount in request.mounts if mount.kind == "tmpfs"}
    return {
        "Id": container.id,
        "Created": rfc3339(container.created_ns),
        "Path": words[0] if words else "",
        "Args": list(words[1:]),
        "State": _state(paths, container),
        "Image": config.image_id,
        "ResolvConfPath": f"{data}/resolv.conf",
        "HostnamePath": f"{data}/hostname",
        "HostsPath": f"{data}/hosts",
        "LogPath": f"{data}/{LOG_NAME}" if has_log else "",
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": config.storage_driver,
        "Platform": config.platform.partition("/")[0],
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": host_config(config, request) | {"Links": link_texts(container) or None},
        "GraphDriver": _graph_driver(paths, container),
        "Mounts": [
            mount_document(paths, mount) for mount in config.mounts if mount.kind != "tmpfs" or mount.target in listed
        ],
        "Config": _config(container, request),
    }


def _graph_driver(paths: Paths, container: Container) -> Document:
    """Where the tree lies. What is mounted of it is seen through the container's first process, and by nobody else; of
    what FUSE serves the kernel shows nothing to processes outside its user namespace.
    """
    config, directory = container.config, f"{paths.container_data(container.id)}/overlay"
    pid = container.state.pid if config.storage_driver != "fuse" else 0
    if config.storage_driver == "copy":
        data = {"UpperDir": f"{directory}/root"}
    else:
        lower = [f"{paths.layers}/{chain_id.removeprefix('sha256:')}/diff" for chain_id in reversed(config.layers)]
        data = {
            "LowerDir": ":".join(lower),
            "UpperDir": f"{directory}/upper",
            "WorkDir": f"{directory}/work",
        }
    return {"Data": data | {"MergedDir": f"/proc/{pid}/root" if pid else ""}, "Name": config.storage_driver}


def _state(paths: Paths, container: Container) -> Document:
    state = container.state
    document: Document = {
        "Status": state.status,
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_ns),
        "FinishedAt": rfc3339(state.finished_ns),
    }
    if state.health:
        document["Health"] = _health(paths, container)
    return document


def _health(paths: Paths, container: Container) -> Document:
    from sandbox.container.monitor.health_log import read_health  # few containers have a check

    state = container.state
    running, kept = runtime_directory(paths, container.id, state), paths.container_data(container.id)
    health = read_health(state.health, running, kept)
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {"Start": rfc3339(start), "End": rfc3339(end), "ExitCode": code, "Output": output}
            for start, end, code, output in health.results
        ],
    }


def _nameless_volumes(config: ContainerConfig, request: ContainerRequest) -> Document:
    """Those of `-v` and of the image; HostConfig.Mounts has what `--mount` asked for."""
    elsewhere = {clean_path(mount.target) for mount in request.mounts}
    return {mount.target: {} for mount in config.mounts if mount.anonymous and mount.target not in elsewhere}


def _config(container: Container, request: ContainerRequest) -> Document:
    config = container.config
    document: Document = {
        "Hostname": hostname_of(container),
        "Domainname": config.domain_name,
        "User": config.user,
        "AttachStdin": "stdin" in request.attached,
        "AttachStdout": "stdout" in request.attached,
        "AttachStderr": "stderr" in request.attached,
        **({"ExposedPorts": {port: {} for port in config.exposed_ports}} if config.exposed_ports else {}),
        "Tty": config.terminal,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(config.environment),
        "Cmd": list(config.command) or None,
        "Image": config.image,
        "Volumes": _nameless_volumes(config, request) or None,
        "WorkingDir": config.working_directory,
        "Entrypoint": list(config.entrypoint) or None,
        "OnBuild": None,
        "Labels": dict(config.labels),
    }
    if config.secrets or config.configs:
        document |= _granted(config)
    if mac := next((one.mac_address for one in config.endpoints if one.network == config.network), ""):
        # what was asked for on the first network, as Docker has it below version 1.52 of its API
        document["MacAddress"] = mac
    if config.stop_signal:
        document["StopSignal"] = config.stop_signal
    if config.stop_timeout_seconds is not None:
        document["StopTimeout"] = config.stop_timeout_seconds
    if config.health.test:
        document["Healthcheck"] = health_document(config.health)
    if config.shell:
        document["Shell"] = list(config.shell)
    return document


def _granted(config: ContainerConfig) -> Document:
    """Names and places, as podman shows them of secrets; never what they hold."""
    return {
        key: [
            {"Name": grant.source, "ID": "", "UID": grant.uid, "GID": grant.gid, "Mode": grant.mode}
            | ({"Target": grant.target} if grant.target else {"Variable": grant.variable})
            for grant in grants
        ]
        for key, grants in (("Secrets", config.secrets), ("Configs", config.configs))
        if grants
    }


def _mode_words(mount: MountPoint) -> list[str]:
    return [word for word, given in (("ro", mount.read_only), ("idmap", mount.mapped_user)) if given]


def mount_document(paths: Paths, mount: MountPoint) -> Document:
    """Docker's MountPoint, as inspect and the list have it."""
    document: Document = {"Type": mount.kind}
    if mount.kind == "volume":
        document |= {"Name": mount.source, "Source": volume_data(paths, mount.source)}
    else:
        document["Source"] = mount.source
    document["Destination"] = mount.target
    if mount.kind == "volume":
        document["Driver"] = "local"
    propagation = mount.propagation if mount.kind == "bind" else ""
    # Docker's engine writes down its own choice for a volume that was asked for by name
    default = "z" if mount.kind == "volume" and not mount.anonymous else ""
    return document | {
        "Mode": ",".join(_mode_words(mount)) or default,
        "RW": not mount.read_only,
        "Propagation": propagation,
    }
