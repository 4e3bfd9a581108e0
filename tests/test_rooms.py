"""One way down: no circle of imports, in functions and for types neither; and which room stands on which."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.imports import SOURCES, imported_anywhere, module_of

if TYPE_CHECKING:
    from collections.abc import Mapping

EDGES = {module_of(path): imported_anywhere(path) for path in SOURCES}
PACKAGES = {module_of(path) for path in SOURCES if path.name == "__init__.py"}
#: packages that hold rooms of their own: their other modules stand by themselves
HALLS = {package for package in PACKAGES if any(other.startswith(f"{package}.") for other in PACKAGES)} | {"net"}


def _room(module: str) -> str:
    """The folder a module is in; itself, where it stands beside rooms."""
    if module in PACKAGES:
        return module
    folder = module.rpartition(".")[0]
    return module if folder in HALLS else folder


def _room_edges() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = defaultdict(set)
    for module, imported in EDGES.items():
        edges[_room(module)] |= {_room(other) for other in imported} - {_room(module)}
    return edges


def _require_no_circle(edges: Mapping[str, set[str]]) -> None:
    finished: set[str] = set()

    def visit(node: str, above: tuple[str, ...]) -> None:
        assert node not in above, " -> ".join((*above[above.index(node) :], node))
        if node not in finished:
            for below in sorted(edges.get(node, ())):
                visit(below, (*above, node))
            finished.add(node)

    for node in sorted(edges):
        visit(node, ())


def test_no_modules_import_each_other() -> None:
    _require_no_circle(EDGES)


def test_no_rooms_import_each_other() -> None:
    _require_no_circle(_room_edges())


def test_a_circle_is_seen() -> None:
    with pytest.raises(AssertionError, match="a -> b -> c -> a"):
        _require_no_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
