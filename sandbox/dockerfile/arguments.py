"""ARG and ENV: what a variable holds at each place of a file.

ARGs before the first FROM are seen by FROM lines alone, and by a stage that names them again. Within a stage ARG and
ENV fill one environment, the later winning; a stage that starts from another begins with what that one had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.mounts import read_mount
from sandbox.dockerfile.source_text import Word
from sandbox.dockerfile.words import Expansion, Rules, expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.dockerfile.instructions import Arg, Argument, Pair, Run
    from sandbox.dockerfile.mounts import Mount
    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.stages import Program
    from sandbox.image.platforms import Platform

#: arguments that need no ARG, are set for RUN and never kept in the image or its cache key
PROXIES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
#: arguments for the builder, which no command sees
_NOT_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def platform_arguments(build: Platform, target: Platform, stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """The arguments every file has in its global scope; `given` may set others. `stage` is the target's name."""
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return {name: given.get(name, value) for name, value in values.items()}


class GlobalArgument(NamedTuple):
    """An ARG before the first FROM, its value, and the variables its default was made of."""

    argument: Argument
    node: Node
    value: str | None
    made_of: frozenset[str]


class Globals(NamedTuple):
    """The global scope: its variables, the ARGs that made them, and what was given for any ARG (`--build-arg`)."""

    environment: dict[str, str]
    arguments: dict[str, GlobalArgument]
    given: Mapping[str, str]
    escape: str

    def expand(self, text: str, node: Node) -> Expansion:
        """A text of a FROM line. Raises DockerfileError."""
        return expand_located(text, self.environment, self.escape, node)


def read_globals(program: Program, given: Mapping[str, str], predefined: Mapping[str, str]) -> Globals:
    """The global scope of a file. Raises DockerfileError for a default that cannot be expanded."""
    found = Globals(dict(predefined), {}, given, program.dockerfile.escape)
    for arg in program.arguments:
        for argument in arg.arguments:
            value = given.get(argument.name)
            made_of: frozenset[str] = frozenset()
            if value is None and argument.value is not None:
                expansion = found.expand(argument.value, arg.node)
                value = expansion.text
                earlier = found.arguments.get(argument.name)
                made_of = expansion.matched - {argument.name}
                if earlier and argument.name in expansion.matched:
                    made_of |= earlier.made_of
            if value is not None:
                found.environment[argument.name] = value
            found.arguments[argument.name] = GlobalArgument(argument, arg.node, value, made_of)
    return found


def expand_located(text: str, environment: Mapping[str, str], escape: str, node: Node) -> Expansion:
    """As `words.expand`, with errors that have the node's place. Raises DockerfileError."""
    try:
        return expand(text, environment, Rules(escape))
    except WordError as error:
        raise node.error(error.message, _find(text, node, error.offset), mend=error.mend) from error


def _find(text: str, node: Node, offset: int) -> Word | None:
    """The character `offset` of `text`, or the word that holds it where quotes or JSON were taken off."""
    for word in (*node.arguments, *node.flags):
        if text in word.text:
            start = word.offset + word.text.find(text)
            exact = node.line.text.startswith(text, start)
            return Word(text, start + offset if exact else word.offset)
    return None


class Scope:
    """The variables of one stage as its instructions go by."""

    def __init__(self, globals_: Globals, environment: Mapping[str, str], declared: Iterable[str] = ()) -> None:
        self._globals = globals_
        self.environment = dict(environment)
        #: the names of all ARGs so far, with a value or not
        self.declared = set(declared)

    def inherit(self) -> Scope:
        """The scope of a stage that starts from this one at its end."""
        return Scope(self._globals, self.environment, self.declared)

    def expand(self, text: str, node: Node) -> Expansion:
        """Raises DockerfileError."""
        return expand_located(text, self.environment, self._globals.escape, node)

    def declare(self, arg: Arg) -> list[Expansion]:
        """Take an ARG in, and return how its defaults were expanded."""
        expansions = []
        for argument in arg.arguments:
            value = self._globals.given.get(argument.name)
            if value is None and argument.value is not None:
                expansions.append(self.expand(argument.value, arg.node))
                value = expansions[-1].text
            elif value is None:
                value = self._globals.environment.get(argument.name)
            if value is not None and argument.name not in _NOT_IN_ENVIRONMENT:
                self.environment[argument.name] = value
            self.declared.add(argument.name)
        return expansions

    def assign(self, pairs: Iterable[Pair], node: Node) -> list[Expansion]:
        """Take an ENV in: all its values are expanded before the first of them holds."""
        keys = [(self.expand(pair.key, node), self.expand(pair.value, node)) for pair in pairs]
        self.environment.update((key.text, value.text) for key, value in keys)
        return [expansion for pair in keys for expansion in pair]


def read_mounts(run: Run, scope: Scope) -> tuple[Mount, ...]:
    """The mounts of a RUN with the variables of this moment. Raises DockerfileError."""
    try:
        return tuple(read_mount(text, lambda word: scope.expand(word, run.node).text) for text in run.mounts)
    except WordError as error:
        at = next((word for word in run.node.flags if word.text.startswith("--mount")), None)
        raise run.node.error(error.message, at, mend=error.mend) from error
