"""User and group id maps of user namespaces: who may map what, and writing it.

The caller's own id becomes 0 inside, subordinate ids (subuid(5), subgid(5)) become 1 and up. Only the set-user-id
programs newuidmap and newgidmap may write such a map; where they fail they say little, so their failure is probed.
"""

from __future__ import annotations

import os
import pwd
import stat
from itertools import pairwise

from net.programs import IGNORED_BY_PYTHON, install_command
from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.syscalls import PR_GET_NO_NEW_PRIVS, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PROGRAM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"
#: what an image may expect to own: up to nobody, 65534
_WANTED_IDS = 65535
#: what useradd(8) gives each user, and from where on (SUB_UID_MIN of login.defs(5))
_GRANTED_IDS = 65536
_FIRST_SUBORDINATE = 100_000


class IdRange(NamedTuple):
    """`size` ids from `start` on."""

    start: int
    size: int


class MapLine(NamedTuple):
    """One line of /proc/PID/uid_map: `size` ids."""

    inner: int
    outer: int
    size: int


class IdMap(NamedTuple):
    """The uid and the gid map of a user namespace."""

    uid_lines: tuple[MapLine, ...]
    gid_lines: tuple[MapLine, ...]

    @property
    def single(self) -> bool:
        """Whether only the caller's own ids are mapped."""
        return sum(line.size for line in self.uid_lines) == 1


def subordinate_ids(kind: str, name: str, uid: int, directory: str = "/etc") -> tuple[IdRange, ...]:
    """The ranges of `kind` ("subuid" or "subgid") of a user, from the file or, where it has none, from getsubids(1).

    Both files are keyed by user, by name or by number; group ids as well. Lines that cannot be read are skipped.
    """
    return parse_subordinate_ids(_read(f"{directory}/{kind}"), name, uid) or _ask_getsubids(kind, name)


def parse_subordinate_ids(text: str, name: str, uid: int) -> tuple[IdRange, ...]:
    """The ranges of one user in the text of /etc/subuid or /etc/subgid, without repeats."""
    return _all_ranges(text, (name, str(uid)))


def _all_ranges(text: str, owners: tuple[str, ...] = ()) -> tuple[IdRange, ...]:
    ranges = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or (owners and fields[0] not in owners):
            continue
        if fields[1].isdecimal() and fields[2].isdecimal() and int(fields[2]):
            ranges.append(IdRange(int(fields[1]), int(fields[2])))
    return tuple(dict.fromkeys(ranges))


def check_ranges(ranges: tuple[IdRange, ...], file: str) -> None:
    """Raise HostError where two ranges overlap: the kernel would refuse the map with a bare EINVAL."""
    ordered = sorted(ranges)
    for before, after in pairwise(ordered):
        if before.start + before.size > after.start:
            raise HostError(
                f"the subordinate ids of this user overlap in {file}",
                cause=f"{before.start}:{before.size} and {after.start}:{after.size} share ids",
                mend=f"sudo editor {file}",
            )


def full_map(own_id: int, ranges: tuple[IdRange, ...]) -> tuple[MapLine, ...]:
    """0 is `own_id`; the ranges follow from 1 on, one line each."""
    lines, inner = [MapLine(0, own_id, 1)], 1
    for start, count in ranges:
        lines.append(MapLine(inner, start, count))
        inner += count
    return tuple(lines)


def identity_lines(map_text: str) -> tuple[MapLine, ...]:
    """The map that shows everything of a /proc/PID/uid_map again under the same number.

    One line for each line of the outer map: an extent may not span two of them (EPERM).
    """
    return tuple(line._replace(outer=line.inner) for line in parse_map(map_text))


def parse_map(map_text: str) -> tuple[MapLine, ...]:
    """The lines of a /proc/PID/uid_map."""
    return tuple(MapLine(*map(int, line.split())) for line in map_text.splitlines())


def format_map(lines: tuple[MapLine, ...]) -> str:
    """The text for /proc/PID/uid_map or gid_map."""
    return "".join(f"{inner} {outer} {count}\n" for inner, outer, count in lines)


def find_id_map(*, allow_single: bool = False) -> IdMap:
    """The map for the calling user. Raises HostError without subordinate ids, unless `allow_single`."""
    uid, gid = os.getuid(), os.getgid()
    name = user_name(uid)
    uid_ranges, gid_ranges = subordinate_ids("subuid", name, uid), subordinate_ids("subgid", name, uid)
    if allow_single and not (uid_ranges and gid_ranges):
        return IdMap((MapLine(0, uid, 1),), (MapLine(0, gid, 1),))
    for file, ranges in (("/etc/subuid", uid_ranges), ("/etc/subgid", gid_ranges)):
        _check_enough(ranges, file, name)
        check_ranges(ranges, file)
    return IdMap(full_map(uid, uid_ranges), full_map(gid, gid_ranges))


