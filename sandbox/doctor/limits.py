"""Checks of what confines a container, and of what ends it when its user goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from net.programs import install_command
from sandbox.doctor.check import Check, passed, read_text, wants_admin
from sandbox.runtime.cgroups import probe_cgroups
from sandbox.runtime.id_maps import user_name
from sandbox.runtime.systemd_scopes import is_booted

if TYPE_CHECKING:
    from sandbox.doctor.check import Machine

_CONTROLLERS = ("cpu", "memory", "pids")
_LIBRARY_ROOTS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


def check_cgroups(machine: Machine) -> Check:
    """Looks for a cgroup v2 subtree that is this user's, as `run` does: its systemd manager's, or one given to it."""
    probe = probe_cgroups(machine.env)
    if probe.kind == "none":
        return _no_limits(probe.reason, probe.mend)
    place = f"scopes of systemd below {probe.parent}" if probe.kind == "systemd" else probe.parent
    lacking = [name for name in _CONTROLLERS if name not in probe.controllers]
    if lacking:
        return _no_limits(f"{probe.parent} lacks the controllers {', '.join(lacking)}", probe.mend)
    return passed("cgroup", f"limits for {', '.join(sorted(probe.controllers))} through {place}")


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
    if not is_booted():
        return passed("linger", "no systemd: containers go on after log-out")
    name = user_name(machine.uid)
    if os.path.exists(f"/var/lib/systemd/linger/{name}"):
        return passed("linger", f"containers of {name} go on after log-out")
    cause = "systemd ends a user's processes with the last session unless lingering is on"
    return Check("linger", "warning", "containers may end at log-out", cause, "loginctl enable-linger")


def _no_limits(cause: str, mend: str) -> Check:
    detail = "--memory and --cpus cannot be enforced; --pids-limit can"
    return Check("cgroup", "warning", detail, cause, mend, needs_admin=wants_admin(mend))


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
