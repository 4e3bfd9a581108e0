"""Shell completion, by typer: the only place that imports it.

The tables are handed to typer as an application whose functions do nothing. Completion is its only use: typer's own
grammar differs from Docker's where scripts depend on it (see `flags`). Only the command that is being typed is given
its options, so that completing a word imports one command's module and no other.
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.errors import SandboxError, UsageError
from sandbox.faults import explain_fault
from sandbox.home import find_home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.cli.command import Command, Context
    from sandbox.cli.flags import Option

_VARIABLE = "_SANDBOX_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")
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


def complete(env: Mapping[str, str]) -> NoReturn:
    """Answer the shell that asked through the environment, and end the process."""
    application = build_application(_words_of(env))
    application(prog_name="sandbox")
    # typer answers and exits by itself; it comes back only for an instruction that it does not know
    raise SystemExit(1)


def handle_completion(context: Context, key: str, shell: str) -> int:
    """`--show-completion` and `--install-completion`. Raises UsageError and SandboxError."""
    # typer re-exports this without saying so; it has been there since its first versions
    from typer.completion import install  # type: ignore[attr-defined]

    name = _shell_name(context) if shell == "auto" else shell
    if name not in _SHELLS:
        raise UsageError(f"completion is not supported for the shell {name!r}", mend=f"--{key}={'|'.join(_SHELLS)}")
    if key == "show-completion":
        context.print(_script(name))
        return 0
    home = find_home(context.env)
    if not home:
        raise SandboxError(
            f"cannot install completion for {name}", cause="no home directory is known", mend="export HOME=DIRECTORY"
        )
    # typer asks the environment, and would take what is no absolute path from there
    os.environ["HOME"] = home
    try:
        installed_shell, path = install(shell=name, prog_name="sandbox", complete_var=_VARIABLE)
        if name == "bash":
            path.write_text(_script(name) + "\n")
    except OSError as error:
        raise SandboxError(f"cannot install completion for {name}", cause=explain_fault(error)) from error
    context.note(f"{installed_shell} completion installed in {path}\nIt takes effect once you restart the terminal")
    return 0


def _script(shell: str) -> str:
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # as in handle_completion

    script = get_completion_script(prog_name="sandbox", complete_var=_VARIABLE, shell=shell).strip()
    if shell != "bash":
        return script
    # bash has the word as it was typed, and an alias is nothing that can be executed; zsh and fish resolve it first
    head, brace, body = script.partition("{\n")
    meant = '    local program=$1; [ "$program" != docker ] || program=sandbox\n'
    return head + brace + meant + body.replace("complete_bash $1 )", 'complete_bash "$program" )')


def _shell_name(context: Context) -> str:
    import shellingham  # type: ignore[import-untyped]  # it comes with typer, without types

    try:
        return str(shellingham.detect_shell()[0])
    except (shellingham.ShellDetectionFailure, OSError):
        return os.path.basename(context.env.get("SHELL", ""))


def _words_of(env: Mapping[str, str]) -> list[str]:
    # bash hands over COMP_WORDS, the others typer's own variable; the first word is the program
    line = env.get("COMP_WORDS") or env.get("_TYPER_COMPLETE_ARGS", "")
    return [word for word in line.split()[1:] if not word.startswith("-")]


def build_application(words: Sequence[str] = ()) -> typer.Typer:
    """The command tree as a typer application, with the options of the command that `words` name."""
    from sandbox.cli.main import find_command

    named = {" ".join(words[:1]), " ".join(words[:2])}
    # add_completion is also what makes typer know the shells
    application = typer.Typer(name="sandbox", add_completion=True, help="Docker semantics with no root")
    groups = {noun: typer.Typer(help=summary) for noun, summary in NOUN_SUMMARIES.items()}
    for path in (*COMMANDS, *ALIASES):
        target = ALIASES.get(path, path)
        noun, _, verb = path.rpartition(" ")
        parent = groups[noun] if noun else application
        command = find_command(target) if path in named else None
        settings: dict[str, Any] = {}
        if command is not None and not command.interspersed:
            settings["allow_interspersed_args"] = False
        register = parent.command(verb, help=COMMANDS[target][1], context_settings=settings)
        register(_function(command) if command is not None else _nothing)
    for noun, group in groups.items():
        application.add_typer(group, name=noun)
    return application


def _nothing() -> None:
    """Stands for a command that is not being typed."""


def _function(command: Command) -> Callable[..., None]:
    """A function whose signature says to typer what `command` takes."""

    def stand_in(**_values: object) -> None:
        """Never called: only its signature is read."""

    parameters = [_option_parameter(option) for option in command.options if not option.hidden]
    parameters.append(_argument_parameter(command))
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
    info = typer.Option(default, *names, help=option.help, **extra)
    return _parameter(f"option_{option.key.replace('-', '_')}", annotation, info)


def _argument_parameter(command: Command) -> inspect.Parameter:
    usage = command.usage
    find = _image_names if "IMAGE" in usage else _container_names if "CONTAINER" in usage else None

    def names(incomplete: str) -> list[str]:
        return [name for name in find() if name.startswith(incomplete)] if find else []

    return _parameter("arguments", list[str], typer.Argument(None, autocompletion=names))


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
