"""Manual pages, made of the command tables as the help is: `python -m sandbox.cli.man_pages DIRECTORY` writes them.

One for `sandbox`, for each noun and each command; under each further name a page that leads to it, so that both
`man sandbox-run` and `man sandbox-container-run` are answered. setup.py puts them into what is installed.
"""

from __future__ import annotations

import os
import sys

from sandbox.cli.help import metavar_of, names_of, option_text, summary_of, verbs_of
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command
from sandbox.cli.noun_options import noun_options
from sandbox.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.cli.flags import Option


def write_pages(directory: str) -> list[str]:
    """Write every page into `directory`, which is made; their paths, sorted. What else lies there stays."""
    os.makedirs(directory, exist_ok=True)
    written = []
    for name, text in make_pages().items():
        path = f"{directory}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
    return sorted(written)


def make_pages() -> dict[str, str]:
    """File name -> text, in roff with the macros of man(7)."""
    pages = {"sandbox.1": _top_page()}
    for noun in NOUN_SUMMARIES:
        pages[_file(noun)] = _noun_page(noun)
    for path in COMMANDS:
        pages[_file(path)] = _command_page(path)
    for alias, path in ALIASES.items():
        pages[_file(alias)] = f".so man1/{_file(path)}\n"
    return pages


def _file(path: str) -> str:
    return f"sandbox-{path.replace(' ', '-')}.1"


def _top_page() -> str:
    return _page(
        "sandbox",
        "Docker semantics with no root and no system daemon",
        "[OPTIONS] COMMAND",
        [
            *_options(GLOBAL_OPTIONS),
            ".SH COMMANDS",
            *_list((path, summary) for path, (_module, summary) in COMMANDS.items()),
            ".SH EXIT STATUS",
            _text(
                "Of run, exec and start -a that of the container's program; 125 where sandbox itself failed, 126 where"
                " the program cannot be executed, 127 where it is not there; 130 after an interrupt."
            ),
            ".SH FILES",
            *_list(
                (
                    ("~/.config/sandbox/config.toml", "settings"),
                    ("~/.local/share/sandbox", "images, containers, volumes and the build cache"),
                    ("~/.docker/config.json", "credentials for registries"),
                )
            ),
        ],
        [f"sandbox-{path.replace(' ', '-')}" for path in (*NOUN_SUMMARIES, *COMMANDS)],
    )


def _noun_page(noun: str) -> str:
    verbs = verbs_of(noun)
    options = noun_options(noun)
    body = [*_options(options), ".SH COMMANDS", *_list((path, summary_of(path)) for path in verbs)]
    usage = "[OPTIONS] COMMAND" if options else "COMMAND"
    return _page(f"sandbox {noun}", NOUN_SUMMARIES[noun], usage, body, [_file(path)[:-2] for path in verbs])


def _command_page(path: str) -> str:
    command = find_command(path)
    body: list[str] = []
    names = names_of(path)
    if len(names) > 1:
        body += [".SH ALIASES", _text(", ".join(f"sandbox {name}" for name in names))]
    body += _options(command.options)
    if command.examples:
        body += [".SH EXAMPLES", ".EX", *map(_text, command.examples), ".EE"]
    notes = [_text(f"Further: {place}.") for place in command.further]
    noun = path.partition(" ")[0]
    return _page(f"sandbox {path}", command.summary, command.usage, body, ["sandbox", f"sandbox-{noun}"], notes)


def _page(
    name: str, summary: str, usage: str, body: Sequence[str], others: Iterable[str], notes: Sequence[str] = ()
) -> str:
    file = name.replace(" ", "-")
    see = [f".BR {_text(other)} (1)," for other in others if other != file]
    lines = [
        f'.TH {_text(file.upper())} 1 "" "sandbox {__version__}" "User Commands"',
        ".SH NAME",
        f"{_text(file)} \\- {_text(summary)}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        _text(usage),
        ".SH DESCRIPTION",
        _text(f"{summary}."),
        *body,
        ".SH SEE ALSO",
        *see[:-1],
        *(line.rstrip(",") for line in see[-1:]),
    ]
    if notes:
        lines += [".PP", *notes]
    return "\n".join(line for line in lines if line) + "\n"


def _options(options: Sequence[Option]) -> list[str]:
    shown = sorted((option for option in options if not option.hidden), key=lambda option: option.key.lower())
    lines = [".SH OPTIONS"] if shown else []
    for option in shown:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        value = metavar_of(option)
        lines += [".TP", f"{names} \\fI{_text(value)}\\fR" if value else names, _text(option_text(option))]
    return lines


def _list(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [line for name, text in rows for line in (".TP", f".B {_text(name)}", _text(text))]


def _text(text: str) -> str:
    """A line of text for roff: a dash that can be copied, and nothing that is taken for a command."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{quoted}" if quoted[:1] in (".", "'") else quoted


if __name__ == "__main__":
    write_pages(sys.argv[1])
