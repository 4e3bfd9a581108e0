"""Where a value was written: the file, its line and its column."""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple
from sandbox.stack.remote_files import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Source(NamedTuple):
    """One file as it is read: what its relative paths start from, and where its variables have their values."""

    #: as a person would write it
    name: str
    #: the absolute path; "-" for standard input
    path: str
    #: absolute: that of the project, or of the file itself where it is extended or included
    directory: str
    environment: Mapping[str, str] = {}

    def absolute(self, path: str) -> str:
        """A path that the file names: `~` is the caller's home, and what is relative starts from the directory. What
        lies elsewhere has no such path.
        """
        if is_remote(path):
            return path
        if path == "~" or path.startswith("~/"):
            path = self.environment.get("HOME", "~") + path[1:]
        return os.path.normpath(os.path.join(self.directory, path))


class Place(NamedTuple):
    """A line and a column of a file, both counted from 1."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"
