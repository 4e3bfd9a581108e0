"""Names of users and groups, looked up in the tree a step works on: `--chown`, and the owner of what WORKDIR makes."""

from __future__ import annotations

import os
import stat

from sandbox.runtime.unmapped_ids import check_mapped
from sandbox.runtime.users import resolve_identity
from storage.resolve import open_in_root

_ACCOUNTS_MOST = 10 * 1024 * 1024


def find_owner(root_fd: int, text: str) -> tuple[int, int]:
    """Uid and gid of "user[:group]", names looked up in the tree's own files. Raises StartError."""
    user, colon, _group = text.partition(":")
    identity = resolve_identity(text, (), *(_read_accounts(root_fd, name) for name in ("passwd", "group")))
    uid, gid = identity.uid, identity.gid
    if not colon and user.isascii() and user.isdigit():
        gid = uid
    check_mapped(uid, gid)
    return uid, gid


def _read_accounts(root_fd: int, name: str) -> str:
    """The file's text; "" where it is none, for a base may have a directory or a link to nothing there."""
    try:
        fd = open_in_root(root_fd, f"etc/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.pread(fd, _ACCOUNTS_MOST, 0).decode(errors="replace")
    finally:
        os.close(fd)
