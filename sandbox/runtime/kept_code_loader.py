"""Imports modules from a file of `kept_code`: the first code of ours in a new interpreter, so it imports nothing of
ours itself.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any, TypeAlias

    #: where a module was, whether it is a package, and where its code lies, in bytes after the index, and how many
    KeptModule: TypeAlias = tuple[str, bool, int, int]

#: of the number that the file begins with
LENGTH_BYTES = 8


class KeptCodeFinder:
    """Finds the modules of the index before anybody else does; a finder and loader of `sys.meta_path`."""

    def __init__(self, fd: int, start: int, index: dict[str, KeptModule]) -> None:
        #: of the file, open for as long as something may be imported
        self.code_fd = fd
        self._start = start
        self._index = index

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        found = self._index.get(name)
        if found is None:
            return None
        path, is_package, _at, _length = found
        spec = ModuleSpec(name, self, origin=path, is_package=is_package)  # type: ignore[arg-type]  # a loader by its methods
        spec.has_location = True
        if is_package:
            # what is not kept lies there
            spec.submodule_search_locations = [os.path.dirname(path)]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _path, _is_package, at, length = self._index[module.__name__]
        exec(marshal.loads(os.pread(self.code_fd, length, self._start + at)), module.__dict__)


def load(fd: int, start: int, index: dict[str, KeptModule], module: str, function: str) -> Callable[..., Any]:
    """A function of a module that is kept in the file `fd`, of which the code begins at `start`."""
    from importlib import import_module

    sys.meta_path.insert(0, KeptCodeFinder(fd, start, index))
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
