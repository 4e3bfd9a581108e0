"""The command tables as a typer application: names, options, arguments and what completes them.

typer's own grammar differs from Docker's where scripts depend on it (see `flags`), so a function here is never called:
completion reads its signature (`completion`), and the application that runs commands hands them on unread (`app`).
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

import typer

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typer.core import TyperGroup

    from sandbox.cli.command import Command
    from sandbox.cli.flags import Option

_SUMMARY = "Docker semantics with no root and no system daemon"
_CHOICES: dict[str, tuple[str, ...]] = {
    "network": ("default", "none", "host", "container:"),
    "restart": ("no", "on-failure", "always", "unless-stopped"),
    "pull": ("always", "missing", "never"),
    "log-driver": ("json-file", "local", "none"),
    "storage-driver": ("overlay", "fuse", "copy"),
    "stop-signal": ("TERM", "INT", "QUIT", "HUP", "KILL"),
    "signal": ("TERM", "INT", "QUIT", "HUP", "KILL"),
    "format": ("table", "json"),
}
#: typer gives an application these two itself
_OF_TYPER = ("install-completion", "show-completion", "help")


def build_application(words: Sequence[str] | None, group: type[TyperGroup] | None = None) -> typer.Typer:
    """The command tree, with the options of the command that `words` name; of every command where that is None.

    A command without its options imports no module. `group` is the class of the whole.
    """
    named = None if words is None else {" ".join(words[:1]), " ".join(words[:2])}
    # add_completion is also what makes typer know the shells
    application = typer.Typer(name="sandbox", cls=group, add_completion=True, help=_SUMMARY, rich_markup_mode=None)
    application.callback()(_stand_in(option for option in GLOBAL_OPTIONS if option.key not in _OF_TYPER))
    groups = {noun: typer.Typer(help=summary, rich_markup_mode=None) for noun, summary in NOUN_SUMMARIES.items()}
    for path in (*COMMANDS, *ALIASES):
        target = ALIASES.get(path, path)
        noun, _, verb = path.rpartition(" ")
        parent = groups[noun] if noun else application
        command = find_command(target) if named is None or path in named else None
        settings: dict[str, Any] = {}
        if command is not None and not command.interspersed:
            settings["allow_interspersed_args"] = False
        register = parent.command(
            verb,
            help=command.summary if command is not None else COMMANDS[target][1],
            short_help=COMMANDS[target][1],
            epilog=_examples(command) if command is not None else None,
            context_settings=settings,
        )
        register(_function(command) if command is not None else _stand_in(()))
    for noun, typed_under in groups.items():
        application.add_typer(typed_under, name=noun)
    return application


def _examples(command: Command) -> str | None:
    return "\n".join(["**Examples**:\n", *(f"    {line}" for line in command.examples)]) if command.examples else None


def _function(command: Command) -> Callable[..., None]:
    arguments = [] if command.most == 0 else [_argument_parameter(command)]
    return _stand_in(command.options, arguments)


def _stand_in(options: Iterable[Option], arguments: Sequence[inspect.Parameter] = ()) -> Callable[..., None]:
    """A function whose signature says to typer what a command takes."""

    def stand_in(**_values: object) -> None:
        """Never called: only its signature is read."""

    parameters = [*(_option_parameter(option) for option in options if not option.hidden), *arguments]
    stand_in.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    stand_in.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return stand_in


def _option_parameter(option: Option) -> inspect.Parameter:
    names = [
        name for name in option.names if len(option.key) == 1 or not name.startswith("--") or name[2:] == option.key
    ]
    kinds: dict[str, tuple[Any, Any]] = {
        "flag": (bool, False),
        "list": (list[str], []),
        "number": (int | None, None),
        "text": (str | None, None),
    }
    annotation, default = kinds[option.kind]
    extra: dict[str, Any] = {}
    choices = _CHOICES.get(option.key)
    if choices and option.kind != "flag":
        extra["autocompletion"] = lambda incomplete: [word for word in choices if word.startswith(incomplete)]
    info = typer.Option(default, *names, help=option.help, metavar=option.metavar or None, **extra)
    return _parameter(f"option_{option.key.replace('-', '_')}", annotation, info)


def _argument_parameter(command: Command) -> inspect.Parameter:
    usage = command.usage
    find = _image_names if "IMAGE" in usage else _container_names if "CONTAINER" in usage else None

    def names(incomplete: str) -> list[str]:
        return [name for name in find() if name.startswith(incomplete)] if find else []

    metavar = usage.removeprefix("[OPTIONS]").strip()
    return _parameter("arguments", list[str], typer.Argument(None, metavar=metavar, autocompletion=names))


def _parameter(name: str, annotation: Any, info: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=annotation)


def _container_names() -> list[str]:
    return _query("SELECT name FROM container ORDER BY name")


def _image_names() -> list[str]:
    names = _query("SELECT name FROM image_name ORDER BY name")
    return [
        name.removeprefix("docker.io/library/").removeprefix("docker.io/").removesuffix(":latest") for name in names
    ]


def _query(statement: str) -> list[str]:
    """Names from the database; none where there is no database: a person pressing TAB wants no errors."""
    import sqlite3

    from sandbox.paths import find_paths

    try:
        database = find_paths(os.environ).database
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
        try:
            return [str(name) for (name,) in connection.execute(statement)]
        finally:
            connection.close()
    except (sqlite3.Error, SandboxError):
        return []
