"""What was asked for: Docker's Config, HostConfig and EndpointsConfig as one value.

Whoever makes containers fills a ContainerRequest (the options of `run` and `create`, a file, JSON), and `merge` makes
the configuration of it. All that depends on the caller is resolved by then: host paths are absolute, files are read,
variables have their values.

None means "not said" and lets the image's own value, or the default, stand; so does an empty tuple. Only an entrypoint
and a command of no words mean something else: they take the image's away.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.values import (
        Device,
        FileGrant,
        HealthCheck,
        LogConfig,
        MountRequest,
        PublishedPort,
        RestartPolicy,
        Rlimit,
    )

__all__ = ["ContainerRequest", "EndpointRequest", "changed"]


class ContainerRequest(NamedTuple):
    """A container as it is asked for; the texts are in Docker's form."""

    image: str = ""  # as the person gave it
    name: str | None = None
    platform: str | None = None
    pull_policy: str | None = None  # always, missing, never
    #: the file that gets the container's id
    id_file: str | None = None

    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    #: "NAME=value"; a bare NAME takes that of the image away
    environment: tuple[str, ...] = ()
    working_directory: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    hostname: str | None = None
    domain_name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    terminal: bool | None = None
    open_stdin: bool | None = None
    stdin_once: bool | None = None
    #: which of "stdin", "stdout" and "stderr" the one who asks connects to
    attached: tuple[str, ...] = ()
    init: bool | None = None
    stop_signal: str | None = None
    stop_timeout_seconds: int | None = None
    #: of its fields, those at their default are not said
    health: HealthCheck | None = None
    restart: RestartPolicy | None = None
    auto_remove: bool | None = None
    log: LogConfig | None = None

    #: "80/tcp"; those of published ports need not be here
    exposed_ports: tuple[str, ...] = ()
    published_ports: tuple[PublishedPort, ...] = ()
    publish_all: bool | None = None
    #: host, none or container:NAME; a network is an endpoint
    network_mode: str | None = None
    endpoints: tuple[EndpointRequest, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    #: tc's words: "10mbit" each way, "50ms" and "1%" of what is sent
    net_rate: str | None = None
    net_delay: str | None = None
    net_loss: str | None = None
    #: TCP ports of the host's loopback that it reaches
    host_ports: tuple[int, ...] = ()
    #: what carries published ports: "builtin" or "slirp4netns"
    port_driver: str | None = None
    #: texts of `--egress`
    egress: tuple[str, ...] = ()

    #: `-v`: /HOST:TARGET[:MODES], NAME:TARGET[:MODES], or TARGET alone for an anonymous volume
    binds: tuple[str, ...] = ()
    mounts: tuple[MountRequest, ...] = ()
    #: a target and its options, comma-separated
    tmpfs: tuple[tuple[str, str], ...] = ()
    volumes_from: tuple[str, ...] = ()  # CONTAINER[:ro]
    #: a target that is not absolute is below /run/secrets, and of a config below /
    secrets: tuple[FileGrant, ...] = ()
    configs: tuple[FileGrant, ...] = ()
    read_only: bool | None = None
    #: "size" and its text
    storage_options: tuple[tuple[str, str], ...] = ()
    storage_driver: str | None = None
    #: a file of the host that records what is read of the image
    trace_path: str | None = None

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool | None = None
    #: with a seccomp profile's JSON in place of its path
    security_options: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    pid_mode: str | None = None
    ipc_mode: str | None = None
    uts_mode: str | None = None
    shm_size_bytes: int | None = None
    oom_score_adjust: int | None = None

    memory_bytes: int | None = None
    #: memory and swap together; -1 is no limit
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    #: CPUs times 10^9
    nano_cpus: int | None = None
    cpu_period_us: int | None = None
    cpu_quota_us: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    #: -1 and 0 are no limit
    pids_limit: int | None = None
    #: what cannot be enforced is a note, and no error
    best_effort: bool | None = None
    #: a network that is not there is looked for at the start, and not before
    later_networks: bool | None = None
    #: shown again as they were asked for, and of no effect
    runtime: str | None = None
    isolation: str | None = None
    volume_driver: str | None = None


def changed(before: ContainerRequest, after: ContainerRequest) -> frozenset[str]:
    """The names of the fields in which two requests differ."""
    pairs = zip(before._fields, before, after, strict=True)
    return frozenset(name for name, was, now in pairs if was != now)
