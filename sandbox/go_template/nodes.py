"""What a template is made of, once read."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Constant(NamedTuple):
    value: str | int | float | bool | None


class Dot(NamedTuple):
    """The data at hand, or a chain of its fields."""

    fields: tuple[str, ...] = ()


class Variable(NamedTuple):
    name: str
    fields: tuple[str, ...] = ()


class Function(NamedTuple):
    name: str


class Parenthesis(NamedTuple):
    pipeline: Pipeline
    fields: tuple[str, ...] = ()


Operand = Constant | Dot | Variable | Function | Parenthesis


class Command(NamedTuple):
    """An operand, or a function or field with its arguments."""

    words: tuple[Operand, ...]


class Pipeline(NamedTuple):
    """Commands, each given the value of the one before as its last argument; `variables` take the value."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    #: `=` to a variable that is there, not `:=`
    assigns: bool = False


class Text(NamedTuple):
    text: str


class Action(NamedTuple):
    pipeline: Pipeline


class Branch(NamedTuple):
    """`if`, `with` or `range`, and what is done where it has nothing."""

    kind: Literal["if", "with", "range"]
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Leave(NamedTuple):
    """`break` or `continue`."""

    kind: Literal["break", "continue"]


class Call(NamedTuple):
    """`template`: the nodes defined under a name, with the value of `pipeline` as their data."""

    name: str
    pipeline: Pipeline | None


Node = Text | Action | Branch | Leave | Call
