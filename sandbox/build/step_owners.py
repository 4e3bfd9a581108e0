"""Names of users and groups, looked up in the tree a step works on: `--chown`, and the owner of what WORKDIR makes."""

from __future__ import annotations

import os

from sandbox.runtime.users import resolve_identity
from storage.resolve import open_in_root

_ACCOUNTS_MOST = 10 * 1024 * 1024


def find_owner(root_fd: int, text: str) -> tuple[int, int]:
    """Uid and gid of "user[:group]", names looked up in the tree's own files. Raises StartError."""
    user, colon, _group = text.partition(":")
    identity = resolve_identity(text, (), *(_read_accounts(root_fd, name) for name in ("passwd", "group")))
    if not colon and user.isascii() and user.isdigit():
        return identity.uid, identity.uid
    return identity.uid, identity.gid


def _read_accounts(root_fd: int, name: str) -> str:
    try:
        fd = open_in_root(root_fd, f"etc/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return file.read(_ACCOUNTS_MOST).decode(errors="replace")
