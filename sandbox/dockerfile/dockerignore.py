"""`.dockerignore`: which files of a context a build does not see.

Patterns hold in their order and the last that matches decides; `!` takes a path back in. What lies below an ignored
directory is ignored with it. `NAME.Dockerfile.dockerignore` beside the Dockerfile goes before `.dockerignore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import DockerfileError, Place, WordError
from sandbox.dockerfile.path_patterns import PathPattern
from sandbox.dockerfile.source_text import SPACE, decode

if TYPE_CHECKING:
    from collections.abc import Sequence


class IgnoreLine(NamedTuple):
    """One pattern of a file, cleaned; an exception begins with `!`."""

    pattern: str
    line: int


class _Rule(NamedTuple):
    pattern: PathPattern
    exception: bool


#: for one directory, which rules match it or a directory above it
Inherited = tuple[bool, ...]


def ignore_file_names(dockerfile: str) -> tuple[str, str]:
    """Where the patterns may be, the first that exists holds: beside the Dockerfile, then in the context's root."""
    return f"{dockerfile}.dockerignore", ".dockerignore"


def read_ignore_file(data: bytes | str, name: str = ".dockerignore") -> IgnoreRules:
    """The rules of a file. Raises DockerfileError."""
    text = decode(data, name) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    rules: list[_Rule] = []
    for found in read_ignore_lines(text):
        try:
            rules += _read_rules([found.pattern])
        except WordError as error:
            shown = text.split("\n")[found.line - 1]
            raise DockerfileError(error.message, Place(name, found.line, 1, shown)) from error
    return IgnoreRules(rules)


def read_ignore_lines(text: str) -> list[IgnoreLine]:
    """The patterns of a file; comments begin in the first column."""
    found: list[IgnoreLine] = []
    for number, line in enumerate(text.split("\n"), 1):
        pattern = line.removesuffix("\r").strip(SPACE)
        if line.startswith("#") or not pattern:
            continue
        sign = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(sign) :].strip(SPACE)
        if pattern:
            pattern = clean_path(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        found.append(IgnoreLine(sign + pattern, number))
    return found


def read_patterns(patterns: Sequence[str]) -> IgnoreRules:
    """The rules of patterns given one by one: `--exclude`. Raises WordError."""
    return IgnoreRules(_read_rules(patterns))


def clean_path(path: str) -> str:
    """The shortest path that says the same, by its text alone: Go's filepath.Clean."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and (rooted or (parts and parts[-1] != "..")):
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if rooted else "") + "/".join(parts) or "."


def _read_rules(patterns: Sequence[str]) -> list[_Rule]:
    rules = []
    for written in patterns:
        text = written.strip(SPACE)
        if not text:
            continue
        text = clean_path(text)
        exception = text.startswith("!")
        if text == "!":
            raise WordError("invalid pattern '!': there is nothing to take back in")
        rules.append(_Rule(PathPattern(text[exception:]), exception))
    return rules


class IgnoreRules:
    """Rules in their order."""

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._rules = tuple(rules)
        self.has_exceptions = any(rule.exception for rule in rules)
        #: whether a pattern takes in every entry of the context's root
        self.takes_all = any(rule.pattern.pattern in ("*", "**", "**/*") for rule in rules if not rule.exception)

    def __len__(self) -> int:
        return len(self._rules)

    def ignores(self, path: str) -> bool:
        """Whether the rules ignore `path`, relative with slashes, or a directory above it."""
        ignored = False
        for rule in self._rules:
            # a rule that could change nothing is not tried
            if rule.exception == ignored and rule.pattern.matches_or_above(path):
                ignored = not rule.exception
        return ignored

    def step(self, path: str, inherited: Inherited | None) -> tuple[bool, Inherited]:
        """As `ignores`, walking from the root down: `inherited` is what the directory above gave, None in the root."""
        ignored = False
        matched: list[bool] = []
        for i, rule in enumerate(self._rules):
            found = bool(inherited) and inherited is not None and inherited[i]
            if not found and rule.exception == ignored:
                found = rule.pattern.matches(path)
            if found:
                ignored = not rule.exception
            matched.append(found)
        return ignored, tuple(matched)
