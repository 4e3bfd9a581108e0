"""One way down: no circle of imports, in functions and for types neither; and which room stands on which."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.imports import SOURCES, imported_anywhere, imported_to_run, module_of, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EDGES = {module_of(path): imported_anywhere(path) for path in SOURCES}
PACKAGES = {module_of(path) for path in SOURCES if path.name == "__init__.py"}
#: packages that hold rooms of their own: their other modules stand by themselves
HALLS = {package for package in PACKAGES if any(other.startswith(f"{package}.") for other in PACKAGES)} | {"net"}

#: a room and the rooms of `sandbox` that it may import, lowest first; every room may use the modules beside the rooms
#: (state, errors, …), `net` and `storage`. A new arrow is a decision: it must not lead up
ARROWS = {
    "protocol": set(),
    "go_template": set(),
    "runtime": set(),
    "grammar": {"runtime"},
    "image": {"grammar", "runtime"},
    "container.model": {"grammar"},
    "container.request": {"container.model", "grammar"},
    "secret": {"grammar"},
    "volume": {"container.model", "grammar", "runtime"},
    "network": {"container.model", "grammar", "runtime"},
    "container.monitor": {"container.model", "grammar", "network", "protocol", "runtime", "volume"},
    "container.session": {"container.model", "container.monitor", "protocol", "runtime"},
    "container.life": {
        "container.model", "container.monitor", "container.request", "image", "network", "protocol", "runtime",
        "secret", "volume",
    },
    "container.files": {"container.life", "container.model", "container.monitor", "runtime", "volume"},
    "container.view": {
        "container.life", "container.model", "container.monitor", "container.request", "grammar", "image", "network",
        "protocol", "runtime", "volume",
    },
    "container.usage": {"container.model"},
    "container": {
        "container.files", "container.life", "container.model", "container.monitor", "container.request",
        "container.session", "container.usage", "container.view", "protocol", "runtime",
    },
    "autostart": {"container", "container.model", "runtime"},
    "doctor": {"autostart", "network", "runtime"},
    "system": {"container.life", "container.model", "doctor", "image", "runtime"},
    "dockerfile": {"grammar", "image"},
    "builder": {
        "container.life", "container.monitor", "container.session", "dockerfile", "grammar", "image", "runtime",
    },
    "commit": {
        "builder", "container", "container.files", "container.model", "container.monitor", "image", "runtime",
    },
    "upkeep": {
        "autostart", "builder", "container.life", "container.model", "container.monitor", "container.request",
        "container.view", "grammar", "image", "network", "protocol", "runtime", "secret", "volume",
    },
    "warm": {"protocol", "runtime"},
    "service": {
        "container", "container.life", "container.model", "container.request", "container.view", "go_template",
        "grammar", "network", "runtime", "secret", "warm",
    },
    "api": {
        "builder", "commit", "container", "container.files", "container.life", "container.model", "container.monitor",
        "container.request", "container.session", "container.view", "dockerfile", "grammar", "image", "network",
        "protocol", "runtime", "secret", "service", "system", "volume", "warm",
    },
    "stack": {"container.request", "grammar", "service"},
    "deploy": {"container.view", "image", "network", "secret", "service", "stack"},
    "compose": {
        "builder", "container", "container.files", "container.life", "container.model", "container.monitor",
        "container.request", "container.session", "container.view", "dockerfile", "grammar", "image", "network",
        "runtime", "stack", "volume", "warm",
    },
    "client": {
        "api", "builder", "commit", "container", "container.files", "container.model", "container.request",
        "container.session", "container.view", "deploy", "grammar", "image", "network", "secret", "service", "stack",
        "system", "upkeep", "volume", "warm",
    },
    "cli": {
        "api", "autostart",
        "builder", "commit", "compose", "container", "container.files", "container.life", "container.model",
        "container.monitor", "container.request", "container.session", "container.usage", "container.view",
        "deploy", "dockerfile", "doctor", "go_template", "grammar", "image", "network", "runtime", "secret", "service",
        "stack", "system", "upkeep", "volume",
    },
}  # fmt: skip


def _room_of_the_table(module: str) -> str | None:
    """The longest name of the table that a module is below; None for what stands beside the rooms."""
    below = module.removeprefix("sandbox.")
    return max((room for room in ARROWS if f"{below}.".startswith(f"{room}.")), key=len, default=None)


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("sandbox.")], ids=name_of)
def test_arrows_between_rooms_are_those_of_the_table(path: Path) -> None:
    room = _room_of_the_table(module_of(path))
    if room is not None:
        below = {_room_of_the_table(other) for other in EDGES[module_of(path)] if other.startswith("sandbox.")}
        assert below - {room, None} <= ARROWS[room]


def test_the_table_leads_down_and_has_every_room() -> None:
    known: set[str] = set()
    for room, below in ARROWS.items():
        assert below <= known
        known.add(room)
    rooms = {package.removeprefix("sandbox.") for package in PACKAGES if package.startswith("sandbox.")}
    assert known == {room for room in rooms if "." not in room or room.startswith("container.")}


#: what an operation is made of: a command that imports it does the work itself, which nobody else can ask for then
MADE_OF = (
    "sandbox.builder.cache", "sandbox.container.life", "sandbox.container.model", "sandbox.container.monitor",
    "sandbox.image.registry", "sandbox.image.store", "sandbox.runtime", "sandbox.secret.store", "sandbox.state",
    "sandbox.transactions",
    "sandbox.upkeep.check", "sandbox.upkeep.prune", "sandbox.volume.store", "sandbox.volume.volumes", "storage",
)  # fmt: skip
#: `run` forks the monitor before it imports the rest; the others ask who the user is, and are about his namespace
COMMANDS_BELOW = {
    "autostart": {"sandbox.runtime.id_maps"},
    "login": {"sandbox.image.registry.docker_config"},
    "reset": {"sandbox.runtime.namespace_command"},
    "run": {
        "sandbox.container.life.naming", "sandbox.container.model.names", "sandbox.container.model.store",
        "sandbox.container.monitor.plan", "sandbox.container.monitor.spawn", "sandbox.runtime.terminal",
        "sandbox.state",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if module_of(path).startswith("sandbox.cli.commands.")], ids=name_of
)
def test_commands_have_work_done_by_operations(path: Path) -> None:
    below = {module for module in imported_to_run(path) if f"{module}.".startswith(tuple(f"{one}." for one in MADE_OF))}
    assert below - {"storage.errors"} == COMMANDS_BELOW.get(path.stem, set())


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
