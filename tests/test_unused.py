"""What stands at the top of a module is used by the product: what only tests call is not kept for later."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.imports import MODULES, SOURCES, module_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: what is called from outside: by people's programs, by Python with `-m`, by the installed commands
FOR_OTHERS = {
    # by whoever looks at projects from outside
    "sandbox.compose.names.ENVIRONMENT_FILE",
    "sandbox.compose.names.one_off_name",
    "sandbox.compose.observe.container_of",
    "sandbox.container.request.request.changed",
    "sandbox.container.session.exec_end.main",
    "sandbox.image.web.fetch_url.main",
    # by Python with `-c`
    "sandbox.service.reconciler.main",
    # by who reads what a request leaves out
    "sandbox.stack.request.NOT_CARRIED",
    "sandbox.warm.prepared.main",
    "sandbox.network.forwarder_birth.main",
    "sandbox.service.ports.begin_drain",
    "sandbox.service.ports.check_clash",
    "sandbox.service.ports.check_modes",
    "sandbox.service.ports.look_at",
    "sandbox.service.vips.vips_of",
    "sandbox.service.ports.remove",
    "sandbox.service.ports.settle",
    "sandbox.service.ports.sweep",
    "sandbox.service.ports.withdraw",
    "storage.overlay.fuse.command.entry",
}
#: read of modules that are named in texts
TABLES = {"COMMANDS", "OPERATIONS", "OPTIONS", "PRELOADED", "TEXT"}


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        # names that depend on the version, or are for types
        for statement in (*node.body, *node.orelse) if isinstance(node, ast.If) else (node,):
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield statement.name, statement
            elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    for each in ast.walk(target):
                        if isinstance(each, ast.Name):
                            yield each.id, statement


def _used_elsewhere() -> tuple[set[str], set[str]]:
    """Full names that product code imports or reads of a module, and the texts in which tables name functions."""
    names: set[str] = set()
    texts: set[str] = set()
    for path in SOURCES:
        modules: dict[str, str] = {}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    names.add(full)
                    if full in MODULES:
                        modules[alias.asname or alias.name] = full
            elif isinstance(node, ast.Import):
                modules |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in MODULES}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value.rpartition(":")[2].rpartition(".")[2])
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                names.add(f"{modules.get(ast.unparse(node.value), '')}.{node.attr}")
    return names, texts


def _unused(path: Path, names: set[str], texts: set[str]) -> Iterator[str]:
    tree = tree_of(path)
    read = [(node.id, node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_read(node)]
    for name, statement in _defined(tree):
        full = f"{module_of(path)}.{name}"
        assert statement.end_lineno is not None
        own = range(statement.lineno, statement.end_lineno + 1)
        if full in names or name in texts or name in TABLES or name.startswith("__"):
            continue
        if not any(found == name and line not in own for found, line in read):
            yield full


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def test_everything_is_used() -> None:
    names, texts = _used_elsewhere()
    assert {full for path in SOURCES for full in _unused(path, names, texts)} - FOR_OTHERS == set()
