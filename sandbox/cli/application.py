"""The command tables as a typer application: names, options, arguments and what completes them.

typer's own grammar differs from Docker's where scripts depend on it (see `flags`), so a function here is never called:
tools read its signature, and the application that runs commands hands them on unread (`app`).
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

import typer

from sandbox.cli.completion.candidates import find_arguments
from sandbox.cli.completion.values import find_values
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typer.core import TyperGroup

    from sandbox.cli.command import Command
    from sandbox.cli.flags import Option

_SUMMARY = "Docker semantics with no root and no system daemon"
#: typer gives an application these two itself
_OF_TYPER = ("install-completion", "show-completion", "help")


def build_application(group: type[TyperGroup]) -> typer.Typer:
    """The command tree with the options of every command; `group` is the class of the whole."""
    # add_completion is also what makes typer know the shells
    application = typer.Typer(name="sandbox", cls=group, add_completion=True, help=_SUMMARY, rich_markup_mode=None)
    application.callback()(_stand_in(option for option in GLOBAL_OPTIONS if option.key not in _OF_TYPER))
    groups = {noun: typer.Typer(help=summary, rich_markup_mode=None) for noun, summary in NOUN_SUMMARIES.items()}
    for path in (*COMMANDS, *ALIASES):
        target = ALIASES.get(path, path)
        noun, _, verb = path.rpartition(" ")
        parent = groups[noun] if noun else application
        command = find_command(target)
        settings: dict[str, Any] = {}
        if not command.interspersed:
            settings["allow_interspersed_args"] = False
        register = parent.command(
            verb,
            help=command.summary,
            short_help=COMMANDS[target][1],
            epilog=_examples(command),
            context_settings=settings,
        )
        register(_function(command))
    for noun, typed_under in groups.items():
        application.add_typer(typed_under, name=noun)
    return application


def _examples(command: Command) -> str | None:
    return "\n".join(["**Examples**:\n", *(f"    {line}" for line in command.examples)]) if command.examples else None


def _function(command: Command) -> Callable[..., None]:
    arguments = [] if command.most == 0 else [_argument_parameter(command)]
    return _stand_in(command.options, arguments, command.path)


def _stand_in(
    options: Iterable[Option], arguments: Sequence[inspect.Parameter] = (), path: str = ""
) -> Callable[..., None]:
    """A function whose signature says to typer what a command takes."""

    def stand_in(**_values: object) -> None:
        """Never called: only its signature is read."""

    parameters = [*(_option_parameter(option, path) for option in options if not option.hidden), *arguments]
    stand_in.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    stand_in.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return stand_in


def _option_parameter(option: Option, path: str) -> inspect.Parameter:
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
    if option.kind != "flag":

        def values(incomplete: str) -> list[str]:
            return [
                word for word, _ in find_values(os.environ, path, option, incomplete) if word.startswith(incomplete)
            ]

        extra["autocompletion"] = values
    info = typer.Option(default, *names, help=option.help, metavar=option.metavar or None, **extra)
    return _parameter(f"option_{option.key.replace('-', '_')}", annotation, info)


def _argument_parameter(command: Command) -> inspect.Parameter:
    def names(incomplete: str) -> list[str]:
        return [word for word, _ in find_arguments(os.environ, command, ()) if word.startswith(incomplete)]

    metavar = command.usage.removeprefix("[OPTIONS]").strip()
    return _parameter("arguments", list[str], typer.Argument(None, metavar=metavar, autocompletion=names))


def _parameter(name: str, annotation: Any, info: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=annotation)
