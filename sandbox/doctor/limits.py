"""Checks of what confines a container, and of what ends it when its user goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from net.programs import install_command
from sandbox.doctor.check import Check, Machine, passed, read_text
from sandbox.doctor.mounts import read_mounts
from sandbox.runtime.id_maps import user_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTROLLERS = ("cpu", "memory", "pids")
_LIBRARY_ROOTS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
#: there where systemd is the init system, sd_booted(3)
_SYSTEMD = "/run/systemd/system"
_DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' "
    "| sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"
)


def check_cgroups(machine: Machine) -> Check:
    """Looks for a cgroup v2 subtree that is this user's: its own, or the one its systemd manager hands out."""
    mounts = [
        mount.mount_point for mount in read_mounts(f"{machine.proc}/self/mountinfo") if mount.filesystem == "cgroup2"
    ]
    if not mounts:
        return _no_limits("no cgroup v2 file system is mounted")
    for directory in _delegated_directories(machine, mounts[0]):
        controllers = (read_text(f"{directory}/cgroup.controllers") or "").split()
        if not os.access(directory, os.W_OK):
            continue
        lacking = [name for name in _CONTROLLERS if name not in controllers]
        if lacking:
            return _no_limits(f"{directory} lacks the controllers {', '.join(lacking)}")
        return passed("cgroup", f"limits for {', '.join(_CONTROLLERS)} through {directory}")
    return _no_limits(f"no cgroup below {mounts[0]} is delegated to this user")


def check_seccomp(machine: Machine) -> Check:
    """The kernel's filter and the library that compiles for it."""
    if read_text(f"{machine.proc}/sys/kernel/seccomp/actions_avail") is None:
        return Check("seccomp", "failure", "the kernel has no seccomp filters", "CONFIG_SECCOMP_FILTER is off")
    library = _find_library("libseccomp.so.2")
    if library is None:
        mend = install_command("libseccomp2")
        cause = f"no libseccomp.so.2 below {', '.join(_LIBRARY_ROOTS)}"
        return Check("seccomp", "failure", "libseccomp is not installed", cause, mend, needs_admin=True)
    return passed("seccomp", f"system calls are filtered, by {library}")


def check_linger(machine: Machine) -> Check:
    """Whether systemd ends this user's containers at log-out."""
    if not os.path.isdir(_SYSTEMD):
        return passed("linger", "no systemd: containers go on after log-out")
    name = user_name(machine.uid)
    if os.path.exists(f"/var/lib/systemd/linger/{name}"):
        return passed("linger", f"containers of {name} go on after log-out")
    cause = "systemd ends a user's processes with the last session unless lingering is on"
    return Check("linger", "warning", "containers may end at log-out", cause, "loginctl enable-linger")


def _delegated_directories(machine: Machine, root: str) -> Sequence[str]:
    found = []
    for line in (read_text(f"{machine.proc}/self/cgroup") or "").splitlines():
        if line.startswith("0::"):
            found.append(f"{root}{line[3:]}".rstrip("/"))
    found.append(f"{root}/user.slice/user-{machine.uid}.slice/user@{machine.uid}.service")
    return found


def _no_limits(cause: str) -> Check:
    mend = _DELEGATE if os.path.isdir(_SYSTEMD) else ""
    detail = "--memory and --cpus cannot be enforced; --pids-limit can"
    return Check("cgroup", "warning", detail, cause, mend, needs_admin=bool(mend))


def _find_library(name: str) -> str | None:
    for root in _LIBRARY_ROOTS:
        # Debian keeps libraries one level down, in a directory for the architecture
        directories = [root, *(f"{root}/{entry}" for entry in _entries(root) if "-linux-" in entry)]
        for directory in directories:
            if os.path.exists(f"{directory}/{name}"):
                return f"{directory}/{name}"
    return None


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