def user_name(uid: int) -> str:
    """The log-in name of `uid`, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def grant_command(name: str, directory: str = "/etc", count: int = _GRANTED_IDS) -> str:
    """The line an administrator runs to give `name` at least `count` subordinate ids, in steps of what useradd gives:
    the first range that nobody has in either file.
    """
    size = -(-count // _GRANTED_IDS) * _GRANTED_IDS
    taken = [given for file in ("subuid", "subgid") for given in _all_ranges(_read(f"{directory}/{file}"))]
    start = _FIRST_SUBORDINATE
    for given in sorted(taken):
        if given.start < start + size and start < given.start + given.size:
            start = given.start + given.size
    ids = f"{start}-{start + size - 1}"
    return f"sudo usermod --add-subuids {ids} --add-subgids {ids} {name}"


def map_process(pid: int, id_map: IdMap, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Write `id_map` for `pid`, a child that has made a user namespace. Raises HostError with the probed cause.

    `meanwhile` is called while the set-user-id programs are at work.
    """
    if id_map.single:
        _write_single(pid, id_map)
        meanwhile()
        return
    # what they say is part of our error, not a line of its own before it
    talk = os.memfd_create("newidmap")
    try:
        # both at once: they wait for nothing of each other, and set-user-id programs are slow to start
        running = [
            (program, _spawn(program, pid, lines, talk))
            for program, lines in (
                (find_program("newuidmap"), id_map.uid_lines),
                (find_program("newgidmap"), id_map.gid_lines),
            )
        ]
        try:
            meanwhile()
        finally:
            statuses = [(program, os.waitpid(child, 0)[1]) for program, child in running]
        for program, status in statuses:
            if status:
                raise explain_map_failure(program, os.pread(talk, 4096, 0).decode(errors="replace"))
    finally:
        os.close(talk)


def _spawn(program: str, pid: int, lines: tuple[MapLine, ...], talk: int) -> int:
    arguments = [program, str(pid), *(str(number) for line in lines for number in line)]
    actions = [(os.POSIX_SPAWN_DUP2, talk, 2)]
    return os.posix_spawn(
        program, arguments, {"PATH": _PROGRAM_PATH}, file_actions=actions, setsigdef=IGNORED_BY_PYTHON
    )


def find_program(name: str) -> str:
    """The absolute path of a system program; the caller's PATH has no say. Raises HostError."""
    for directory in _PROGRAM_PATH.split(":"):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise HostError(
        f"{name} is missing: it maps the subordinate ids of a container",
        cause=f"no {name} in {_PROGRAM_PATH}",
        mend=f"{install_command('uidmap')}   (Fedora, Arch: shadow-utils, shadow)",
    )


def explain_map_failure(program: str, talk: str = "") -> HostError:
    """Why newuidmap or newgidmap failed, as far as can be seen from outside; `talk` is what they said."""
    name = os.path.basename(program)
    message = f"{name} cannot map the subordinate ids of this user"
    status = os.stat(program)
    privileged = status.st_uid == 0 and status.st_mode & stat.S_ISUID
    if prctl(PR_GET_NO_NEW_PRIVS):
        cause = "this process has no_new_privs set, so set-user-id programs do not work below it"
        return HostError(
            message, cause=cause, mend="start sandbox outside of what set it (a sandboxed shell or service)"
        )
    if not privileged and not _has_file_capability(program):
        mend = f"sudo chmod u+s {program}"
        return HostError(message, cause=f"{program} has neither the set-user-id bit nor file capabilities", mend=mend)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        cause = f"{program} lies on a file system that is mounted nosuid"
        return HostError(message, cause=cause, mend=f"sudo mount -o remount,suid $(findmnt -nT {program} -o TARGET)")
    cause = f"{name} refused the ranges that /etc/{name.replace('new', 'sub').replace('map', '')} or getsubids name"
    if talk.strip():
        cause = f"{cause} ({talk.strip().splitlines()[0]})"
    return HostError(message, cause=cause, mend=f"{grant_command(user_name(os.getuid()))}")


def _check_enough(ranges: tuple[IdRange, ...], file: str, name: str) -> None:
    total = sum(count for _start, count in ranges)
    if total == 0:
        cause = f"{file} has no line for {name} ({os.getuid()}), and getsubids names none"
        raise HostError(f"user {name} has no subordinate ids", cause=cause, mend=grant_command(name))
    if total < _WANTED_IDS:
        cause = f"{file} gives {total}; images use ids up to 65534"
        raise HostError(f"user {name} has too few subordinate ids", cause=cause, mend=grant_command(name))


def _write_single(pid: int, id_map: IdMap) -> None:
    # user_namespaces(7): without privilege a gid map is refused until setgroups is given up
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", format_map(id_map.uid_lines)),
        ("gid_map", format_map(id_map.gid_lines)),
    ):
        with open(f"/proc/{pid}/{file}", "w") as stream:
            stream.write(text)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _ask_getsubids(kind: str, name: str) -> tuple[IdRange, ...]:
    # ids may come from elsewhere (nsswitch.conf `subid: sss`); getsubids(1) asks where newuidmap will ask
    program = next((f"{d}/getsubids" for d in _PROGRAM_PATH.split(":") if os.access(f"{d}/getsubids", os.X_OK)), None)
    if program is None:
        return ()
    arguments = [program, "-g", name] if kind == "subgid" else [program, name]
    ranges = []
    for line in _output(arguments).splitlines():  # "0: dev 100000 65536"
        fields = line.split()
        if len(fields) == 4 and fields[2].isdecimal() and fields[3].isdecimal():
            ranges.append(IdRange(int(fields[2]), int(fields[3])))
    return tuple(dict.fromkeys(ranges))


def _output(arguments: list[str]) -> str:
    read_end, write_end = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
    child = os.posix_spawn(
        arguments[0], arguments, {"PATH": _PROGRAM_PATH}, file_actions=actions, setsigdef=IGNORED_BY_PYTHON
    )
    os.close(write_end)
    with open(read_end, errors="replace") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def _has_file_capability(program: str) -> bool:
    try:
        return bool(os.getxattr(program, "security.capability"))
    except OSError:
        return False
