"""Checks of user namespaces and of the ids that are mapped into them."""

from __future__ import annotations

import os
import sys

from net.programs import find_program, install_command, read_output
from sandbox.doctor.check import Check, Machine, from_error, passed, read_text
from sandbox.errors import SandboxError
from sandbox.runtime.id_maps import IdMap, MapLine, find_id_map, user_name
from sandbox.runtime.user_namespace import APPARMOR_MEND, call_in_user_namespace
from storage.syscalls import mount

#: what twenty containers and a build beside them take, with room
_FEW_NAMESPACES = 100
_APPARMOR_SWITCH = "sys/kernel/apparmor_restrict_unprivileged_userns"


def check_kernel(machine: Machine) -> Check:
    """5.11 brought overlay mounts in user namespaces; nothing older is tried."""
    release = os.uname().release
    numbers = [int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal()]
    if numbers < [5, 11]:
        return Check("kernel", "warning", f"Linux {release} is old", "5.11 or newer is what sandbox is tested with")
    return passed("kernel", f"Linux {release}, {os.uname().machine}")


def check_user_namespaces(machine: Machine) -> Check:
    """Makes one, with a mount namespace, and mounts in it, with nobody's help."""
    single = IdMap((MapLine(0, os.getuid(), 1),), (MapLine(0, os.getgid(), 1),))
    try:
        call_in_user_namespace(_mount_something, machine.paths.runtime_root, id_map=single)
    except (SandboxError, OSError) as error:
        return _refused(machine, error)
    limit = read_text(f"{machine.proc}/sys/user/max_user_namespaces")
    if limit is not None and limit.isdecimal() and int(limit) < _FEW_NAMESPACES:
        return Check(
            "userns",
            "warning",
            f"only {limit} user namespaces are allowed",
            "user.max_user_namespaces; each container takes two",
            "sudo sysctl -w user.max_user_namespaces=15000",
            needs_admin=True,
        )
    return passed("userns", "this user can make user namespaces and mount in them")


def check_subordinate_ids(machine: Machine) -> Check:
    """Looks them up by file and by getsubids."""
    try:
        id_map = find_id_map()
    except SandboxError as error:
        return from_error("subids", error)
    uids, gids = (sum(line.size for line in lines[1:]) for lines in (id_map.uid_lines, id_map.gid_lines))
    return passed("subids", f"{uids} subordinate uids and {gids} gids for {user_name(machine.uid)}")


def check_getsubids(machine: Machine) -> Check:
    """Asks the shadow library, which knows directories (LDAP, AD) that the files do not."""
    program = find_program("getsubids")
    if program is None:
        return passed("getsubids", "not installed; /etc/subuid and /etc/subgid are read")
    name = user_name(machine.uid)
    answer = read_output((program, name))
    if not answer.startswith("0:"):
        return Check(
            "getsubids",
            "warning",
            f"getsubids names no ids for {name}",
            answer.strip().partition("\n")[0],
            "sandbox doctor subids",
        )
    return passed("getsubids", "; ".join(answer.split("\n")[:3]).strip("; "))


def check_id_map(machine: Machine) -> Check:
    """Lets newuidmap and newgidmap write a map, and reads it back from inside."""
    try:
        id_map = find_id_map()
        text = call_in_user_namespace(_read_uid_map, id_map=id_map)
    except (SandboxError, OSError) as error:
        return _map_refused(error)
    rows = str(text).splitlines()
    if len(rows) != len(id_map.uid_lines):
        return Check("idmap", "failure", "newuidmap wrote another map than it was asked for", "; ".join(rows))
    return passed("idmap", "newuidmap and newgidmap write the map: " + _shown(id_map))


def apparmor_profile(executable: str | None = None) -> str:
    """A profile that gives user namespaces to the interpreter sandbox runs on, and changes nothing else."""
    path = os.path.realpath(executable or sys.executable)
    return (
        "abi <abi/4.0>,\ninclude <tunables/global>\n\n"
        f'profile sandbox "{path}" flags=(unconfined) {{\n  userns,\n  include if exists <local/sandbox>\n}}\n'
    )


def _refused(machine: Machine, error: SandboxError | OSError) -> Check:
    if read_text(f"{machine.proc}/{_APPARMOR_SWITCH}") == "1":
        return Check(
            "userns",
            "failure",
            "user namespaces are refused",
            f"AppArmor gives them to named programs only, and {os.path.realpath(sys.executable)} is not one",
            APPARMOR_MEND,
            needs_admin=True,
        )
    if isinstance(error, SandboxError):
        return from_error("userns", error)._replace(detail="user namespaces are refused")
    return Check("userns", "failure", "user namespaces are refused", error.strerror or str(error))


def _map_refused(error: SandboxError | OSError) -> Check:
    if isinstance(error, SandboxError):
        return from_error("idmap", error)
    mend = install_command("uidmap")
    return Check("idmap", "failure", "newuidmap cannot be run", error.strerror or str(error), mend, needs_admin=True)


def _shown(id_map: IdMap) -> str:
    return ", ".join(f"{inner}→{outer}+{size}" for inner, outer, size in id_map.uid_lines)


# the rest runs in the forked process, inside


def _mount_something(directory: str) -> None:
    mount("tmpfs", directory, "tmpfs", 0, "size=4k")


def _read_uid_map() -> str:
    with open("/proc/self/uid_map") as file:
        return file.read()
