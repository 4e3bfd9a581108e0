"""A template applied to data (Go's text/template/exec.go)."""

from __future__ import annotations

from sandbox.go_template.errors import TemplateError, UnknownFieldError
from sandbox.go_template.functions import FUNCTIONS, is_true
from sandbox.go_template.kinds import GO_NAMES, NULL_POINTER, Structure
from sandbox.go_template.nodes import (
    Action,
    Branch,
    Call,
    Constant,
    Dot,
    Function,
    Leave,
    Parenthesis,
    Text,
    Variable,
)
from sandbox.go_template.parser import parse_nodes
from sandbox.go_template.printing import NO_VALUE, go_type, show_printed
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from sandbox.go_template.nodes import Command, Node, Operand, Pipeline
    from sandbox.go_template.shapes import Shape


#: templates within one another: more is one that calls itself for ever, and Python's stack is not deep
_MOST_CALLS = 100


class Template(NamedTuple):
    """A template that was read; `render` may be called any number of times."""

    nodes: tuple[Node, ...]
    defined: Mapping[str, tuple[Node, ...]] = {}

    def render(
        self,
        data: Any,  # Any: JSON of any shape
        *,
        shape: Shape | None = None,
        functions: Mapping[str, Callable[..., Any]] = FUNCTIONS,
    ) -> str:
        """The text for `data`. A field that is lacking is an error where `shape` says so, as it is of a Go struct;
        a key that a map lacks is "<no value>". Raises TemplateError.
        """
        state = _State(data, shape, functions, self.defined)
        try:
            state.walk(self.nodes, data)
        except RecursionError:
            raise TemplateError("template: the data is nested too deeply") from None
        return "".join(state.output)


def parse_template(source: str, functions: Collection[str] = FUNCTIONS) -> Template:
    """The template written in `source`, which may call these functions. Raises TemplateParseError."""
    return Template(*parse_nodes(source, functions))


class _Left(Exception):  # noqa: N818  # control flow of `break` and `continue`, not an error
    def __init__(self, kind: str) -> None:
        self.kind = kind


