"""Which modules of ours import which others, read from their text."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PACKAGES = ("sandbox", "net", "storage")
SOURCES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def imports_in(path: Path, tree: ast.AST) -> set[str]:
    """Full names of what is imported below `tree`, at any depth; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def imported_anywhere(path: Path) -> set[str]:
    """Modules of ours that are imported on top, in functions or for types; a package counts where a name is its own.

    `sandbox` itself never counts: everything below may ask it for the version, and it lends the Python API lazily.
    """
    return _imported(path, ast.walk(tree_of(path)))


def imported_to_run(path: Path) -> set[str]:
    """The same without what is imported for types."""
    return _imported(path, _walk_run(tree_of(path)))


def _walk_run(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            nodes: list[ast.stmt] = node.orelse
        else:
            yield node
            yield from _walk_run(node)
            continue
        for one in nodes:
            yield one
            yield from _walk_run(one)


def _imported(path: Path, nodes: Iterable[ast.AST]) -> set[str]:
    own = module_of(path)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
    return (found & MODULES) - {own, "sandbox"}
