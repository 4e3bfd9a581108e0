"""Scopes of the user's systemd manager: a cgroup with controllers of its own, given to a process that runs already.

Only the manager may make one, and only it may move a process there from a log-in session, whose cgroup is not the
user's (cgroups(7): who moves a process needs power over the nearest cgroup above both places). It is asked by who
still has the caller's uid: the bus refuses a caller whose uid in its user namespace is not the one the kernel sees.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from net.programs import IGNORED_BY_PYTHON
from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_BUSCTL = "/usr/bin/busctl"
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_DEADLINE_SECONDS = 5.0


def is_booted() -> bool:
    """Whether systemd is the init system, sd_booted(3)."""
    return os.path.isdir("/run/systemd/system")


def find_bus(env: Mapping[str, str]) -> str:
    """The directory with the socket of this user's bus, "" where there is none: no manager, or no busctl to ask it.

    XDG_RUNTIME_DIR may be unset, or another user's (su, cron): then it is where pam_systemd makes it.
    """
    for directory in (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"):
        try:
            owner = os.stat(f"{directory}/bus").st_uid
        except OSError:
            continue
        if directory.startswith("/") and owner == os.getuid():
            return directory if os.access(_BUSCTL, os.X_OK) else ""
    return ""


def lingers() -> bool:
    """Whether this user's manager, and with it every scope, goes on after log-out (loginctl enable-linger)."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return False
    return os.path.exists(f"/var/lib/systemd/linger/{name}")


def leave_session(name: str, env: Mapping[str, str]) -> None:
    """Have this process go on after log-out where its user lingers, in a scope `sandbox-NAME-PID`.

    The scope of a log-in session is ended with it where logind's KillUserProcesses is on. Where the manager refuses we
    stay: nothing is lost before the log-out.
    """
    if not is_booted() or "/session-" not in cgroup_of() or not lingers() or not find_bus(env):
        return
    pid = os.getpid()
    with suppress(HostError):
        start_scope(f"sandbox-{name}-{pid}.scope", pid, env)


def start_scope(unit: str, pid: int, env: Mapping[str, str]) -> str:
    """Move `pid` into the new scope `unit`, its cgroup delegated to us; returns that path below the root of cgroups.

    Raises HostError.
    """
    before = cgroup_of(pid)
    properties = [
        *("PIDs", "au", "1", str(pid)),
        *("Delegate", "b", "true"),
        *("Description", "s", "sandbox container"),
        *("CollectMode", "s", "inactive-or-failed"),
    ]
    arguments = ["StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "4", *properties, "0"]
    if not _call(arguments, env):
        raise HostError(
            "the user's systemd manager refused to make a scope for the container",
            cause="busctl --user call … StartTransientUnit failed",
            mend="systemctl --user status",
        )
    # The answer says that the job is queued; that it is done shows in the process itself. There is nothing to wait on:
    # a process's cgroup has no event, and JobRemoved goes to the bus name that asked, busctl's, which is gone by then.
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (now := cgroup_of(pid)) == before:
        if time.monotonic() > deadline:
            raise HostError(
                "systemd did not move the container to a cgroup of its own", mend=f"systemctl --user status {unit}"
            )
        time.sleep(0.002)
    return now


def attach_to_scope(cgroup: str, pid: int, env: Mapping[str, str]) -> bool:
    """Have the manager move `pid` to a cgroup below one of its scopes; whether it did."""
    head, dot_scope, below = cgroup.partition(".scope/")
    if not dot_scope:
        return False
    unit = f"{os.path.basename(head)}.scope"
    return _call(["AttachProcessesToUnit", "ssau", unit, f"/{below}", "1", str(pid)], env)


def cgroup_of(pid: str | int = "self") -> str:
    """The path of a process's cgroup v2 below the root of cgroups, "" for the root itself."""
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            if line.startswith("0::"):
                return line[3:].strip().rstrip("/")
    return ""


def _call(arguments: list[str], env: Mapping[str, str]) -> bool:
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": find_bus(env)}
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    words = ["busctl", "--user", "--quiet", "call", *_MANAGER, *arguments]
    try:
        child = os.posix_spawn(_BUSCTL, words, environment, file_actions=actions, setsigdef=IGNORED_BY_PYTHON)
    except FileNotFoundError:
        return False
    _pid, status = os.waitpid(child, 0)
    return status == 0
