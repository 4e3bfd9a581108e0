"""The rules of the house that a reader cannot check by eye: who imports whom, where ctypes is, how long a file is."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.imports import SOURCES, imports_in, name_of, tree_of
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

#: a package and the packages of ours that it may import
ARROWS = {"sandbox": {"sandbox", "net", "storage"}, "net": {"net"}, "storage": {"storage"}}
#: the modules that call the C library; everything else goes through them
CTYPES = {
    "net/syscalls.py",
    "net/nft.py",
    "storage/syscalls.py",
    "sandbox/runtime/syscalls.py",
    "sandbox/runtime/seccomp.py",
}
#: names that say nothing of what a module is for
REFUSED_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "base", "core", "shared"}
LONGEST = 500
#: of what belongs to a monitor
LONGEST_METHOD = 40
MOST_ATTRIBUTES = 15
MONITOR = [path for path in SOURCES if "container/monitor" in path.as_posix()]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_arrows_run_one_way(path: Path) -> None:
    package = path.relative_to(REPOSITORY).parts[0]
    roots = {name.partition(".")[0] for name in imports_in(path, tree_of(path))}
    assert roots & (ARROWS.keys() | {"tests"}) <= ARROWS[package]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_ctypes_is_where_it_belongs(path: Path) -> None:
    if name_of(path) not in CTYPES:
        assert "ctypes" not in {name.partition(".")[0] for name in imports_in(path, tree_of(path))}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of)
def test_a_package_runs_nothing(path: Path) -> None:
    for node in tree_of(path).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_name = isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(
            node.value, (ast.Constant, ast.Tuple, ast.List)
        )
        # what the Python API is made of is imported by who asks for it, and by no command
        is_lazy = name_of(path) == "sandbox/__init__.py" and (
            isinstance(node, ast.If) or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        )
        imports = isinstance(node, (ast.Import, ast.ImportFrom))
        assert is_docstring or is_name or imports or is_lazy, ast.unparse(node)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of)
def test_what_a_package_exports_is_there(path: Path) -> None:
    names: set[str] = set()
    exported: list[str] = []
    body = tree_of(path).body
    for node in [*body, *(inner for outer in body if isinstance(outer, ast.If) for inner in outer.body)]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)
            if node.targets[0].id == "__all__":
                exported = ast.literal_eval(node.value)
    assert set(exported) <= names
    # constants first, as the linter has it
    assert list(exported) == sorted(exported, key=lambda name: (not name.isupper(), name))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short_and_named_after_its_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
    assert not REFUSED_NAMES & set(path.relative_to(REPOSITORY).with_suffix("").parts)


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in SOURCES if ast.get_docstring(tree_of(path)) is None and path.stat().st_size]
    assert silent == []


def test_the_top_level_holds_what_people_expect() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert packages == {*ARROWS, "tests", "benchmarks"}


@pytest.mark.parametrize("path", MONITOR, ids=name_of)
def test_the_monitor_is_made_of_small_pieces(path: Path) -> None:
    """A monitor lives for weeks and answers for one container: each part of it can be read at a glance."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_METHOD, f"{node.name} is too long"
        if isinstance(node, ast.ClassDef):
            attributes = _attributes(node)
            assert len(attributes) <= MOST_ATTRIBUTES, f"{node.name} has {len(attributes)}: {sorted(attributes)}"


def _attributes(node: ast.ClassDef) -> set[str]:
    """What is assigned to `self` anywhere in the class, and what its body declares."""
    found = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.add(statement.target.id)
        elif isinstance(statement, ast.Assign):
            found |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return found
