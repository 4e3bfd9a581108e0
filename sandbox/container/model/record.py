"""What is known of a container: what was asked for (`ContainerConfig`) and what became of it (`ContainerState`).

NamedTuples, not dataclasses: `run`, `exec` and `ps` import this, and a dataclass costs a millisecond each to make.
Every field is JSON-plain or another of these values, so that a record is stored as one JSON document.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.values import (
    Device,
    EndpointRequest,
    FileGrant,
    HealthCheck,
    LogConfig,
    MountPoint,
    PublishedPort,
    Resources,
    RestartPolicy,
    Rlimit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


class ContainerConfig(NamedTuple):
    """Everything a container is made of, image defaults merged in; never changes after `create`."""

    image: str  # as the person gave it
    image_id: str  # sha256:…
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    working_directory: str = "/"
    user: str = ""
    hostname: str = ""
    domain_name: str = ""
    terminal: bool = False
    open_stdin: bool = False
    #: Docker's StdinOnce: the input ends with the first client that gave some (`run -i`, not `run -d -i`)
    stdin_once: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    stop_timeout_seconds: int | None = None
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    published_ports: tuple[PublishedPort, ...] = ()
    publish_all: bool = False
    mounts: tuple[MountPoint, ...] = ()
    #: default, none, host, container:ID, slirp4netns; or the first of `endpoints`
    network: str = "default"
    #: of the default network
    network_aliases: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security_options: tuple[str, ...] = ()
    read_only: bool = False
    init: bool = False
    group_add: tuple[str, ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    devices: tuple[Device, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    shm_size_bytes: int = 64 * 1024 * 1024
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    oom_score_adjust: int = 0
    restart: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    health: HealthCheck = HealthCheck()
    log: LogConfig = LogConfig()
    resources: Resources = Resources()
    storage_driver: str = ""
    #: the most that may be written to the root file system; 0 is no limit
    storage_size_bytes: int = 0
    #: a file of the host that records what is read of the image
    trace_path: str = ""
    layers: tuple[str, ...] = ()  # chain ids, lowest first
    platform: str = ""
    #: the image's, for a health check that is a text; empty is Docker's own
    shell: tuple[str, ...] = ()
    #: the networks that the container is on when it runs, by name, eth0 first
    endpoints: tuple[EndpointRequest, ...] = ()
    #: tc's words, "" where nothing is asked for: "10mbit" each way, "50ms" and "1%" of what is sent
    net_rate: str = ""
    net_delay: str = ""
    net_loss: str = ""
    #: TCP ports of the host's loopback that it reaches at host.docker.internal
    host_ports: tuple[int, ...] = ()
    #: texts of `--egress`: what it may reach outside; none is no restriction
    egress: tuple[str, ...] = ()
    #: what carries published ports: "" for our own, or "slirp4netns"
    port_driver: str = ""
    #: what is written to a tmpfs at each start; the contents are beside the record (`model/grant_files.py`)
    secrets: tuple[FileGrant, ...] = ()
    configs: tuple[FileGrant, ...] = ()

    @property
    def has_links(self) -> bool:
        """Whether it calls other containers by links, which `model/links.py` knows of."""
        return any(endpoint.links for endpoint in self.endpoints)


class ContainerState(NamedTuple):
    """What became of it. A pid counts only with boot id and start time (clock ticks, proc(5) field 22)."""

    status: Status = "created"
    pid: int = 0
    pid_start: int = 0
    monitor_pid: int = 0
    monitor_start: int = 0
    boot_id: str = ""
    started_ns: int = 0  # Unix time
    finished_ns: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    restart_count: int = 0
    #: stopped on request: `unless-stopped` and `always` leave it alone
    stopped_by_user: bool = False
    published_ports: tuple[PublishedPort, ...] = ()  # with the host ports that were given
    health: str = ""
    #: the cgroup directory of the running container, where it has one of its own
    cgroup: str = ""
    #: where the monitor's socket and mount points are; "" in records of an older program
    runtime_directory: str = ""
    #: a process that served one of its file systems died in this run or the last: which ("/", or a mount's target)
    lost_mount: str = ""


class Container(NamedTuple):
    """One row of the database."""

    id: str  # 64 hex
    name: str
    created_ns: int
    config: ContainerConfig
    state: ContainerState
