"""The rules of the house that a reader cannot check by eye: who imports whom, where ctypes is, how long a file is."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

#: a package and the packages of ours that it may import
ARROWS = {"sandbox": {"sandbox", "net", "storage"}, "net": {"net"}, "storage": {"storage"}}
#: the modules that call the C library; everything else goes through them
CTYPES = {
    "net/syscalls.py",
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

SOURCES = sorted(path for package in ARROWS for path in (REPOSITORY / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}
MONITOR = [path for path in SOURCES if "container/monitor" in path.as_posix()]


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _module(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def _imports(path: Path, tree: ast.AST) -> set[str]:
    """Full names of what is imported below `tree`, at any depth; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported_at_load(path: Path) -> set[str]:
    """Modules of ours that importing this one imports: no functions, no types."""
    body = [node for node in _tree(path).body if not _type_checking(node)]
    own = _module(path)
    found: set[str] = set()
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found |= _imports(path, node)
    return {name for name in found if name in MODULES and name != own}


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_arrows_run_one_way(path: Path) -> None:
    package = path.relative_to(REPOSITORY).parts[0]
    roots = {name.partition(".")[0] for name in _imports(path, _tree(path))}
    assert roots & (ARROWS.keys() | {"tests"}) <= ARROWS[package]


def test_there_is_no_import_cycle() -> None:
    edges = {_module(path): _imported_at_load(path) for path in SOURCES}
    # a package that holds nothing but its docstring cannot be part of a knot
    finished: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above[above.index(module) :], module))
        if module in finished:
            return
        for next_module in sorted(edges[module]):
            visit(next_module, (*above, module))
        finished.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_ctypes_is_where_it_belongs(path: Path) -> None:
    if _name(path) not in CTYPES:
        assert "ctypes" not in {name.partition(".")[0] for name in _imports(path, _tree(path))}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_name)
def test_a_package_runs_nothing(path: Path) -> None:
    for node in _tree(path).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_name = isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(
            node.value, (ast.Constant, ast.Tuple, ast.List)
        )
        assert is_docstring or is_name or isinstance(node, (ast.Import, ast.ImportFrom)), ast.unparse(node)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_name)
def test_what_a_package_exports_is_there(path: Path) -> None:
    names: set[str] = set()
    exported: list[str] = []
    for node in _tree(path).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)
            if node.targets[0].id == "__all__":
                exported = ast.literal_eval(node.value)
    assert set(exported) <= names
    assert list(exported) == sorted(exported)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_is_short_and_named_after_its_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
    assert not REFUSED_NAMES & set(path.relative_to(REPOSITORY).with_suffix("").parts)


def test_every_module_says_what_it_is() -> None:
    silent = [_name(path) for path in SOURCES if ast.get_docstring(_tree(path)) is None and path.stat().st_size]
    assert silent == []


def test_the_top_level_holds_what_people_expect() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert packages == {*ARROWS, "tests", "benchmarks"}


@pytest.mark.parametrize("path", MONITOR, ids=_name)
def test_the_monitor_is_made_of_small_pieces(path: Path) -> None:
    """A monitor lives for weeks and answers for one container: each part of it can be read at a glance."""
    for node in ast.walk(_tree(path)):
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
