"""Ids that a container does not have: which ones it has, where they come from, and how a user gets more.

A process inside finds out that an id is not mapped (`find_unmapped`); whoever waits for it outside knows the user's
ranges and completes the error (`complete`).
"""

from __future__ import annotations

import errno
import os

from sandbox.errors import UnmappedIdError
from sandbox.runtime.id_maps import IdMap, MapLine, find_id_map, grant_command, parse_map, user_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: of the initial user namespace: every id
_ALL_IDS = (1 << 32) - 1
#: more than this a user is hardly given (SUB_UID_MAX of login.defs(5) leaves room for 500 million in all)
_MOST_GRANTED = 1 << 24


def find_unmapped(uid: int, gids: Iterable[int]) -> UnmappedIdError | None:
    """The error for the first of these ids that the calling process's user namespace does not have."""
    fd = os.memfd_create("ids")
    try:
        for kind, number in (("user", uid), *(("group", gid) for gid in gids)):
            if not _has(fd, kind, number):
                return UnmappedIdError(f"{kind} id {number} is not mapped in the container", id_kind=kind, id=number)
    finally:
        os.close(fd)
    return None


def _has(fd: int, kind: str, number: int) -> bool:
    if number >= _ALL_IDS:
        return False  # the last one says "leave it as it is" to chown(2)
    try:
        # the kernel looks at the map before it asks whether we may
        os.fchown(fd, number if kind == "user" else -1, number if kind == "group" else -1)
    except OSError as error:
        return error.errno != errno.EINVAL
    return True


def complete(error: UnmappedIdError) -> UnmappedIdError:
    """`error` with the ids there are and how to get more; called by the monitor, a build worker, or a command."""
    id_map = _map_outside()
    lines = id_map.gid_lines if error.id_kind == "group" else id_map.uid_lines
    last = sum(line.size for line in lines) - 1
    ranges = ", ".join(f"{line.outer}-{line.outer + line.size - 1}" for line in lines[1:])
    file = "/etc/subgid" if error.id_kind == "group" else "/etc/subuid"
    given = f"your own and the subordinate ids {ranges} of {file}" if ranges else f"your own; {file} gives no more"
    error.cause = f"containers of this user have the {error.id_kind} ids 0 to {last}: {given}"
    missing = error.id - last
    if missing <= _MOST_GRANTED:
        error.mend = grant_command(user_name(id_map.uid_lines[0].outer), count=missing)
    else:
        error.mend = f"use an id up to {last}"
    return error


def check_mapped(uid: int, gid: int) -> None:
    """Raise UnmappedIdError, completed, where the calling process's user namespace lacks one of them."""
    error = find_unmapped(uid, (gid,))
    if error is not None:
        raise complete(error)


def _map_outside() -> IdMap:
    maps = [_read_map(f"/proc/self/{kind}_map") for kind in ("uid", "gid")]
    if maps[0][0].size == _ALL_IDS:
        return find_id_map(allow_single=True)
    return IdMap(maps[0], maps[1])


def _read_map(path: str) -> tuple[MapLine, ...]:
    with open(path) as file:
        return parse_map(file.read())
