"""Directories of the store and of running containers: for this user alone, whatever the caller's umask is."""

from __future__ import annotations

import errno
import os


def make_private_directory(path: str) -> None:
    """Make the directory and what is missing above it, each of mode 0700; twice is safe. Raises OSError.

    os.makedirs gives its mode to the last one alone.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    if above != path:
        make_private_directory(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        # made by another process meanwhile, or something else has the name
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
