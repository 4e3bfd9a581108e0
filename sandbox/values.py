"""Values that requests, records and the runtime share: mounts, ports, devices, limits, health, logs."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

#: where a container's programs are looked for, unless its image or somebody says otherwise
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MountPoint(NamedTuple):
    """One `-v`, `--mount` or `--tmpfs`, resolved: `source` is an absolute host path, a volume's name, or empty."""

    kind: Literal["bind", "volume", "tmpfs"]
    source: str
    target: str
    read_only: bool = False
    #: private, rprivate, shared, ... ; bind mounts only
    propagation: str = "rprivate"
    #: a bind whose source is made where missing (`-v`), as opposed to an error (`--mount`)
    create_source: bool = False
    #: a new volume takes what the image has at the target
    copy_up: bool = True
    #: an anonymous volume goes with its container under `--rm` and `rm -v`
    anonymous: bool = False
    recursive: bool = True
    tmpfs_size_bytes: int = 0
    #: permission bits
    tmpfs_mode: int = 0o1777
    #: further tmpfs options in mount(8) form
    tmpfs_options: str = ""
    volume_labels: tuple[tuple[str, str], ...] = ()
    #: of the driver, as the volume was made with them
    volume_options: tuple[tuple[str, str], ...] = ()
    #: a path inside the volume, which is mounted in place of all of it
    subpath: str = ""
    #: a read-only bind below which other mounts stay writable
    writable_below: bool = False
    #: whom the caller's files belong to inside, "USER" or "UID:GID"; "" is no mapping. Bind mounts only
    mapped_user: str = ""


class MountRequest(NamedTuple):
    """One `--mount` as asked for, Docker's Mount; a bind's `source` is an absolute path. Pairs keep their order."""

    kind: str = "volume"
    source: str = ""
    target: str = ""
    read_only: bool = False
    propagation: str = ""
    recursion: str = ""
    create_source: bool = False
    mapped_user: str = ""
    no_copy: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    driver: str = ""
    driver_options: tuple[tuple[str, str], ...] = ()
    subpath: str = ""
    tmpfs_size_bytes: int = 0
    #: permission bits
    tmpfs_mode: int | None = None
    #: of a volume with a name: nobody has given it that, and it goes with its container
    unnamed: bool = False


class FileGrant(NamedTuple):
    """One secret or config that a container gets: of an object, of a file of the host, or of a text given right here.

    The content is copied at `create`, and written to a tmpfs at each start. `target` is a path inside; with `variable`
    there is no file, and the content is the value of this environment variable.
    """

    #: the object's name or id
    source: str = ""
    target: str = ""
    uid: int = 0
    gid: int = 0
    #: permission bits
    mode: int = 0o444
    #: a file of the host
    path: str = ""
    #: the content itself, on its way to `create`; no record has it
    content: str | None = None
    variable: str = ""

    def __repr__(self) -> str:
        content = "" if self.content is None else ", content=…"
        return f"FileGrant(source={self.source!r}, target={self.target!r}, path={self.path!r}{content})"


class EndpointRequest(NamedTuple):
    """One network that a container is to join, and how: Docker's EndpointSettings."""

    #: a network's name or id, or a mode: default, bridge, none, host, container:ID
    network: str
    aliases: tuple[str, ...] = ()
    driver_options: tuple[tuple[str, str], ...] = ()
    links: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_addresses: tuple[str, ...] = ()
    mac_address: str = ""
    gateway_priority: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the network itself is asked for."""
        return self == EndpointRequest(self.network)


class PublishedPort(NamedTuple):
    """A host address and port in front of a container's.

    `host_port` 0 asks for any free one; with `host_port_end`, any free one from `host_port` to it. `proxy_protocol` is
    the version of the header that each connection begins with, 0 for none. Same fields and order as
    `net.ports.PortMapping`.
    """

    host_ip: str
    host_port: int
    container_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host_port_end: int = 0
    proxy_protocol: int = 0


class Rlimit(NamedTuple):
    """One `--ulimit`: `name` as in setrlimit(2), lower case without RLIMIT_; -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Device(NamedTuple):
    host_path: str
    container_path: str
    permissions: str = "rwm"


class RestartPolicy(NamedTuple):
    name: Literal["no", "on-failure", "always", "unless-stopped"] = "no"
    maximum_retries: int = 0


class HealthCheck(NamedTuple):
    """`test` as in the image: ("NONE",), ("CMD", …) or ("CMD-SHELL", text); empty inherits. Times in ns."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class LogConfig(NamedTuple):
    driver: str = "json-file"
    options: tuple[tuple[str, str], ...] = ()


class Resources(NamedTuple):
    """Limits as asked; 0 is none. `nano_cpus` is CPUs times 10^9."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    memory_reservation_bytes: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    pids_limit: int = 0
    #: what cannot be enforced is a warning, not an error
    best_effort: bool = False


class LogOptions(NamedTuple):
    """`maximum_bytes` 0 is no limit, and then there is one file."""

    maximum_bytes: int = 0
    maximum_files: int = 1
    compress: bool = False


#: what a container has that was given no options. `local` has Docker's values; `json-file`, which Docker lets grow
#: until the disk is full, is held to so much that few ever meet it
DEFAULT_OPTIONS = {"json-file": LogOptions(100 << 20, 5), "local": LogOptions(20 << 20, 5, compress=True)}
