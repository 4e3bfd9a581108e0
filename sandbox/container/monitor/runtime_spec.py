"""A container's configuration as the kernel will see it: defaults applied, names resolved to paths and pids."""

from __future__ import annotations

import os

from sandbox.container.model.hostname import hostname_of
from sandbox.errors import StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.capabilities import resolve_capabilities
from sandbox.runtime.kernel_paths import DEFAULT_READ_ONLY_PATHS, default_masked_paths
from sandbox.runtime.resource_limits import lowered
from sandbox.runtime.spec import (
    RESOURCE_NAMES,
    BindMount,
    ContainerSpec,
    DeviceNode,
    ProcessSpec,
    ResourceLimit,
    TmpfsMount,
)
from sandbox.values import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths
    from sandbox.runtime.spec import Mount
    from sandbox.values import MountPoint, Rlimit

    NamespaceMode = Literal["private", "host", "join"]


class JoinedPids(NamedTuple):
    """The first processes of the containers whose namespaces are shared; 0 where none is."""

    network: int = 0
    pid: int = 0
    ipc: int = 0


class NetworkFiles(NamedTuple):
    """Host paths of the container's files below /etc; "" leaves the image's own."""

    hosts: str = ""
    hostname: str = ""
    resolv_conf: str = ""


def container_spec(
    container: Container,
    paths: Paths,
    *,
    root: str,
    files: NetworkFiles,
    joined: JoinedPids,
    seccomp_program: bytes | None,
    process_limit: int = 0,
    cgroup: str = "",
) -> ContainerSpec:
    """What `runtime.launch` is told of `container`; `root` is where its tree is or will be mounted."""
    config = container.config
    unconfined = config.privileged or "systempaths=unconfined" in config.security_options
    return ContainerSpec(
        container_id=container.id,
        process=process_spec(container, seccomp_program),
        root=root,
        hostname=hostname_of(container),
        domain_name=config.domain_name,
        read_only_root=config.read_only,
        mounts=(*_etc_mounts(config, files), *_mounts(paths, container), *_granted(paths, container)),
        devices=tuple(DeviceNode(device.host_path, device.container_path) for device in config.devices),
        network=_network_mode(config),
        join_network_pid=joined.network,
        pid_mode=_mode(config.pid_mode),
        join_pid=joined.pid,
        ipc_mode=_mode(config.ipc_mode),
        join_ipc_pid=joined.ipc,
        uts_mode="host" if config.uts_mode == "host" else "private",
        sysctls=config.sysctls,
        masked_paths=() if unconfined else default_masked_paths(),
        read_only_paths=() if unconfined else DEFAULT_READ_ONLY_PATHS,
        shm_size_bytes=0 if config.ipc_mode == "none" else config.shm_size_bytes,
        init=config.init,
        privileged=config.privileged,
        process_limit=process_limit,
        cgroup=cgroup,
    )


def process_spec(container: Container, seccomp_program: bytes | None) -> ProcessSpec:
    """The container's first process."""
    config = container.config
    return ProcessSpec(
        arguments=(*config.entrypoint, *config.command),
        environment=container_environment(container, terminal=config.terminal),
        working_directory=config.working_directory,
        user=config.user,
        additional_groups=config.group_add,
        terminal=config.terminal,
        capabilities=resolve_capabilities(config.cap_add, config.cap_drop, privileged=config.privileged),
        no_new_privileges="no-new-privileges" in config.security_options,
        seccomp_program=seccomp_program,
        resource_limits=tuple(resource_limits(config)),
        oom_score_adjust=config.oom_score_adjust or None,
    )


def resource_limits(config: ContainerConfig) -> Iterator[ResourceLimit]:
    """The `--ulimit`s of a container; with `--best-effort` no more than a user may have."""
    asked = map(resource_limit, config.rlimits)
    yield from map(lowered, asked) if config.resources.best_effort else asked


def resource_limit(limit: Rlimit) -> ResourceLimit:
    """A `--ulimit` as the kernel takes it."""
    return ResourceLimit(RESOURCE_NAMES.index(limit.name), limit.soft, limit.hard)


def container_environment(container: Container, *, terminal: bool) -> tuple[str, ...]:
    """The environment as Docker makes it: PATH, HOSTNAME and TERM first, so that the image's and -e override them.

    HOME follows from the user, whom only the container's own /etc/passwd knows: the runtime adds it.
    """
    names = {entry.partition("=")[0] for entry in container.config.environment}
    defaults = [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname_of(container))]
    if terminal:
        defaults.append(("TERM", "xterm"))
    return (*(f"{name}={value}" for name, value in defaults if name not in names), *container.config.environment)


