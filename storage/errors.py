"""The root of what `storage` raises."""

from __future__ import annotations

import errno
import os


class StorageError(Exception):
    """Something about a blob, a layer, a tree or a mount failed: `message` says what, `cause` why as probed, `mend`
    what helps.
    """

    def __init__(self, message: str, *, cause: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.mend = mend


_CAUSES = {
    errno.ENOSPC: "the disk is full (no space left on device)",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EMFILE: "too many open files: the limit of open files (ulimit -n) is reached",
}
_MENDS = {
    errno.ENOSPC: "free some space (or inodes: df -i) and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EMFILE: "ulimit -Sn hard",
}


def os_failure(what: str, error: OSError) -> StorageError:
    """A StorageError that says what the errno means here."""
    code = error.errno or 0
    return StorageError(what, cause=_CAUSES.get(code, os.strerror(code)), mend=_MENDS.get(code, ""))


def host_cause(error: BaseException) -> str:
    """What the host has too little of, for an error that says so; "" for any other."""
    return _CAUSES.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def mend_of(cause: str) -> str:
    """What mends a `host_cause` that another process told of; "" for any other text."""
    return next((_MENDS.get(code, "") for code, text in _CAUSES.items() if text == cause), "")
