"""A container's tree as a plan: frozen operations that say what to mount where, in order.

`plan_root` is a pure function of the ContainerSpec; `rootfs.RootBuilder` executes it.
Order: /proc first (a mount over it is refused by looking at the file system met, so it must be there), /dev and
/sys, then what the person asked for, then masks, and the read-only root last.
"""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.spec import BindMount
from sandbox.runtime.syscalls import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sandbox.runtime.spec import ContainerSpec, TmpfsMount

    Filesystem = Literal["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2"]

#: name below /dev and the device number it must have: the bind mount of anything else is refused
_DEVICES: tuple[tuple[str, tuple[int, int]], ...] = (
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
)
_LINKS: tuple[tuple[str, str], ...] = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
)
_NO_DEV_EXEC_SUID = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
_FLAG_WORDS = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
    "nodiratime": MOUNT_ATTR_NODIRATIME,
}
_CLEAR_WORDS = {
    "rw": MOUNT_ATTR_RDONLY,
    "suid": MOUNT_ATTR_NOSUID,
    "dev": MOUNT_ATTR_NODEV,
    "exec": MOUNT_ATTR_NOEXEC,
    "diratime": MOUNT_ATTR_NODIRATIME,
}
#: one of three ways; the kernel's own is that of "relatime"
_TIME_WORDS = {
    "relatime": 0,
    "atime": 0,
    "norelatime": 0,
    "nostrictatime": 0,
    "noatime": MOUNT_ATTR_NOATIME,
    "strictatime": MOUNT_ATTR_STRICTATIME,
}


class MountFilesystem(NamedTuple):
    """A new file system of `kind` at `target`; `optional` ones are left out where the kernel refuses them."""

    kind: Filesystem
    target: str
    options: tuple[str, ...] = ()
    attributes: int = 0
    optional: bool = False
    #: asked for by the person: the target may lie behind the image's own symbolic links
    by_request: bool = False

    def describe(self) -> str:
        return f"mount {self.kind} at {self.target} [{','.join(self.options)}] attributes {self.attributes:#x}"


class Bind(NamedTuple):
    """The host's `source` at `target`."""

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    propagation: str = "rprivate"
    by_request: bool = True
    #: a path below the source, which may not lead out of it
    subpath: str = ""
    #: with `read_only`: mounts below the source stay as they are
    writable_below: bool = False

    def describe(self) -> str:
        if self.subpath:
            return f"bind {self.subpath} of {self.source} at {self.target}"
        words = f"{'rbind' if self.recursive else 'bind'},{'ro' if self.read_only else 'rw'},{self.propagation}"
        return f"bind {self.source} at {self.target} [{words}]"


class BindDevice(NamedTuple):
    """The host's device node `source` at `target`; refused unless it has `number` (major, minor), where given."""

    source: str
    target: str
    number: tuple[int, int] | None = None

    def describe(self) -> str:
        return f"bind device {self.source} at {self.target}"


class Link(NamedTuple):
    """A symbolic link in /dev."""

    target: str
    text: str

    def describe(self) -> str:
        return f"link {self.target} -> {self.text}"


class Mask(NamedTuple):
    """Hide a path of procfs or sysfs behind an empty one; nothing where it is missing."""

    target: str

    def describe(self) -> str:
        return f"mask {self.target}"


class ReadOnlyPath(NamedTuple):
    """Make a path of procfs or sysfs read-only; nothing where it is missing."""

    target: str

    def describe(self) -> str:
        return f"read-only {self.target}"


class ReadOnlyRoot(NamedTuple):
    """Make the root mount itself read-only."""

    def describe(self) -> str:
        return "read-only /"


Operation = MountFilesystem | Bind | BindDevice | Link | Mask | ReadOnlyPath | ReadOnlyRoot


def plan_root(spec: ContainerSpec, *, unified_cgroups: bool = False) -> tuple[Operation, ...]:
    """The operations that make the tree of `spec`, in order. Raises UsageError for a target that cannot be."""
    requested = tuple(_normalised(mount.target) for mount in spec.mounts)
    for target in requested:
        _check_target(target)
    defaults = (*_proc(spec), *_dev(spec), *_sys(spec, unified_cgroups))
    kept = tuple(operation for operation in defaults if not _covered(operation.target, requested))
    return (
        *kept,
        *_requested(spec),
        *(BindDevice(device.host_path, _normalised(device.container_path)) for device in spec.devices),
        *(Mask(path) for path in spec.masked_paths),
        *(ReadOnlyPath(path) for path in spec.read_only_paths),
        *((ReadOnlyRoot(),) if spec.read_only_root else ()),
    )


