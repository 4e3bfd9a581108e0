"""The contract as tables: command lines, and what Docker answers to each.

A table is a text file of sections; the rows of one section run one after another, on the containers, images and volumes
that `standing.py` makes for all tables, which a section leaves as it found them.

    == name of a section
    - create --name x busybox true      a step that is not looked at, but must succeed
    $ ps -aq --no-trunc                 a row: the words after `sandbox`, as a shell splits them
    & volume ls -q                      the same, where podman answers as Docker does
    > {ID}                              a line of standard output; no such line means no output
    ! No such container: x              what a line of standard error has at its end; none means no talk
    = 1                                 the exit status, where it is not 0
    < text                              a line of standard input

A line of output is literal but for the names in braces of `_PATTERNS`; two blanks or more stand for any number of them
from two on, and a line of `{...}` for any number of lines. One that ends in a question has no end.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_AGO = r"(?:Less than a second|About an? \w+|\d+ \w+)"
_PATTERNS = {
    "{id}": r"[0-9a-f]{12}",
    "{ID}": r"[0-9a-f]{64}",
    "{sha}": r"sha256:[0-9a-f]{64}",
    "{ago}": rf"{_AGO} ago",
    "{for}": _AGO,
    "{size}": r"[\d.]+(?:B|kB|MB|GB)",
    "{time}": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "{stamp}": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \S+",
    "{number}": r"-?\d+",
    "{word}": r"\S+",
    "{any}": r".*",
}
_ANY_LINES = "{...}"
#: who asks waits on the same line
_QUESTION = "[y/N] "
_PIECES = re.compile("|".join([*map(re.escape, _PATTERNS), " {2,}"]))


class Row(NamedTuple):
    """One command line; `checked` False for a step. `shared`: podman answers in the same way."""

    line: int
    words: tuple[str, ...]
    shared: bool = False
    checked: bool = True
    stdin: tuple[str, ...] = ()
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    status: int = 0

    def with_port(self, port: int) -> Row:
        """Its texts with the port that `web` publishes."""

        def put(lines: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(line.replace("{PORT}", str(port)) for line in lines)

        return self._replace(words=put(self.words), stdout=put(self.stdout), stderr=put(self.stderr))


class Section(NamedTuple):
    name: str
    rows: tuple[Row, ...]


class Answer(NamedTuple):
    status: int
    stdout: str
    stderr: str


def read_table(path: Path) -> list[Section]:
    """The sections of a file. Raises ValueError for a line that means nothing."""
    sections: list[Section] = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        mark, _, rest = text.partition(" ")
        if not text.strip() or mark.startswith("#"):
            continue
        if mark == "==":
            sections.append(Section(rest, ()))
            continue
        section = sections[-1]
        if mark in ("$", "&", "-"):
            row = Row(number, tuple(shlex.split(rest)), shared=mark == "&", checked=mark != "-")
            sections[-1] = section._replace(rows=(*section.rows, row))
        else:
            changed = _with_line(section.rows[-1], mark, rest, f"{path.name}:{number}")
            sections[-1] = section._replace(rows=(*section.rows[:-1], changed))
    return sections


def _with_line(row: Row, mark: str, text: str, place: str) -> Row:
    if mark == ">":
        return row._replace(stdout=(*row.stdout, text))
    if mark == "!":
        return row._replace(stderr=(*row.stderr, text))
    if mark == "<":
        return row._replace(stdin=(*row.stdin, text))
    if mark == "=":
        return row._replace(status=int(text))
    raise ValueError(f"{place}: a line begins with one of == - $ & > ! = <, not with {mark!r}")


def differences(row: Row, answer: Answer, *, of_podman: bool = False) -> list[str]:
    """What of `answer` is not as the row has it; podman words its errors in its own way."""
    if not row.checked:
        return [] if answer.status == 0 else [f"a step failed: {answer.stderr.strip()}"]
    found = []
    if answer.status != row.status:
        found.append(f"status {answer.status}, not {row.status}")
    if not _pattern(row.stdout).fullmatch(answer.stdout):
        found.append(f"output {answer.stdout!r}, not {list(row.stdout)}")
    if of_podman:
        return found
    talk = answer.stderr.splitlines()
    if not row.stderr and talk and row.status == 0:
        found.append(f"talk {answer.stderr!r}, where there is none")
    found += [f"no line of talk ends in {wanted!r}: {answer.stderr!r}" for wanted in row.stderr
              if not any(_line_pattern(wanted).search(line) for line in talk)]  # fmt: skip
    return found


def _pattern(lines: tuple[str, ...]) -> re.Pattern[str]:
    ends = ["" if line.endswith(_QUESTION) else r"\n" for line in lines]
    parts = zip(lines, ends, strict=True)
    return re.compile("".join(r"(?:.*\n)*" if line == _ANY_LINES else _source(line) + end for line, end in parts))


def _line_pattern(text: str) -> re.Pattern[str]:
    return re.compile(_source(text) + r"\s*$")


def _source(text: str) -> str:
    position, source = 0, ""
    for match in _PIECES.finditer(text):
        source += re.escape(text[position : match.start()])
        source += _PATTERNS.get(match.group(), " {2,}")
        position = match.end()
    return source + re.escape(text[position:])
