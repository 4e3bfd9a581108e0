"""A service as a value. Fields stand in the order in which Docker prints them; one at its default was not said.

`Pairs` is a mapping, sorted; None is "nothing said" where an empty value means something else.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.build_model import Build
    from sandbox.stack.deploy_model import Deploy
    from sandbox.stack.measures import Bytes, Nanoseconds, Pairs
    from sandbox.stack.parts_model import DeviceRequest, Extensions, FileGrant, Texts, Ulimit, Variables


class ThrottleDevice(NamedTuple):
    path: str = ""
    rate: Bytes | int = 0


class WeightDevice(NamedTuple):
    path: str = ""
    weight: int = 0


class BlkioConfig(NamedTuple):
    weight: int = 0
    weight_device: tuple[WeightDevice, ...] = ()
    device_read_bps: tuple[ThrottleDevice, ...] = ()
    device_read_iops: tuple[ThrottleDevice, ...] = ()
    device_write_bps: tuple[ThrottleDevice, ...] = ()
    device_write_iops: tuple[ThrottleDevice, ...] = ()


class CredentialSpec(NamedTuple):
    config: str = ""
    file: str = ""
    registry: str = ""
    extensions: Extensions = ()


class Dependency(NamedTuple):
    """What a service waits for of another."""

    condition: str = "service_started"
    restart: bool = False
    extensions: Extensions = ()
    required: bool = True


class DeviceMapping(NamedTuple):
    source: str = ""
    target: str = ""
    permissions: str = ""
    extensions: Extensions = ()


class Provider(NamedTuple):
    type: str = ""
    options: Pairs[tuple[str, ...]] | tuple[()] = ()
    extensions: Extensions = ()


class EnvFile(NamedTuple):
    path: str = ""
    required: bool = True
    format: str = ""


class HealthCheckConfig(NamedTuple):
    test: tuple[str, ...] = ()
    #: nanoseconds, as the others that are no counts
    timeout: Nanoseconds | None = None
    interval: Nanoseconds | None = None
    retries: int | None = None
    start_period: Nanoseconds | None = None
    start_interval: Nanoseconds | None = None
    disable: bool = False
    extensions: Extensions = ()


class Logging(NamedTuple):
    driver: str = ""
    options: Texts = ()
    extensions: Extensions = ()


class ServiceModel(NamedTuple):
    """How a service is told of a model of the project."""

    endpoint_var: str = ""
    model_var: str = ""
    extensions: Extensions = ()


class ServiceNetwork(NamedTuple):
    aliases: tuple[str, ...] = ()
    driver_opts: Texts = ()
    gw_priority: int = 0
    interface_name: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    extensions: Extensions = ()


class Port(NamedTuple):
    """One published port; `published` may be a range, of which one is taken, and "" is any free one."""

    name: str = ""
    mode: str = ""
    host_ip: str = ""
    target: int = 0
    published: str = ""
    protocol: str = ""
    app_protocol: str = ""
    extensions: Extensions = ()


class VolumeBind(NamedTuple):
    selinux: str = ""
    propagation: str = ""
    create_host_path: bool = True
    recursive: str = ""
    extensions: Extensions = ()


class VolumeVolume(NamedTuple):
    labels: Texts = ()
    nocopy: bool = False
    subpath: str = ""
    extensions: Extensions = ()


class VolumeTmpfs(NamedTuple):
    #: bytes
    size: Bytes | int = 0
    #: permission bits
    mode: int = 0
    extensions: Extensions = ()


class VolumeImage(NamedTuple):
    subpath: str = ""
    extensions: Extensions = ()


class Volume(NamedTuple):
    """One mount of a service."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: VolumeBind | None = None
    volume: VolumeVolume | None = None
    tmpfs: VolumeTmpfs | None = None
    image: VolumeImage | None = None
    extensions: Extensions = ()


class Hook(NamedTuple):
    """A command that is run in a container as it starts or stops."""

    command: tuple[str, ...] | None = None
    image: str = ""
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Variables = ()
    per_replica: bool = False
    extensions: Extensions = ()


class Trigger(NamedTuple):
    """One path that is watched, and what its changes cause."""

    path: str = ""
    action: str = ""
    target: str = ""
    exec: Hook = Hook()
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    initial_sync: bool = False
    extensions: Extensions = ()


class Develop(NamedTuple):
    watch: tuple[Trigger, ...] = ()
    extensions: Extensions = ()


class Service(NamedTuple):
    """One service, whole."""

    profiles: tuple[str, ...] = ()
    annotations: Texts = ()
    attach: bool | None = None
    build: Build | None = None
    develop: Develop | None = None
    blkio_config: BlkioConfig | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup_parent: str = ""
    cgroup: str = ""
    cpu_count: int = 0
    cpu_percent: float = 0
    cpu_period: int = 0  # millionths of seconds, as the next three
    cpu_quota: int = 0  # of time, and so no bytes
    cpu_rt_period: int = 0  # millionths of seconds
    cpu_rt_runtime: int = 0
    cpus: float = 0
    cpuset: str = ""
    cpu_shares: int = 0
    command: tuple[str, ...] | None = None
    configs: tuple[FileGrant, ...] = ()
    container_name: str = ""
    credential_spec: CredentialSpec | None = None
    depends_on: Pairs[Dependency] | tuple[()] = ()
    deploy: Deploy | None = None
    device_cgroup_rules: tuple[str, ...] = ()
    #: a text, here and in two more, is one whose variables were left as they are
    devices: tuple[DeviceMapping | str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    entrypoint: tuple[str, ...] | None = None
    provider: Provider | None = None
    environment: Variables = ()
    env_file: tuple[EnvFile, ...] = ()
    expose: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    #: NAME=ADDRESS
    extra_hosts: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    hostname: str = ""
    healthcheck: HealthCheckConfig | None = None
    image: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: Texts = ()
    label_file: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mem_limit: Bytes | int = 0
    mem_reservation: Bytes | int = 0
    memswap_limit: Bytes | int = 0
    mem_swappiness: Bytes | int = 0
    mac_address: str = ""
    models: Pairs[ServiceModel | None] | tuple[()] = ()
    network_mode: str = ""
    #: None says nothing, which is the default network
    networks: Pairs[ServiceNetwork | None] | None = None
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int = 0
    platform: str = ""
    ports: tuple[Port | str, ...] = ()
    privileged: bool = False
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: tuple[FileGrant, ...] = ()
    security_opt: tuple[str, ...] = ()
    #: bytes
    shm_size: Bytes | int = 0
    stdin_open: bool = False
    #: nanoseconds
    stop_grace_period: Nanoseconds | None = None
    stop_signal: str = ""
    storage_opt: Texts = ()
    sysctls: Texts = ()
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: Pairs[Ulimit] | tuple[()] = ()
    use_api_socket: bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: tuple[Volume | str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str = ""
    pre_start: tuple[Hook, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    extensions: Extensions = ()

    @property
    def replicas(self) -> int:
        """How many containers it is to have."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1
