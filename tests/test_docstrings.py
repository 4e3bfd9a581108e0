"""What docstrings promise: every public function names the errors that it raises itself, and what its numbers count."""

from __future__ import annotations

import ast
import builtins
import functools
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Function = ast.FunctionDef | ast.AsyncFunctionDef

SOURCES = sorted(path for package in ("sandbox", "net", "storage") for path in (REPOSITORY / package).rglob("*.py"))
#: handlers of commands have one caller, and the docstring of the package speaks for all
HANDLERS = REPOSITORY / "sandbox/cli/commands"
#: a broken invariant, which no caller waits for
UNTOLD = {"AssertionError"}


class Public(NamedTuple):
    """A function that other modules may call; `above` is what its class or its package says of all that it holds."""

    name: str
    function: Function
    above: str

    @property
    def says(self) -> str:
        return f"{ast.get_docstring(self.function) or ''}\n{self.above}"


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def _functions(body: list[ast.stmt]) -> Iterator[Function]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _public(path: Path) -> Iterator[Public]:
    above = ast.get_docstring(_tree(HANDLERS / "__init__.py")) or "" if path.parent == HANDLERS else ""
    for function in _functions(_tree(path).body):
        yield Public(function.name, function, above)
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for function in _functions(node.body):
                yield Public(f"{node.name}.{function.name}", function, ast.get_docstring(node) or "")


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What stands below a node, but for functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own(child)


@functools.cache
def _bases() -> dict[str, set[str]]:
    """Class -> the classes it is derived from, as named; of all modules together."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(_last(base) for base in node.bases)
    return found


@functools.cache
def _made() -> dict[str, set[str]]:
    """Function -> the class that its result is annotated with: most errors are made by functions of their own."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
                found.setdefault(node.name, set()).add(_last(node.returns))
    return found


def _last(node: ast.expr) -> str:
    """The last part of a name: of `errors.StorageError(...)` StorageError."""
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _ancestors(name: str) -> set[str]:
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, OSError):
        return {"OSError", name}
    above = _bases().get(name, set())
    return {name}.union(*(_ancestors(base) for base in above))


def _raised(function: Function) -> Iterator[set[str]]:
    """For each `raise` of something new: the classes it may be; an empty set where only running it would tell."""
    for node in _own(function):
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        name = _last(node.exc)
        if not isinstance(node.exc, ast.Call) and not name[:1].isupper():
            # a variable: what it was made by, or caught as
            yield {made for made in _variable(function, name) if made[:1].isupper()}
        elif name[:1].isupper():
            yield {name}
        else:
            yield {made for made in _made().get(name, set()) if made in _bases()}


def _variable(function: Function, name: str) -> Iterator[str]:
    for node in _own(function):
        if isinstance(node, ast.Assign) and any(_last(target) == name for target in node.targets):
            called = _last(node.value)
            yield from {called} if called[:1].isupper() else _made().get(called, set())
        elif isinstance(node, ast.ExceptHandler) and node.name == name and node.type is not None:
            yield from map(_last, node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])


def _is_told(says: str, classes: set[str]) -> bool:
    """Whether the text names one of the classes, or one above or below it; any promise where nothing is known."""
    words = set(says.replace("`", " ").replace(".", " ").replace(",", " ").replace(":", " ").replace(";", " ").split())
    if not classes:
        return "raise" in says.lower()
    if classes & UNTOLD:
        return True
    related = set().union(*(_ancestors(name) for name in classes)) - {"Exception", "NamedTuple"}
    return bool(words & related) or any(word in _bases() and _ancestors(word) & classes for word in words)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_public_functions_name_the_errors_that_they_raise(path: Path) -> None:
    silent = {
        f"{public.name} (line {public.function.lineno})": sorted(classes)
        for public in _public(path)
        if not public.function.name.startswith("_")
        for classes in _raised(public.function)
        if not _is_told(public.says, classes)
    }
    assert silent == {}, "say in the docstring what is raised and when"


def test_what_is_made_or_caught_is_known_by_its_class() -> None:
    source = (
        "def f():\n    '''Raises Late.'''\n    try:\n        g()\n    except OSError as error:\n        raise error\n"
        "    raise KeyError(1)\n    def inner():\n        raise ValueError\n"
    )
    (function,) = _functions(ast.parse(source).body)
    assert list(_raised(function)) == [{"OSError"}, {"KeyError"}]
    assert not _is_told(ast.get_docstring(function) or "", {"KeyError"})
    assert _is_told("Raises KeyError.", {"KeyError"})
    assert _is_told("Raises SandboxError.", {"UsageError"})
    assert _is_told("Raises UsageError.", {"SandboxError"})
    assert not _is_told("Raises UsageError.", {"NotFoundError"})


