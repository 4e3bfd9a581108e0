"""The `sandbox` program as a function of its arguments, environment, directory and streams."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.flags import Option, option, parse_flags
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.errors import SandboxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.paths import Paths

GLOBAL_OPTIONS: tuple[Option, ...] = (
    option("-D --debug", "flag", "Show tracebacks and what is asked of the kernel"),
    option("-v --version", "flag", "Print version information and quit"),
    option("-h --help", "flag", "Show this message and quit"),
)
_HELP = option("--help", "flag", "Show this message and quit")


def entry() -> NoReturn:
    """The console script."""
    status = main(sys.argv[1:], os.environ, os.getcwd, sys.stdout, sys.stderr)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.flush()
    # nothing of ours registers atexit work, and tearing the interpreter down costs milliseconds
    os._exit(status)


def main(
    words: Sequence[str], env: Mapping[str, str], cwd: Callable[[], str] | str, stdout: TextIO, stderr: TextIO
) -> int:
    """Run one command line and return its exit status; errors of ours are printed, never raised."""
    debug = False
    try:
        top = parse_flags(GLOBAL_OPTIONS, words, interspersed=False)
        debug = bool(top.values.get("debug"))
        context = Context(
            env, cwd if isinstance(cwd, str) else _working_directory(cwd), stdout, stderr, _paths_of(env), debug
        )
        if top.values.get("version"):
            from sandbox import __version__

            context.print(f"sandbox version {__version__}")
            return 0
        return _dispatch(context, top.arguments, wants_help=bool(top.values.get("help")))
    except SandboxError as error:
        if debug:
            import traceback

            traceback.print_exc(file=stderr)
        stderr.write(error.render() + "\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _working_directory(get: Callable[[], str]) -> str:
    try:
        return get()
    except FileNotFoundError:
        return "/"


def _paths_of(env: Mapping[str, str]) -> Callable[[], Paths]:
    def find() -> Paths:
        from sandbox.paths import find_paths

        return find_paths(env)

    return find


def _dispatch(context: Context, words: tuple[str, ...], *, wants_help: bool) -> int:
    if not words:
        return _help(context, ())
    name, rest = words[0], words[1:]
    if name == "help":
        return _help(context, rest)
    if name in NOUN_SUMMARIES and name not in ALIASES:
        if not rest or rest[0] in ("--help", "-h"):
            return _help(context, (name,))
        path, rest = f"{name} {rest[0]}", rest[1:]
        typed = f"sandbox {path}"
    else:
        path, typed = name, f"sandbox {name}"
    target = ALIASES.get(path, path)
    if target not in COMMANDS:
        return _unknown(context, path)
    command = find_command(target)
    if wants_help:
        return _help(context, (path,))
    return _invoke(context, command, typed, path, rest)


def _invoke(context: Context, command: Command, typed: str, path: str, words: tuple[str, ...]) -> int:
    try:
        parsed = parse_flags((*command.options, _HELP), words, interspersed=command.interspersed)
    except UsageError as error:
        context.note(f"{error.message}\n\nUsage:  {typed} {command.usage}\n\nRun '{typed} --help' for more information")
        return error.exit_status
    if parsed.values.pop("help", False):
        return _help(context, (path,))
    count = len(parsed.arguments)
    if count < command.least or (command.most is not None and count > command.most):
        context.note(
            f"sandbox: '{typed}' {_expected(command)}\n\nUsage:  {typed} {command.usage}\n\n"
            f"Run '{typed} --help' for more information"
        )
        return 1
    return command.handler(Invocation(command, context, parsed.values, parsed.arguments))


def _expected(command: Command) -> str:
    def plural(count: int) -> str:
        return f"{count} argument" + ("" if count == 1 else "s")

    if command.most == 0:
        return "accepts no arguments"
    if command.most is None:
        return f"requires at least {plural(command.least)}"
    if command.least == command.most:
        return f"requires {plural(command.least)}"
    return f"requires {command.least} to {plural(command.most)}"


def find_command(target: str) -> Command:
    """The command of a full path such as "container run"; imports its module."""
    from importlib import import_module

    module = import_module(f"sandbox.cli.commands.{COMMANDS[target][0]}")
    for command in module.COMMANDS:
        if command.path == target:
            assert isinstance(command, Command)
            return command
    raise AssertionError(f"{module.__name__} does not hold {target}")


def _unknown(context: Context, path: str) -> int:
    from difflib import get_close_matches

    close = get_close_matches(path, [*ALIASES, *COMMANDS], n=1)
    hint = f"\n\nDid you mean: sandbox {close[0]}" if close else ""
    context.note(f"sandbox: unknown command: sandbox {path}{hint}\n\nRun 'sandbox --help' for more information")
    return 1


def _help(context: Context, path: tuple[str, ...]) -> int:
    from sandbox.cli.help import print_help

    return print_help(context, path)
