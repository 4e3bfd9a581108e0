"""Which owner a file of the host has inside a mapped bind mount, and which one outside what is made in there.

    outside (the server's user namespace)        inside
    0, the caller                         ────▶  the container's user
    0, the caller                         ◀────  the container's user, and root
    any other                             ◀───▶  the same

So whatever container user or root make belongs to the caller, and nothing is ever given to a new owner to show that.
POSIX ACLs name users and groups as well, acl(5), and go through the same map.
"""

from __future__ import annotations

import stat
import struct

from storage.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: the caller in the server's user namespace
CALLER = 0
#: who has no number in a user namespace, user_namespaces(7)
OVERFLOW = 65534
ACL_NAMES = frozenset({b"system.posix_acl_access", b"system.posix_acl_default"})
# linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id
_ACL_HEADER = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 0x02, 0x08


class IdMapping(NamedTuple):
    """The container's user, as numbers inside."""

    uid: int
    gid: int

    def shown_uid(self, outer_uid: int) -> int:
        """The owner inside of a file that belongs to `outer_uid`."""
        return self.uid if outer_uid == CALLER else outer_uid

    def shown_gid(self, outer_gid: int) -> int:
        return self.gid if outer_gid == CALLER else outer_gid

    def kept_uid(self, inner_uid: int) -> int:
        """The owner outside of what belongs to `inner_uid`."""
        return CALLER if inner_uid in (0, self.uid) else inner_uid

    def kept_gid(self, inner_gid: int) -> int:
        return CALLER if inner_gid in (0, self.gid) else inner_gid

    def shown_mode(self, mode: int, outer_uid: int, outer_gid: int) -> int:
        """The mode inside: a set-id bit of an owner that has no number here is not shown, as the kernel shows none."""
        if outer_uid == OVERFLOW:
            mode &= ~stat.S_ISUID
        if outer_gid == OVERFLOW and stat.S_ISREG(mode):
            mode &= ~stat.S_ISGID
        return mode

    def shown_acl(self, value: bytes) -> bytes:
        """An ACL's attribute with the ids it has inside."""
        return _map_acl(value, self.shown_uid, self.shown_gid)

    def kept_acl(self, value: bytes) -> bytes:
        """An ACL's attribute with the ids it has outside."""
        return _map_acl(value, self.kept_uid, self.kept_gid)


def _map_acl(value: bytes, map_uid: Callable[[int], int], map_gid: Callable[[int], int]) -> bytes:
    body = value[_ACL_HEADER.size :]
    if len(body) % _ACL_ENTRY.size:
        # the kernel that gets it says what is wrong with it
        return value
    maps = {_ACL_USER: map_uid, _ACL_GROUP: map_gid}
    entries = []
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(body):
        entries.append(_ACL_ENTRY.pack(tag, permissions, maps[tag](number) if tag in maps else number))
    return value[: _ACL_HEADER.size] + b"".join(entries)


class MappedBind(NamedTuple):
    """What is mounted: `source` on the host, and who its owner is inside."""

    source: str
    mapping: IdMapping