def parse_tmpfs(mount: TmpfsMount) -> MountFilesystem:
    """The operation for a tmpfs: words of mount(8) in its data that are flags become attributes."""
    attributes = 0
    for wanted, flag in (
        (mount.read_only, MOUNT_ATTR_RDONLY),
        (mount.nosuid, MOUNT_ATTR_NOSUID),
        (mount.nodev, MOUNT_ATTR_NODEV),
        (mount.noexec, MOUNT_ATTR_NOEXEC),
    ):
        attributes |= flag if wanted else 0
    options = []
    for word in filter(None, mount.data.split(",")):
        if word in _FLAG_WORDS:
            attributes |= _FLAG_WORDS[word]
        elif word in _CLEAR_WORDS:
            attributes &= ~_CLEAR_WORDS[word]
        elif word in _TIME_WORDS:
            attributes = attributes & ~MOUNT_ATTR__ATIME | _TIME_WORDS[word]
        else:
            options.append(word)
    if not any(option.startswith("mode=") for option in options):
        options.append("mode=1777")
    return MountFilesystem("tmpfs", _normalised(mount.target), tuple(options), attributes, by_request=True)


def _proc(spec: ContainerSpec) -> tuple[Bind | MountFilesystem, ...]:
    if spec.pid_mode == "host":
        # a procfs of the host's pid namespace belongs to the host's user namespace: only a bind mount can show it
        return (Bind("/proc", "/proc", by_request=False),)
    return (MountFilesystem("proc", "/proc", (), _NO_DEV_EXEC_SUID),)


def _dev(spec: ContainerSpec) -> tuple[MountFilesystem | Bind | BindDevice | Link, ...]:
    pts_options = ("mode=0620", "ptmxmode=0666", "gid=5")
    shm_options = ("mode=1777", f"size={spec.shm_size_bytes}")
    queues = MountFilesystem("mqueue", "/dev/mqueue", (), _NO_DEV_EXEC_SUID, optional=spec.ipc_mode == "join")
    ipc: tuple[MountFilesystem | Bind, ...] = (queues,)
    if spec.shm_size_bytes:
        ipc = (MountFilesystem("tmpfs", "/dev/shm", shm_options, _NO_DEV_EXEC_SUID), queues)
    if spec.ipc_mode == "host":
        ipc = (Bind("/dev/shm", "/dev/shm", by_request=False),)
    return (
        MountFilesystem("tmpfs", "/dev", ("mode=755", "size=65536k"), MOUNT_ATTR_NOSUID),
        MountFilesystem("devpts", "/dev/pts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
        *ipc,
        *(BindDevice(f"/dev/{name}", f"/dev/{name}", number) for name, number in _DEVICES),
        *(Link(target, text) for target, text in _LINKS),
    )


def _sys(spec: ContainerSpec, unified_cgroups: bool) -> tuple[MountFilesystem | Bind, ...]:
    read_only = 0 if spec.privileged else MOUNT_ATTR_RDONLY
    sysfs: MountFilesystem | Bind = MountFilesystem("sysfs", "/sys", (), _NO_DEV_EXEC_SUID | read_only)
    if spec.network == "host":
        # sysfs shows a network namespace and needs power over it: the host's can only be bound
        sysfs = Bind("/sys", "/sys", read_only=True, by_request=False)
    if not unified_cgroups:
        return (sysfs,)
    # also over the host's cgroups, which come with its /sys
    return (sysfs, MountFilesystem("cgroup2", "/sys/fs/cgroup", (), _NO_DEV_EXEC_SUID | read_only, optional=True))


def _requested(spec: ContainerSpec) -> tuple[MountFilesystem | Bind, ...]:
    operations: list[MountFilesystem | Bind] = []
    for mount in spec.mounts:
        if isinstance(mount, BindMount):
            operations.append(mount_to_bind(mount))
        else:
            operations.append(parse_tmpfs(mount))
    # a mount on /a must not hide the one on /a/b, whatever the order on the command line
    return tuple(sorted(operations, key=lambda operation: operation.target.count("/")))


def mount_to_bind(mount: BindMount) -> Bind:
    """The operation for a bind mount of the spec."""
    source, target, read_only, recursive, propagation, subpath, writable_below = mount
    return Bind(
        source, _normalised(target), read_only, recursive, propagation, subpath=subpath, writable_below=writable_below
    )


def _normalised(path: str) -> str:
    if not path.startswith("/"):
        raise UsageError(f"invalid mount path {path!r}: it must be absolute")
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _check_target(target: str) -> None:
    if target == "/":
        raise UsageError("invalid mount: the destination cannot be /")
    if target == "/proc" or target.startswith("/proc/"):
        raise UsageError(
            f"cannot mount over {target}: the checks of the container's isolation rely on /proc",
            mend="mount it elsewhere",
        )


def _covered(target: str, requested: tuple[str, ...]) -> bool:
    return any(target == other or target.startswith(f"{other}/") for other in requested)
