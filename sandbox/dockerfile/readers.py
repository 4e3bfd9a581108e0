"""A node to a typed instruction: what each takes and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.errors import did_you_mean
from sandbox.dockerfile.flags import read_flags
from sandbox.dockerfile.health import read_healthcheck
from sandbox.dockerfile.instructions import (
    Arg,
    Argument,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    From,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from sandbox.dockerfile.parser import INSTRUCTIONS
from sandbox.dockerfile.readers_files import read_add, read_copy
from sandbox.dockerfile.readers_run import command_line, read_run
from sandbox.dockerfile.source_text import SPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.dockerfile.instructions import Instruction
    from sandbox.dockerfile.parser import Node

_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyz")
_NAME_REST = _NAME_START | frozenset("0123456789-_.")


def read_instruction(node: Node) -> Instruction:
    """What the node says. Raises DockerfileError."""
    read = _READERS.get(node.instruction)
    if read is None:
        name = node.keyword.text
        raise node.error(
            f"unknown instruction: {name}{did_you_mean(name, INSTRUCTIONS)}",
            expected=f"one of {', '.join(sorted(INSTRUCTIONS))}",
        )
    return read(node)


def read_stage_name(text: str) -> str | None:
    """The name in small letters, or None where it is not one: a letter, then letters, digits, `-`, `_` and `.`."""
    name = text.lower()
    return name if name[:1] in _NAME_START and name and _NAME_REST.issuperset(name) else None


def _read_from(node: Node) -> From:
    arguments = node.arguments
    name = ""
    if len(arguments) == 3 and arguments[1].text.lower() == "as":
        found = read_stage_name(arguments[2].text)
        if found is None:
            raise node.error(
                f"invalid name for a build stage: {arguments[2].text!r}",
                arguments[2],
                expected="a letter, then letters, digits, - _ and .",
            )
        name = found
    elif len(arguments) != 1:
        at = arguments[1] if len(arguments) > 1 else None
        raise node.error("FROM takes one or three arguments", at, expected="FROM IMAGE, or FROM IMAGE AS NAME")
    return From(node, arguments[0].text, name, read_flags(node).text("platform"))


def _pairs(node: Node) -> tuple[Pair, ...]:
    read_flags(node)
    _at_least_one(node)
    words = node.arguments
    pairs = []
    for key, value, sign in zip(words[::3], words[1::3], words[2::3], strict=True):
        if not key.text:
            raise node.error(f"a name of {node.instruction} is blank", key, expected="name=value")
        pairs.append(Pair(key.text, value.text, not sign.text))
    return tuple(pairs)


def _read_arg(node: Node) -> Arg:
    _at_least_one(node)
    found = []
    for word in node.arguments:
        name, equals, value = word.text.partition("=")
        if equals and not name:
            raise node.error("a name of ARG is blank", word, expected="ARG NAME or ARG NAME=DEFAULT")
        found.append(Argument(name, value if equals else None, describe(node.comments, name)))
    return Arg(node, tuple(found))


def describe(comments: tuple[str, ...], name: str) -> str:
    """The description of an argument or a stage: a comment above it that begins with its name."""
    prefix = f"{name} "
    return next((line[len(prefix) :] for line in comments if name and line.startswith(prefix)), "")


def _read_onbuild(node: Node) -> Onbuild:
    if node.trigger is None:
        _at_least_one(node)
        raise AssertionError("ONBUILD has no arguments of its own")
    read_flags(node)
    trigger = node.trigger
    if trigger.instruction in ("ONBUILD", "FROM", "MAINTAINER"):
        raise node.error(
            f"{trigger.instruction} is not allowed in ONBUILD", trigger.keyword, expected="ONBUILD RUN, COPY, ADD, …"
        )
    # as BuildKit keeps it in the image: without the word ONBUILD, flags and all, and each heredoc behind it
    expression = node.original.lstrip(SPACE)[len(node.keyword.text) :].lstrip("\t\n\f\r ")
    for heredoc in node.heredocs:
        expression += f"\n{heredoc.content}{heredoc.name}"
    return Onbuild(node, expression)


def _read_expose(node: Node) -> Expose:
    _at_least_one(node)
    read_flags(node)
    return Expose(node, tuple(sorted(word.text for word in node.arguments)))


def _read_volume(node: Node) -> Volume:
    _at_least_one(node)
    read_flags(node)
    paths = []
    for word in node.arguments:
        path = word.text.strip(SPACE)
        if not path:
            raise node.error("a path of VOLUME is empty", word, expected="a path in the container")
        paths.append(path)
    return Volume(node, tuple(paths))


def _read_shell(node: Node) -> Shell:
    read_flags(node)
    _at_least_one(node)
    if not node.json:
        raise node.error("SHELL takes the JSON form", node.arguments[0], expected='SHELL ["executable", "parameter"]')
    return Shell(node, tuple(word.text for word in node.arguments))


def _only(node: Node, *, flags: bool = True) -> str:
    if len(node.arguments) != 1:
        raise node.error(f"{node.instruction} requires exactly one argument", expected=f"{node.instruction} VALUE")
    if flags:
        read_flags(node)
    return node.arguments[0].text


def _at_least_one(node: Node) -> None:
    if not node.arguments:
        form = "NAME=VALUE" if node.instruction in ("ENV", "LABEL") else "VALUE"
        raise node.error(f"{node.instruction} requires at least one argument", expected=f"{node.instruction} {form} …")


def _read_command(node: Node) -> Cmd | Entrypoint:
    read_flags(node)
    command = command_line(node)
    return Cmd(node, command) if node.instruction == "CMD" else Entrypoint(node, command)


# ARG and STOPSIGNAL take any flag and ignore it, and files that lean on that build with Docker
_READERS: dict[str, Callable[[Node], Instruction]] = {
    "ADD": read_add,
    "ARG": _read_arg,
    "CMD": _read_command,
    "COPY": read_copy,
    "ENTRYPOINT": _read_command,
    "ENV": lambda node: Env(node, _pairs(node)),
    "EXPOSE": _read_expose,
    "FROM": _read_from,
    "HEALTHCHECK": read_healthcheck,
    "LABEL": lambda node: Label(node, _pairs(node)),
    "MAINTAINER": lambda node: Maintainer(node, _only(node)),
    "ONBUILD": _read_onbuild,
    "RUN": read_run,
    "SHELL": _read_shell,
    "STOPSIGNAL": lambda node: StopSignal(node, _only(node, flags=False)),
    "USER": lambda node: User(node, _only(node)),
    "VOLUME": _read_volume,
    "WORKDIR": lambda node: Workdir(node, _only(node)),
}
