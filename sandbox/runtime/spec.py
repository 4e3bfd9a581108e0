"""What the runtime is told: a container as the kernel will see it, every default already applied.

`sandbox.container` makes these of a `ContainerConfig`; nothing here knows images, names or the database.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class BindMount(NamedTuple):
    """Mount the host's `source` at `target` inside; the source is reached from the monitor's mount namespace."""

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    propagation: str = "rprivate"
    #: what of the source is mounted: a path that may not lead out of it
    subpath: str = ""
    #: with `read_only`: mounts below the source stay as they are
    writable_below: bool = False


class TmpfsMount(NamedTuple):
    target: str
    #: mount(8) data such as "size=64m,mode=1777"
    data: str = ""
    read_only: bool = False
    nosuid: bool = True
    nodev: bool = True
    noexec: bool = False


Mount = BindMount | TmpfsMount


class DeviceNode(NamedTuple):
    host_path: str
    container_path: str


#: RLIMIT_* by number, in lower case (asm-generic/resource.h), which x86, arm and riscv share
RESOURCE_NAMES = (
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending",
    "msgqueue", "nice", "rtprio", "rttime",
)  # fmt: skip


class ResourceLimit(NamedTuple):
    """setrlimit(2): `resource` is the number of RLIMIT_*; -1 is RLIM_INFINITY."""

    resource: int
    soft: int
    hard: int


class ProcessSpec(NamedTuple):
    """One process in a container, its first or one of `exec`.

    `user` is Docker's "name|uid[:group|gid]", looked up in the container's own /etc/passwd and /etc/group by reading
    the file text. `capabilities` is the bounding set ("CAP_CHOWN", …); a user other than 0 gets no effective ones.
    """

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    working_directory: str = "/"
    user: str = ""
    additional_groups: tuple[str, ...] = ()
    terminal: bool = False
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    #: a compiled BPF program (array of struct sock_filter), or None for unconfined
    seccomp_program: bytes | None = None
    resource_limits: tuple[ResourceLimit, ...] = ()
    oom_score_adjust: int | None = None


class ContainerSpec(NamedTuple):
    """A container: its namespaces, its tree and its first process."""

    container_id: str
    process: ProcessSpec
    #: the directory that holds the mounted root file system, in the monitor's mount namespace
    root: str
    hostname: str
    domain_name: str = ""
    read_only_root: bool = False
    mounts: tuple[Mount, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    #: a network namespace of its own (its user namespace is the container's), the host's, or that of a pid
    network: Literal["private", "host", "join"] = "private"
    join_network_pid: int = 0
    #: whether somebody answers at 127.0.0.11 inside: on networks with a name
    local_names: bool = False
    #: ports of the host's loopback that it is let reach
    host_ports: tuple[int, ...] = ()
    pid_mode: Literal["private", "host", "join"] = "private"
    join_pid: int = 0
    ipc_mode: Literal["private", "host", "join"] = "private"
    join_ipc_pid: int = 0
    uts_mode: Literal["private", "host"] = "private"
    sysctls: tuple[tuple[str, str], ...] = ()
    masked_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()
    #: of /dev/shm; with 0 there is none
    shm_size_bytes: int = 64 * 1024 * 1024
    init: bool = False
    privileged: bool = False
    #: RLIMIT_NPROC in the nested user namespace; 0 is none
    process_limit: int = 0
    #: a cgroup v2 directory to join and to show inside, or ""
    cgroup: str = ""
