"""The current directory of whoever called us, from which their relative paths are seen.

A value of its own, and no string, so that no path can be joined to a directory that is not there.
"""

from __future__ import annotations

import os

from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class CallerDirectory(NamedTuple):
    """`path` is "" where the directory was removed: an error as soon as a relative path needs it, and not before."""

    path: str

    def absolute(self, path: str) -> str:
        """`path` as the caller means it. Raises SandboxError."""
        if not self.path and not path.startswith("/"):
            raise SandboxError("cannot tell the current directory: it was removed", mend="cd")
        return os.path.join(self.path, path)

    def shown(self, path: str) -> str:
        """An absolute `path` as the caller would write it."""
        return os.path.relpath(path, self.path) if self.path else path


def find_caller_directory(get: Callable[[], str]) -> CallerDirectory:
    """The directory of this process, which `get` (os.getcwd) tells."""
    try:
        return CallerDirectory(get())
    except OSError:
        return CallerDirectory("")
