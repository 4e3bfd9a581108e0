"""Help in Docker's layout, made of the command tables: the top level, a noun, one command.

The top level and the nouns are printed from the index alone; only a command's own help imports its module.
"""

from __future__ import annotations

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES, TOP_LEVEL
from sandbox.cli.topics.pages import TOPICS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.cli.command import Command, Context
    from sandbox.cli.flags import Option

#: what a value is called where a table gives no name
_METAVARS = {"flag": "", "text": "string", "list": "list", "number": "int"}
_WIDTH = 100


def print_help(context: Context, path: tuple[str, ...], *, is_asked: bool = False) -> int:
    """Print the help of the top level, a noun or a command, of a topic too where it `is_asked` for by `help`; 1 where
    there is none such.
    """
    from sandbox.cli.lookup import find_command, unknown_command

    name = " ".join(path)
    target = ALIASES.get(name, name)
    if not path:
        lines = _top_level()
    elif target in COMMANDS:
        lines = _command(find_command(target), name, target)
    elif name in NOUN_SUMMARIES:
        lines = _noun(name)
    elif is_asked and name in (*TOPICS, "topics"):
        lines = _topic(name)
    else:
        return unknown_command(context, name, TOPICS if is_asked and len(path) == 1 else ())
    context.print("\n".join(lines))
    return 0


def _top_level() -> list[str]:
    from sandbox.cli.lookup import GLOBAL_OPTIONS

    aliases = sorted(name for name in ALIASES if " " not in name and name not in TOP_LEVEL)
    return [
        "Usage:  sandbox [OPTIONS] COMMAND",
        "",
        "Docker semantics with no root and no system daemon",
        "",
        *_section("Common Commands", ((name, summary_of(name)) for name in TOP_LEVEL)),
        *_section("Management Commands", sorted(NOUN_SUMMARIES.items())),
        *_section("Commands", ((name, summary_of(name)) for name in aliases)),
        *_options("Global Options", [option for option in GLOBAL_OPTIONS if not option.hidden]),
        "Run 'sandbox COMMAND --help' for more information on a command.",
        "Run 'sandbox help topics' for pages on networking, volumes, limits and more.",
    ]


def _topic(name: str) -> list[str]:
    from sandbox.cli.topics.pages import topic_text

    if name in TOPICS:
        return [f"{name}: {TOPICS[name][1]}", "", *topic_text(name).splitlines()]
    return [
        "Usage:  sandbox help TOPIC",
        "",
        *_section("Topics", sorted((topic, summary) for topic, (_module, summary) in TOPICS.items())),
    ][:-1]


def verbs_of(noun: str) -> list[str]:
    """The commands under a noun, as typed, sorted; each by one name."""
    # of aliases those that another noun's command has under this one: `builder build`
    elsewhere = [path for path, target in ALIASES.items() if not target.startswith(f"{noun} ")]
    return sorted(path for path in (*COMMANDS, *elsewhere) if path.startswith(f"{noun} "))


def _noun(noun: str) -> list[str]:
    from sandbox.cli.noun_options import noun_options

    options = [option for option in noun_options(noun) if not option.hidden]
    return [
        f"Usage:  sandbox {noun} {'[OPTIONS] ' if options else ''}COMMAND",
        "",
        NOUN_SUMMARIES[noun],
        "",
        *_options("Options", sorted(options, key=lambda option: option.key.lower())),
        *_section("Commands", ((path.partition(" ")[2], summary_of(path)) for path in verbs_of(noun))),
        f"Run 'sandbox {noun} COMMAND --help' for more information on a command.",
    ]


def _command(command: Command, name: str, target: str) -> list[str]:
    aliases = names_of(target)
    lines = [f"Usage:  sandbox {name} {command.usage}".rstrip(), "", command.summary, ""]
    if len(aliases) > 1:
        lines += ["Aliases:", "  " + ", ".join(f"sandbox {alias}" for alias in aliases), ""]
    if command.examples:
        lines += ["Examples:", *(f"  {line}" for line in command.examples), ""]
    shown = [option for option in command.options if not option.hidden]
    lines += _options("Options", sorted(shown, key=lambda option: option.key.lower()))
    if command.further:
        lines += ["Further:", *(f"  {place}" for place in command.further), ""]
    return lines[:-1] if not lines[-1] else lines


def names_of(target: str) -> list[str]:
    """Everything by which a command is called, its own path first."""
    return [target, *(alias for alias, known in ALIASES.items() if known == target)]


def summary_of(name: str) -> str:
    """What a command does, by any of its names."""
    return COMMANDS[ALIASES.get(name, name)][1]


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    found = list(rows)
    width = max((len(name) for name, _ in found), default=0) + 2
    return [f"{title}:", *(f"  {name:<{width}}{summary}" for name, summary in found), ""] if found else []


def _options(title: str, options: Sequence[Option]) -> list[str]:
    if not options:
        return []
    heads = [_option_head(option) for option in options]
    column = max(len(head) for head in heads) + 3
    lines = [f"{title}:"]
    for head, option in zip(heads, options, strict=True):
        first, *rest = _wrapped(option_text(option), _WIDTH - column)
        lines.append(f"{head:<{column}}{first}")
        lines.extend(" " * column + line for line in rest)
    return [*lines, ""]


def _option_head(option: Option) -> str:
    short = next((f"{name}, " for name in option.names if not name.startswith("--")), "")
    value = metavar_of(option)
    key = f"--{option.key}" if len(option.key) > 1 else ""
    return f"  {short if key else short[:-2]:<4}{key}{' ' if value else ''}{value}"


def metavar_of(option: Option) -> str:
    """What an option's value is called; "" where it takes none."""
    return option.metavar or _METAVARS[option.kind]


def option_text(option: Option) -> str:
    """What an option does, with its default."""
    default = option.default
    if default in (None, False, "", ()) or "default" in option.help:
        return option.help
    return f"{option.help} (default {str(default).lower() if isinstance(default, bool) else default!r})".replace(
        "'", '"'
    )


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > max(width, 30):
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
