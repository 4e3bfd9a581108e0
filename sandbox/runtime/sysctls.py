"""Which sysctls a container may set, and writing them: those of its own network and ipc namespaces."""

from __future__ import annotations

from sandbox.errors import StartError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.runtime.spec import ContainerSpec

_IPC_NAMES = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)

Sysctls = tuple[tuple[str, str], ...]


def network_sysctls(spec: ContainerSpec) -> Sysctls:
    """What is asked for of the network namespace."""
    _check(spec)
    return tuple(pair for pair in spec.sysctls if pair[0].startswith("net."))


def other_sysctls(spec: ContainerSpec) -> Sysctls:
    """What is asked for of the ipc namespace."""
    _check(spec)
    return tuple(pair for pair in spec.sysctls if not pair[0].startswith("net."))


def write_sysctls(sysctls: Sysctls) -> None:
    """Write each to /proc/sys, which shows the namespaces of who opens it. Raises StartError."""
    for name, value in sysctls:
        path = "/proc/sys/" + name.replace(".", "/")
        try:
            with open(path, "w") as file:
                file.write(value)
        except OSError as error:
            raise StartError(f"cannot set the sysctl {name} to {value!r}", cause=error.strerror or "") from error


def _check(spec: ContainerSpec) -> None:
    for name, _value in spec.sysctls:
        if "/" in name or ".." in name:
            raise UsageError(f"invalid sysctl {name!r}")
        if name.startswith("net."):
            if spec.network != "private":
                raise UsageError(f"sysctl {name} is not allowed: the container has no network namespace of its own")
        elif name in _IPC_NAMES or name.startswith("fs.mqueue."):
            if spec.ipc_mode != "private":
                raise UsageError(f"sysctl {name} is not allowed: the container has no ipc namespace of its own")
        else:
            raise UsageError(f"sysctl {name} is not in a namespace of its own: it would change the host")
