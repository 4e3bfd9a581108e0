"""The directory a container's process begins in: entered inside the root, and what is said where it cannot be had.

Imported before the root is entered: from there on an import would read the container's tree.
"""

from __future__ import annotations

import errno
import os
import stat

from sandbox.errors import StartError
from sandbox.runtime import syscalls as sc


def enter_directory(path: str) -> None:
    """Change to `path` inside the root; never through a descriptor under /proc (CVE-2024-21626). Raises StartError."""
    try:
        fd = sc.openat2(sc.AT_FDCWD, path or "/", os.O_PATH | os.O_DIRECTORY, sc.RESOLVE_NO_MAGICLINKS)
        os.fchdir(fd)
        os.close(fd)
        inside = os.getcwd().startswith("/")
    except OSError as error:
        root_fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
        raise no_directory(f"cannot change to the working directory {path}", root_fd, path, error) from error
    if not inside:
        raise StartError(f"cannot change to the working directory {path}", cause="it is outside the container's root")


def no_directory(message: str, root_fd: int, path: str, error: OSError) -> StartError:
    """The error for `path` below `root_fd`, with what there is of it; `error` is how the kernel refused."""
    here, found = "", ""
    for name in filter(None, path.split("/")):
        place = f"{here}/{name}"
        found = _not_a_directory(root_fd, place)
        if found:
            break
        here = place
    told = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and found
    said = os.strerror(error.errno or 0)
    cause = found if told else f"{said}: {found or path}"
    return StartError(message, cause=cause, mend=f"-w {here or '/'}")


def _not_a_directory(root_fd: int, place: str) -> str:
    try:
        fd = sc.openat2(root_fd, place, os.O_PATH, sc.RESOLVE_IN_ROOT | sc.RESOLVE_NO_MAGICLINKS)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return f"{place} is not there"
        if error.errno == errno.ELOOP:
            return f"{place} leads through a magic link of /proc, or in a circle"
        return f"{place}: {os.strerror(error.errno or 0)}"
    try:
        return "" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"{place} is not a directory"
    finally:
        os.close(fd)
