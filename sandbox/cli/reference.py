"""Reference pages in Markdown, made of the command tables as the help is: `python -m sandbox.cli.reference docs/cli`.

One for each command and an index by noun. They lie in the repository, and a test holds them against the tables.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sandbox.cli.help import metavar_of, names_of, option_text, summary_of, verbs_of
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command
from sandbox.cli.noun_options import noun_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.cli.flags import Option

_INDEX = "README.md"
_COMMAND_LINE = "python -m sandbox.cli.reference docs/cli"


def write_pages(directory: str) -> list[str]:
    """Write every page into `directory`, which is made, and remove pages of commands that are gone; the paths."""
    os.makedirs(directory, exist_ok=True)
    pages = make_pages()
    for name in os.listdir(directory):
        if name.endswith(".md") and name not in pages:
            os.unlink(f"{directory}/{name}")
    for name, text in pages.items():
        with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    return sorted(f"{directory}/{name}" for name in pages)


def make_pages() -> dict[str, str]:
    """File name -> text."""
    return {_INDEX: _index_page(), **{_file(path): _command_page(path) for path in COMMANDS}}


def _file(path: str) -> str:
    return f"{path.replace(' ', '-')}.md"


def _link(path: str) -> str:
    return f"[`{path}`]({_file(ALIASES.get(path, path))})"


def _index_page() -> str:
    lines = [
        "# Command reference",
        "",
        f"Made of the command tables by `{_COMMAND_LINE}`; `sandbox COMMAND --help` and the manual pages say the same.",
        "",
        *_option_table("Global options", GLOBAL_OPTIONS),
    ]
    for noun, summary in NOUN_SUMMARIES.items():
        lines += [f"## {noun}", "", f"{summary}.", ""]
        lines += _option_table("Options before the command", noun_options(noun), "###")
        lines += ["| command | typed as well | what it does |", "|---|---|---|"]
        for path in verbs_of(noun):
            others = ", ".join(f"`{name}`" for name in names_of(ALIASES.get(path, path)) if name != path)
            lines.append(f"| {_link(path)} | {others} | {_cell(summary_of(path))} |")
        lines.append("")
    return _text(lines)


def _command_page(path: str) -> str:
    command = find_command(path)
    lines = [f"# sandbox {path}", "", f"{command.summary}.", "", f"    sandbox {path} {command.usage}".rstrip(), ""]
    names = names_of(path)[1:]
    if names:
        lines += [f"Typed as well: {', '.join(f'`sandbox {name}`' for name in names)}.", ""]
    if command.examples:
        lines += ["## Examples", "", *(f"    {line}" for line in command.examples), ""]
    lines += _option_table("Options", command.options)
    lines += [f"Further: {place}." for place in command.further]
    lines += ["", f"[All commands]({_INDEX})"]
    return _text(lines)


def _option_table(title: str, options: Sequence[Option], level: str = "##") -> list[str]:
    shown = sorted((option for option in options if not option.hidden), key=lambda option: option.key.lower())
    if not shown:
        return []
    rows = [f"| {_names(option)} | {_cell(option_text(option))} |" for option in shown]
    return [f"{level} {title}", "", "| option | what it does |", "|---|---|", *rows, ""]


def _names(option: Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.names)
    value = metavar_of(option)
    return f"{names} _{_cell(value)}_" if value else names


def _cell(text: str) -> str:
    """A text as it is, in a cell of a table."""
    for mark in "\\|<>*_`[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def _text(lines: Iterable[str]) -> str:
    """The lines, with no two empty ones beside each other."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


if __name__ == "__main__":
    write_pages(sys.argv[1])