#: the last word of a name -> what says its unit: words of the docstring, where the name itself has none (`…_seconds`)
_TIME = "seconds? ns nanoseconds? microseconds? ms milliseconds? ticks"
_SIZE = "bytes? characters? columns? rows? entries ids"
_MODE = r"bits? permissions? octal stat\(2\) 0[0-7]{3}"
UNITS = {
    **dict.fromkeys(("age", "deadline", "delay", "duration", "elapsed", "expiry", "grace", "interval", "now"), _TIME),
    **dict.fromkeys(("patience", "period", "since", "time", "timeout", "ttl", "until", "wait"), _TIME),
    **dict.fromkeys(("length", "memory", "offset", "quota", "size", "space"), _SIZE),
    "mode": _MODE,
}
_NUMBER = re.compile(r"\b(int|float)\b")
_PAIR = re.compile(r"tuple\[[^\[\]]*(\[[^\[\]]*\])?[^\[\]]*,(?! \.\.\.)")
#: of a number that is no measure its name says enough
_SPEAKING = {
    "bytes", "code", "column", "count", "fd", "first", "gid", "id", "index", "level", "line", "ms", "ns", "number",
    "percent", "pid", "pidfd", "port", "seconds", "status", "uid",
}  # fmt: skip


def _last_word(name: str) -> str:
    return name.rpartition("_")[2]


def _says_unit(name: str, says: str) -> bool:
    units = UNITS.get(_last_word(name))
    return units is None or any(re.search(rf"(\b|(?<=_)){unit}(?!\w)", says, re.IGNORECASE) for unit in units.split())


def _is_number(annotation: ast.expr | None) -> bool:
    return annotation is not None and _NUMBER.search(ast.unparse(annotation)) is not None


def _unitless(public: Public) -> Iterator[str]:
    arguments = public.function.args
    if any(_last(decorator) == "overload" for decorator in public.function.decorator_list):
        return
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if _is_number(argument.annotation) and not _says_unit(argument.arg, public.says):
            yield argument.arg
    returns, name = public.function.returns, public.function.name
    if returns is None:
        return
    if re.fullmatch(r"(int|float)( \| None)?", ast.unparse(returns)):
        # what waits returns something else
        is_told = _last_word(name) == "wait" or _says_unit(name, public.says)
        if not is_told or not (public.says.strip() or _last_word(name) in _SPEAKING):
            yield "what it returns"
    elif _PAIR.search(ast.unparse(returns)) and not public.says.strip():
        yield "what it returns"


def _unitless_fields(path: Path) -> Iterator[str]:
    """Fields of public classes; a comment beside or above one says its unit too."""
    lines = path.read_text().splitlines()
    for node in _tree(path).body:
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_number(field.annotation):
                says = [ast.get_docstring(node) or "", lines[field.lineno - 1].partition("#")[2]]
                above = field.lineno - 2
                while lines[above].lstrip().startswith("#"):
                    says.append(lines[above])
                    above -= 1
                if not _says_unit(field.target.id, " ".join(says)):
                    yield f"{node.name}.{field.target.id} (line {field.lineno})"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_public_functions_say_what_their_numbers_count(path: Path) -> None:
    silent = [
        f"{public.name} (line {public.function.lineno}): {what}"
        for public in _public(path)
        if not public.function.name.startswith("_") or public.function.name == "__init__"
        for what in _unitless(public)
        if path.parent != HANDLERS
    ]
    assert [*silent, *_unitless_fields(path)] == [], "say the unit in the name or in the docstring"


def test_a_number_without_a_unit_is_seen() -> None:
    source = (
        "def wait(timeout: float, size_bytes: int) -> int:\n    '''The exit code.'''\n"
        "def told(timeout: float) -> int:\n    '''The exit code, after `timeout` seconds.'''\n"
        "def size(path: str) -> int:\n    '''Of a file.'''\n"
        "def pair() -> tuple[int, str]: ...\n"
        "def pid() -> int: ...\ndef number_of() -> int: ...\n"
    )
    found = [list(_unitless(Public("", function, ""))) for function in _functions(ast.parse(source).body)]
    assert found == [["timeout"], [], ["what it returns"], ["what it returns"], [], ["what it returns"]]