def custom_seccomp_profile(config: ContainerConfig) -> str | None:
    """The profile's JSON where one was given, "" for the default one, None for no filter at all."""
    if config.privileged:
        return None
    for option in config.security_options:
        if option.startswith("seccomp="):
            profile = option.removeprefix("seccomp=")
            return None if profile == "unconfined" else profile
    return ""


def _network_mode(config: ContainerConfig) -> NamespaceMode:
    if config.network.startswith("container:"):
        return "join"
    return "host" if config.network == "host" else "private"


def _mode(text: str) -> NamespaceMode:
    if text.startswith("container:"):
        return "join"
    return "host" if text == "host" else "private"


def _etc_mounts(config: ContainerConfig, files: NetworkFiles) -> tuple[BindMount, ...]:
    taken = {mount.target for mount in config.mounts}
    wanted = (
        ("/etc/hosts", files.hosts),
        ("/etc/hostname", files.hostname),
        ("/etc/resolv.conf", files.resolv_conf),
    )
    # Docker's rule: files of the engine's own are a part of the root, what a person mounts is not
    return tuple(
        BindMount(source, target, config.read_only, recursive=False)
        for target, source in wanted
        if source and target not in taken
    )


def _mounts(paths: Paths, container: Container) -> tuple[Mount, ...]:
    return tuple(
        _mapped_mount(paths, container, position) if mount.mapped_user else mount_of(paths, mount)
        for position, mount in enumerate(container.config.mounts)
    )


def _granted(paths: Paths, container: Container) -> tuple[BindMount, ...]:
    if not (container.config.secrets or container.config.configs):
        return ()
    from sandbox.container.monitor.granted_files import granted_mounts  # few containers have secrets

    return granted_mounts(paths, container)


def with_variables(paths: Paths, container: Container) -> Container:
    """The container as its processes are started: with the variables that secrets are. Raises StartError."""
    if not any(grant.variable for grant in container.config.secrets):
        return container
    from sandbox.container.monitor.granted_files import with_granted_variables  # few containers have some

    return with_granted_variables(paths, container)


def _mapped_mount(paths: Paths, container: Container, position: int) -> BindMount:
    from sandbox.container.monitor.mapped_mounts import mapped_path  # only where there are some

    mount = container.config.mounts[position]
    source = mapped_path(paths.container_runtime(container.id), position)
    return BindMount(source, mount.target, mount.read_only, recursive=False, propagation=mount.propagation)


def mount_of(paths: Paths, mount: MountPoint) -> Mount:
    """What is to be mounted for one mount of a container, owners not mapped. Raises StartError."""
    if mount.kind == "tmpfs":
        options = [f"size={mount.tmpfs_size_bytes}"] if mount.tmpfs_size_bytes else []
        options.append(f"mode={mount.tmpfs_mode:o}")
        if mount.tmpfs_options:
            options.append(mount.tmpfs_options)
        return TmpfsMount(mount.target, ",".join(options), mount.read_only)
    if mount.kind == "volume":
        return _volume_mount(paths, mount)
    return BindMount(
        mount.source, mount.target, mount.read_only, mount.recursive, mount.propagation,
        writable_below=mount.writable_below,
    )  # fmt: skip


def _volume_mount(paths: Paths, mount: MountPoint) -> Mount:
    # the store of volumes, only where there are some
    if mount.volume_options:
        from sandbox.grammar.local_driver import read_options, refuse_missing

        local = read_options(dict(mount.volume_options))
        if local is not None and not local.directory:
            read_only = mount.read_only or local.read_only
            if mount.subpath:
                raise StartError(
                    f"cannot mount {mount.subpath} of volume {mount.source}: it is a tmpfs, which is empty each time",
                    mend=f"--mount type=volume,src={mount.source},dst={mount.target}",
                )
            return TmpfsMount(mount.target, local.data, read_only, nosuid=False, nodev=False)
        if local is not None:
            if not os.path.isdir(local.directory):
                raise refuse_missing(mount.source, local.directory)
            read_only = mount.read_only or local.read_only
            return BindMount(local.directory, mount.target, read_only, True, local.propagation, mount.subpath)
    from sandbox.volume.volumes import volume_data

    source = volume_data(paths, mount.source)
    if not os.path.isdir(source):
        raise StartError(
            f"cannot mount volume {mount.source} at {mount.target}: its directory is not there any more",
            cause=f"{source} was removed",
            mend="sandbox system check --repair",
        )
    return BindMount(source, mount.target, mount.read_only, mount.recursive, mount.propagation, mount.subpath)
