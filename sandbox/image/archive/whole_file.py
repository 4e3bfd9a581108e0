"""Files that appear under their names when they are complete."""

from __future__ import annotations

import errno
import os
import shlex
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


@contextmanager
def written_whole(path: str) -> Iterator[BinaryIO]:
    """A file that takes the name `path` at the end; what is no plain file (a pipe, a device) is written to directly.

    Raises SandboxError where it cannot be written; nothing is left then, and what had the name stays.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as stream:
                yield stream
            return
        fd, aside = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".sandbox-save-")
        try:
            with open(fd, "wb") as stream:
                yield stream
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise SandboxError(
            f"cannot write {path}", cause=error.strerror or str(error), mend=_mend(path, error)
        ) from error


def _mend(path: str, error: OSError) -> str:
    directory = shlex.quote(os.path.dirname(path) or ".")
    if error.errno == errno.ENOENT:
        return f"mkdir -p {directory}"
    return f"df -h {directory}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"ls -ld {directory}"
