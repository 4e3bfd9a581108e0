"""The document of `info`, under Docker's names where Docker has them."""

from __future__ import annotations

import hashlib
import os
import time

from sandbox.config import load_config
from sandbox.container.life.driver_choice import describe_choice
from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.store import all_containers
from sandbox.docker_variables import name_other_machine
from sandbox.doctor.check import this_machine
from sandbox.doctor.checkup import run_check
from sandbox.errors import SandboxError
from sandbox.humane import rfc3339
from sandbox.image.store import list_images
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.cgroups import probe_cgroups
from sandbox.runtime.id_maps import find_id_map
from sandbox.state import open_state
from sandbox.swarm_of_one import ClusterSettings, node_id, swarm_document
from sandbox.system.versions import PYTHON_VERSION
from sandbox.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.config import Config, RegistrySettings
    from sandbox.doctor.check import Check
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths

#: what `info` warns of, as Docker's does of missing limits
_WARNED = ("cgroup", "seccomp", "tun", "slirp4netns", "ping", "local-disk", "space", "linger")
_HUB = "https://index.docker.io/v1/"
_RUNTIME = "sandbox"


class Tried(NamedTuple):
    """What a machine gives, as far as it is found out by trying: namespaces, mounts and processes are made for it."""

    checks: tuple[Check, ...]
    #: the storage driver that nobody has configured, and why this one
    driver: str
    reason: str


def try_machine(context: OperationContext) -> Tried:
    """Try it. Never fails for what the machine lacks."""
    machine = this_machine(context.paths, context.env)
    try:
        driver, reason = describe_choice(context.paths)
    except SandboxError as error:
        driver, reason = "", error.cause or error.message
    return Tried(tuple(run_check(name, machine) for name in _WARNED), driver, reason)


def describe_system(context: OperationContext, tried: Tried | None = None) -> dict[str, Any]:
    """The document of `info`, with what has been found out by trying a short while ago; else it is tried now."""
    paths = context.paths
    tried = tried or try_machine(context)
    checks = {check.name: check for check in tried.checks}
    config = load_config(paths)
    return {
        "ID": _identity(paths),
        **_counts(paths),
        **_driver(paths, config.storage_driver, tried),
        **_engine(config.registries, context.env),
        # as Docker's where nobody has said other ones
        **({"DefaultAddressPools": pools} if (pools := _pools(config)) else {}),
        **_confinement(checks, context.env),
        "KernelVersion": os.uname().release,
        "OperatingSystem": _operating_system("PRETTY_NAME") or "Linux",
        "OSVersion": _operating_system("VERSION_ID"),
        "OSType": "linux",
        "Architecture": os.uname().machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": os.uname().nodename,
        "ServerVersion": __version__,
        "PythonVersion": PYTHON_VERSION,
        "DockerRootDir": paths.data_root,
        "RuntimeDir": paths.runtime_root,
        "ConfigFile": f"{paths.config_root}/config.toml",
        "IdMap": _id_map(),
        "Network": checks["slirp4netns"].detail,
        "Rootless": True,
        "Warnings": [*_warnings(checks), *filter(None, [name_other_machine(context.env)])],
    }


def _pools(config: Config) -> list[dict[str, Any]]:
    return [{"Base": base, "Size": size} for base, size in config.address_pools]


def _warnings(checks: Mapping[str, Check]) -> list[str]:
    return [_warning(check) for check in checks.values() if check.status != "ok"]


def _identity(paths: Paths) -> str:
    """An id of this store on this machine, in the form of a UUID; the machine's own id is not to be read from it."""
    try:
        with open("/etc/machine-id", "rb") as file:
            machine = file.read().strip()
    except OSError:
        machine = os.uname().nodename.encode()
    text = hashlib.sha256(b"sandbox\0" + machine + b"\0" + paths.data_root.encode()).hexdigest()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))


