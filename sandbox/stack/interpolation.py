"""`$V`, `${V}`, `${V:-x}`, `${V-x}`, `${V:?x}`, `${V?x}`, `${V:+x}`, `${V+x}` and `$$`, one inside another.

After a file is parsed and before it is read: so a value's `$` makes no structure, and keys are never touched.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import problem
from sandbox.stack.nodes import Mapping, Scalar, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.stack.nodes import Node

    Lookup = Callable[[str], str | None]

_DEEPEST = 50
#: in this order: of two that begin alike the longer one is meant
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


class TemplateError(Exception):
    """A text that cannot be filled in; the message is for a person."""


class Variable(NamedTuple):
    """A variable that a text names; `operator` "" where it stands alone."""

    name: str
    operator: str = ""
    word: str = ""


class _Rest(NamedTuple):
    variable: Variable | None
    #: characters of the text that it takes
    length: int
    #: what stands there where it is no variable
    literal: str = ""


def substitute(template: str, lookup: Lookup, missing: Callable[[str], None] | None = None) -> str:
    """`template` with its variables filled in; `missing` hears of each that has no value and no default.

    Raises TemplateError for a text that is none, and for a variable that must have a value and has none.
    """
    return _substitute(template, lookup, missing or (lambda _name: None), 0)


def variables_of(template: str) -> Iterator[Variable]:
    """The variables that `template` names, those of defaults too. Raises TemplateError."""
    position = 0
    while (start := template.find("$", position)) >= 0:
        found = _at(template, start)
        if found.variable is not None:
            yield found.variable
            yield from variables_of(found.variable.word)
        position = start + found.length


def _substitute(template: str, lookup: Lookup, missing: Callable[[str], None], depth: int) -> str:
    if "$" not in template:
        return template
    if depth > _DEEPEST:
        raise TemplateError(f"defaults are nested more than {_DEEPEST} deep")
    parts: list[str] = []
    position = 0
    while (start := template.find("$", position)) >= 0:
        parts.append(template[position:start])
        found = _at(template, start)
        if found.variable is None:
            parts.append(found.literal)
        else:
            parts.append(_value(found.variable, lookup, missing, depth))
        position = start + found.length
    return "".join((*parts, template[position:]))


def _value(variable: Variable, lookup: Lookup, missing: Callable[[str], None], depth: int) -> str:
    value = lookup(variable.name)
    operator = variable.operator
    if not operator:
        if value is None:
            missing(variable.name)
        return value or ""
    # with a colon, an empty value is none
    is_there = value is not None and (value != "" or operator[0] != ":")
    if operator[-1] == "+":
        return _substitute(variable.word, lookup, missing, depth + 1) if is_there else value or ""
    if is_there:
        return value or ""
    word = _substitute(variable.word, lookup, missing, depth + 1)
    if operator[-1] == "?":
        raise TemplateError(f"required variable {variable.name} is missing a value" + (f": {word}" if word else ""))
    return word


def _at(template: str, start: int) -> _Rest:
    """What begins with the `$` at `start`."""
    after = template[start + 1 : start + 2]
    if after == "$":
        return _Rest(None, 2, "$")
    if after == "{":
        end = _closing(template, start + 1)
        if end < 0:
            raise TemplateError(f"invalid interpolation format {template[start:]!r}: its '}}' is missing")
        return _Rest(_braced(template[start + 2 : end], template[start : end + 1]), end + 1 - start)
    name = _name(template, start + 1)
    return _Rest(Variable(name), 1 + len(name)) if name else _Rest(None, 1, "$")


def _closing(template: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(template)):
        if template[position] == "{":
            depth += 1
        elif template[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return -1


def _name(text: str, start: int) -> str:
    end = start
    while end < len(text) and (text[end] == "_" or (text[end].isascii() and text[end].isalnum())):
        end += 1
    return "" if end == start or text[start].isdigit() else text[start:end]


def _braced(inner: str, whole: str) -> Variable:
    name = _name(inner, 0)
    rest = inner[len(name) :]
    operator = next((one for one in _OPERATORS if rest.startswith(one)), "")
    if not name or (rest and not operator):
        raise TemplateError(f"invalid interpolation format {whole!r}: a variable is a letter or _, then digits too")
    return Variable(name, operator, rest[len(operator) :])


def interpolated(node: Node, lookup: Lookup, missing: Callable[[str], None], path: str = "") -> Node:
    """The tree with every text filled in. Raises ComposeFileError, which says where."""
    if isinstance(node, Scalar):
        if not isinstance(node.value, str) or "$" not in node.value:
            return node
        try:
            text = substitute(node.value, lookup, missing)
        except TemplateError as error:
            raise problem(node.place, path, str(error), mend="write $$ for a $" if "invalid" in str(error) else "")  \
                from error  # fmt: skip
        return node._replace(value=text, text=text)
    if isinstance(node, Sequence):
        return node._replace(
            items=tuple(interpolated(item, lookup, missing, f"{path}[{n}]") for n, item in enumerate(node.items))
        )
    if isinstance(node, Mapping):
        return node._replace(
            entries={
                key: entry._replace(node=interpolated(entry.node, lookup, missing, f"{path}.{key}" if path else key))
                for key, entry in node.entries.items()
            }
        )
    return node
