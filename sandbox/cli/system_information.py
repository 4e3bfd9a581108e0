"""What `sandbox info` and `sandbox version` tell, under Docker's names where Docker has them."""

from __future__ import annotations

import os
import sys

from sandbox.container.life.driver_choice import describe_choice
from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.store import all_containers
from sandbox.doctor.check import this_machine
from sandbox.doctor.checkup import run_check
from sandbox.errors import SandboxError
from sandbox.image.store import list_images
from sandbox.runtime.id_maps import find_id_map
from sandbox.state import open_state
from sandbox.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.command import Context
    from sandbox.doctor.check import Check
    from sandbox.paths import Paths

#: what `info` warns of, as Docker's does of missing limits
_WARNED = ("cgroup", "seccomp", "tun", "slirp4netns", "ping", "local-disk", "space", "linger")
#: the Engine API whose semantics are followed
_API_VERSION = "1.48"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}


def describe_version() -> dict[str, Any]:
    """The document of `version`. Client and server are one program here; scripts ask for either."""
    common = {
        "Version": __version__,
        "ApiVersion": _API_VERSION,
        "PythonVersion": ".".join(map(str, sys.version_info[:3])),
        "Os": "linux",
        "Arch": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "KernelVersion": os.uname().release,
    }
    return {"Client": dict(common), "Server": dict(common)}


def describe_system(context: Context) -> dict[str, Any]:
    """The document of `info`. Never fails for what the machine lacks: that is among its warnings."""
    paths = context.find_paths()
    machine = this_machine(paths, context.env)
    checks = {name: run_check(name, machine) for name in _WARNED}
    return {
        **_counts(paths),
        **_driver(paths),
        **_confinement(checks),
        "KernelVersion": os.uname().release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": os.uname().machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": os.uname().nodename,
        "ServerVersion": __version__,
        "PythonVersion": describe_version()["Client"]["PythonVersion"],
        "DockerRootDir": paths.data_root,
        "RuntimeDir": paths.runtime_root,
        "ConfigFile": f"{paths.config_root}/config.toml",
        "IdMap": _id_map(),
        "Network": checks["slirp4netns"].detail,
        "Rootless": True,
        "Warnings": [_warning(check) for check in checks.values() if check.status != "ok"],
    }


def _counts(paths: Paths) -> dict[str, Any]:
    with open_state(paths) as connection:
        states = [row.state.status for row in reconcile_all(connection, paths, all_containers(connection))]
        images = len(list_images(connection))
    running = sum(status in ("running", "restarting") for status in states)
    paused = states.count("paused")
    return {
        "Containers": len(states),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - running - paused,
        "Images": images,
    }


def _driver(paths: Paths) -> dict[str, Any]:
    from sandbox.config import load_config

    configured = load_config(paths).storage_driver
    if configured:
        name, reason = configured, f"asked for in {paths.config_root}/config.toml"
    else:
        try:
            name, reason = describe_choice(paths)
        except SandboxError as error:
            name, reason = "", error.cause or error.message
    return {"Driver": name, "DriverStatus": [["Reason", reason]]}


def _confinement(checks: dict[str, Check]) -> dict[str, Any]:
    delegated = checks["cgroup"].status == "ok"
    driver = "systemd" if "scopes of systemd" in checks["cgroup"].detail else "cgroupfs"
    options = ["name=rootless", "name=userns"]
    if checks["seccomp"].status == "ok":
        options.insert(0, "name=seccomp,profile=builtin")
    return {
        "CgroupVersion": "2" if delegated else "",
        "CgroupDriver": driver if delegated else "none",
        "CgroupStatus": checks["cgroup"].detail if delegated else checks["cgroup"].cause,
        "MemoryLimit": delegated,
        "CPUCfsQuota": delegated,
        "PidsLimit": True,
        "SecurityOptions": options,
    }


def _id_map() -> dict[str, list[list[int]]]:
    try:
        id_map = find_id_map()
    except SandboxError:
        return {"Uid": [], "Gid": []}
    return {"Uid": [list(line) for line in id_map.uid_lines], "Gid": [list(line) for line in id_map.gid_lines]}


def _operating_system() -> str:
    try:
        with open("/etc/os-release", errors="replace") as file:
            rows = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except OSError:
        return "Linux"
    return rows.get("PRETTY_NAME", "Linux").strip("\"'")


def _warning(check: Check) -> str:
    return f"{check.detail}: {check.cause}" if check.cause else check.detail