def _engine(registries: RegistrySettings, env: Mapping[str, str]) -> dict[str, Any]:
    """What Docker tells of its daemon, and clients read."""
    proxies = {name: env.get(name.lower()) or env.get(name) or "" for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")}
    return {
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "none", "overlay"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "IPv4Forwarding": True,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 1,
        "SystemTime": rfc3339(time.time_ns()),
        "LoggingDriver": "json-file",
        "NEventsListener": 0,
        "IndexServerAddress": _HUB,
        "RegistryConfig": _registries(registries),
        "GenericResources": None,
        "HttpProxy": proxies["HTTP_PROXY"],
        "HttpsProxy": proxies["HTTPS_PROXY"],
        "NoProxy": proxies["NO_PROXY"],
        "Labels": [],
        "ExperimentalBuild": False,
        "Runtimes": {_RUNTIME: {"path": _RUNTIME}},
        "DefaultRuntime": _RUNTIME,
        # containers go on when a command ends, and there is nothing else to end
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": _RUNTIME,
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "CDISpecDirs": [],
    }


def _registries(settings: RegistrySettings) -> dict[str, Any]:
    names = dict.fromkeys(("docker.io", *settings.mirrors, *settings.insecure))
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {
            name: {
                "Name": name,
                "Mirrors": list(settings.mirrors.get(name, ())),
                "Secure": name not in settings.insecure,
                "Official": name == "docker.io",
            }
            for name in names
        },
        "Mirrors": list(settings.mirrors.get("docker.io", ())),
    }


def _counts(paths: Paths) -> dict[str, Any]:
    with open_state(paths) as connection:
        states = [row.state.status for row in reconcile_all(connection, paths, all_containers(connection))]
        images = len(list_images(connection))
        node = node_id(connection)
    running = sum(status in ("running", "restarting") for status in states)
    paused = states.count("paused")
    return {
        "Containers": len(states),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - running - paused,
        "Images": images,
        "Swarm": swarm_document(node, ClusterSettings()),
    }


def _driver(paths: Paths, configured: str, tried: Tried) -> dict[str, Any]:
    if configured:
        name, reason = configured, f"asked for in {paths.config_root}/config.toml"
    else:
        name, reason = tried.driver, tried.reason
    return {"Driver": name, "DriverStatus": [["Reason", reason]]}


def _confinement(checks: Mapping[str, Check], env: Mapping[str, str]) -> dict[str, Any]:
    check = checks["cgroup"]
    delegated = check.status == "ok"
    driver = "systemd" if "scopes of systemd" in check.detail else "cgroupfs"
    controllers = probe_cgroups(env).controllers
    options = ["name=rootless", "name=userns"]
    if checks["seccomp"].status == "ok":
        options.insert(0, "name=seccomp,profile=builtin")
    return {
        "CgroupVersion": "2" if sc.is_filesystem("/sys/fs/cgroup", sc.CGROUP2_SUPER_MAGIC) else "1",
        "CgroupDriver": driver if delegated else "none",
        "CgroupStatus": check.detail if delegated else check.cause,
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": "memory" in controllers,
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        # without a cgroup by RLIMIT_NPROC
        "PidsLimit": True,
        "OomKillDisable": False,
        "SecurityOptions": options,
    }


def _id_map() -> dict[str, list[list[int]]]:
    try:
        id_map = find_id_map()
    except SandboxError:
        return {"Uid": [], "Gid": []}
    return {"Uid": [list(line) for line in id_map.uid_lines], "Gid": [list(line) for line in id_map.gid_lines]}


def _operating_system(key: str) -> str:
    """A value of os-release(5); "" where it has none."""
    try:
        with open("/etc/os-release", errors="replace") as file:
            rows = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except OSError:
        return ""
    return rows.get(key, "").strip("\"'")


def _warning(check: Check) -> str:
    return f"{check.detail}: {check.cause}" if check.cause else check.detail
