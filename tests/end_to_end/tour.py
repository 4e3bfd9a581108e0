"""A page of commands with their output, read and run: what docs/tour.md claims is what a person gets.

A block of `console` has commands after `$ ` (a line that ends with a backslash goes on), and below each its output; a
line of `...` stands for any number of lines. A block whose first line is `language PATH` is a file that is written.
What differs from run to run is put the same way into both texts (`normalised`).
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANYTHING = "..."
_AGO = r"(?:Less than a second|About an? \w+|\d+ \w+)"
_SAME: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"\b(?:sha256:)?[0-9a-f]{64}\b", "<ID>"),
        (r"\b(?:[0-9a-f]{12}|[0-9a-z]{25})\b", "<id>"),
        (r"-p 127.0.0.1:\d+:80\b", "-p 127.0.0.1:<port>:80"),
        (rf"\b{_AGO} ago\b", "<ago>"),
        (rf"\bUp {_AGO}\b", "Up <for>"),
        (r"\b\d[\d.]*(?:B|kB|MB|GB|MiB|KiB|GiB)\b", "<size>"),
        (r"\b\d[\d.]*m?s\b", "<took>"),
        (r"\d[\d.]*%", "<percent>"),
        (r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\bsize: \d+", "size: <bytes>"),
        (r"^\d+ {2,}", "<pid>  "),
        (r" {2,}", "  "),
    )
)


class Step(NamedTuple):
    """A file to write (`path`), or a command to run and what it prints."""

    path: str
    text: str
    shown: tuple[str, ...] = ()


def read_page(text: str) -> Iterator[Step]:
    """The steps of a page, in its order."""
    for language, path, body in _BLOCK.findall(text):
        if path:
            yield Step(path, body)
        elif language == "console":
            yield from _commands(body)


def _commands(body: str) -> Iterator[Step]:
    command = ""
    shown: list[str] = []
    for line in body.splitlines():
        if command.endswith("\\") and not shown:
            command += f"\n{line}"
        elif line.startswith("$ "):
            if command:
                yield Step("", command, tuple(shown))
            command, shown = line[2:], []
        else:
            shown.append(line)
    yield Step("", command, tuple(shown))


def run_step(step: Step, directory: Path, env: Mapping[str, str]) -> list[str]:
    """Do it in `directory`; the lines that a terminal would show."""
    if step.path:
        target = directory / step.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(step.text)
        return []
    done = subprocess.run(
        ["bash", "-c", step.text], cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout.splitlines()


def is_alike(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether a command printed what the page shows, but for what differs from run to run."""
    pattern = "".join(r"(?:.*\n)*" if line == _ANYTHING else f"{re.escape(normalised(line))}\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{normalised(line)}\n" for line in printed)) is not None


def normalised(line: str) -> str:
    for pattern, instead in _SAME:
        line = pattern.sub(instead, line)
    return line.rstrip()