class _State:
    """One run: the output so far and the variables in scope, innermost last."""

    def __init__(
        self,
        data: Any,
        shape: Shape | None,
        functions: Mapping[str, Callable[..., Any]],
        defined: Mapping[str, tuple[Node, ...]],
    ) -> None:
        self.output: list[str] = []
        self._root = data
        self._shape = shape
        self._functions = functions
        self._defined = defined
        self._calls = 0
        self._variables: list[tuple[str, Any]] = [("$", data)]

    def walk(self, nodes: Sequence[Node], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.output.append(node.text)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self.output.append(show_printed(value))
            elif isinstance(node, Leave):
                raise _Left(node.kind)
            elif isinstance(node, Call):
                self._call_template(node, dot)
            else:
                self._branch(node, dot)

    def _call_template(self, node: Call, dot: Any) -> None:
        if node.name not in self._defined:
            raise TemplateError(f'template: executing "" at <{{{{template "{node.name}"}}}}>: not defined')
        if self._calls == _MOST_CALLS:
            raise TemplateError(f"template: exceeded maximum template depth ({_MOST_CALLS})")
        value = None if node.pipeline is None else self._pipeline(node.pipeline, dot)
        outer, self._variables = self._variables, [("$", value)]
        self._calls += 1
        try:
            self.walk(self._defined[node.name], value)
        finally:
            self._calls -= 1
            self._variables = outer

    def _branch(self, node: Branch, dot: Any) -> None:
        scope = len(self._variables)
        try:
            if node.kind == "range":
                self._range(node, dot)
                return
            value = self._pipeline(node.pipeline, dot)
            if is_true(value):
                self.walk(node.body, value if node.kind == "with" else dot)
            else:
                self.walk(node.otherwise, dot)
        finally:
            del self._variables[scope:]

    def _range(self, node: Branch, dot: Any) -> None:
        pipeline = node.pipeline
        value = self._commands(pipeline, dot)
        scope = len(self._variables)
        empty = True
        for key, item in _items(value):
            empty = False
            del self._variables[scope:]
            names = pipeline.variables
            # one variable takes the item, two take the key and the item
            for name, bound in zip(names, (item,) if len(names) == 1 else (key, item), strict=False):
                self._bind(name, bound, assigns=pipeline.assigns)
            try:
                self.walk(node.body, item)
            except _Left as left:
                if left.kind == "break":
                    break
        del self._variables[scope:]
        if empty:
            self.walk(node.otherwise, dot)

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = self._commands(pipeline, dot)
        for name in pipeline.variables:
            self._bind(name, value, assigns=pipeline.assigns)
        return value

    def _bind(self, name: str, value: Any, *, assigns: bool) -> None:
        if assigns:
            for place in range(len(self._variables) - 1, -1, -1):
                if self._variables[place][0] == name:
                    self._variables[place] = (name, value)
                    return
        self._variables.append((name, value))

    def _commands(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = None
        for index, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if index else ())
        return value

    def _command(self, command: Command, dot: Any, final: tuple[Any, ...]) -> Any:
        first, words = command.words[0], command.words[1:]
        if isinstance(first, Function):
            if first.name in ("and", "or") and (words or final):
                return self._short_circuit(first.name, words, dot, final)
            arguments = (*(self._operand(word, dot) for word in words), *final)
            return self._call(first.name, self._functions[first.name], arguments)
        value = self._operand(first, dot, call=False)
        if callable(value):
            arguments = (*(self._operand(word, dot) for word in words), *final)
            return self._call(_shown(first), value, arguments)
        if words or final:
            raise self._error(first, f"{_shown(first)} has arguments but cannot be invoked as function")
        return value

    def _short_circuit(self, name: str, words: Sequence[Operand], dot: Any, final: tuple[Any, ...]) -> Any:
        value: Any = None
        for word in words:
            value = self._operand(word, dot)
            if is_true(value) == (name == "or"):
                return value
        return final[0] if final else value

    def _call(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return function(*arguments)
        except TypeError as error:
            # every function here checks its values: what is left is the number of them
            raise TemplateError(f"template: wrong number of args for {name}: got {len(arguments)}") from error

    def _operand(self, operand: Operand, dot: Any, *, call: bool = True) -> Any:
        if isinstance(operand, Constant):
            return operand.value
        if isinstance(operand, Function):
            return self._call(operand.name, self._functions[operand.name], ())
        if isinstance(operand, Parenthesis):
            value = self._pipeline(operand.pipeline, dot)
        elif isinstance(operand, Variable):
            value = next(bound for name, bound in reversed(self._variables) if name == operand.name)
        else:
            value = dot
        for field in operand.fields:
            value = self._field(operand, value, field)
        return self._call(_shown(operand), value, ()) if call and callable(value) else value

    def _field(self, operand: Operand, value: Any, name: str) -> Any:
        if value is NO_VALUE:
            return NO_VALUE
        if isinstance(value, dict):
            if name in value:
                return value[name]
            if isinstance(value, Structure) and GO_NAMES.get(name) in value:
                return value[GO_NAMES[name]]
            if self._shape is None:
                return NO_VALUE
            try:
                return self._shape.lacking(self._root, value, name)
            except KeyError:
                failure = self._error(operand, f"can't evaluate field {name}")
                raise UnknownFieldError(failure.message, name, value) from None
        if value is None or value is NULL_POINTER:
            raise self._error(operand, f"nil pointer evaluating interface {{}}.{name}")
        raise self._error(operand, f"can't evaluate field {name} in type {go_type(value)}")

    def _error(self, operand: Operand, why: str) -> TemplateError:
        return TemplateError(f'template: executing "" at <{_shown(operand)}>: {why}')


def _shown(operand: Operand) -> str:
    if isinstance(operand, Dot):
        return "." + ".".join(operand.fields)
    if isinstance(operand, Variable):
        return ".".join((operand.name, *operand.fields))
    if isinstance(operand, Function):
        return operand.name
    return "(…)" if isinstance(operand, Parenthesis) else repr(operand.value)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if value is None or value is NO_VALUE:
        return
    if isinstance(value, dict):
        yield from ((key, value[key]) for key in sorted(value))
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from ((number, number) for number in range(value))
    else:
        raise TemplateError(f"template: range can't iterate over {go_type(value)}")
