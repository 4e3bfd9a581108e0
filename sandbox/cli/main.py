"""The `sandbox` program as a function of its arguments, environment, directory and streams."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

from sandbox.caller_directory import CallerDirectory, find_caller_directory
from sandbox.cli.command import Command, Context, Invocation, render_error, with_meant_name
from sandbox.cli.flags import Parsed, option, parse_flags
from sandbox.cli.index import ALIASES, COMMANDS, NOUN_OPTIONS, NOUN_SUMMARIES
from sandbox.cli.lookup import GLOBAL_OPTIONS, find_command, unknown_command
from sandbox.errors import SandboxError, UsageError
from sandbox.interrupts import SIGINT, keep_exception
from storage.inherited_state import settle_inherited_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, TextIO

    from sandbox.cli.flags import Option, Value
    from sandbox.paths import Paths

_HELP = option("--help", "flag", "Show this message and quit")
#: objects made and not freed before the collector looks at them
_COLLECTED_AT = 50_000
#: what goes on until somebody ends it; of every other command a ctrl-C leaves something undone
_ENDED_BY_INTERRUPT = (
    "compose attach", "compose events", "compose logs", "compose stats", "compose wait", "compose watch",
    "container attach",
    "container logs", "container stats", "container wait", "system events",
)  # fmt: skip
#: the options of Docker's that a script may bring along
_OF_DOCKER = frozenset(declared.key for declared in GLOBAL_OPTIONS if declared.hidden)
#: set by the scripts that shells load; typer's name for it
_COMPLETION_VARIABLE = "_SANDBOX_COMPLETE"


def entry() -> NoReturn:
    """The console script."""
    keep_exception(KeyboardInterrupt, SIGINT)
    status = 130
    with suppress(KeyboardInterrupt):
        status = _run()
    # nothing of ours registers atexit work, and tearing the interpreter down costs milliseconds
    os._exit(status)


def _run() -> int:
    # imports make thousands of objects that live on, through which the collector would look again and again
    gc.set_threshold(_COLLECTED_AT)
    settle_inherited_state()
    for stream in (sys.stdout, sys.stderr):
        # a name that is no valid text must not end a listing half way
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIO hides TextIOWrapper's own
    stdout, stderr = sys.stdout, sys.stderr
    if _COMPLETION_VARIABLE in os.environ:
        from sandbox.cli.completion.answer import complete

        complete(os.environ)
    status = main(sys.argv[1:], os.environ, os.getcwd, stdout, stderr)
    return flush_output(stdout, stderr, status)


def flush_output(stdout: TextIO, stderr: TextIO, status: int) -> int:
    """Write out what the streams hold; the exit status, which is 1 where that fails and was 0 before.

    Where nobody reads the output any more that is no failure, and descriptor 1 becomes /dev/null.
    """
    try:
        stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        stderr.write(f"Error: cannot write the output\n  cause: {error.strerror}\n")
        status = status or 1
    with suppress(OSError):
        stderr.flush()
    return status


def main(
    words: Sequence[str], env: Mapping[str, str], cwd: Callable[[], str] | str, stdout: TextIO, stderr: TextIO
) -> int:
    """Run one command line and return its exit status; errors of ours are printed, never raised."""
    debug = False
    try:
        top = parse_flags(GLOBAL_OPTIONS, words, interspersed=False)
        debug = bool(top.values.get("debug"))
        directory = CallerDirectory(cwd) if isinstance(cwd, str) else find_caller_directory(cwd)
        context = Context(env, directory, stdout, stderr, _paths_of(env), debug)
    except UsageError as error:
        return _usage_failure(stderr, error, "sandbox", "[OPTIONS] COMMAND")
    try:
        return _answer(context, top)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our output has gone: the status of a program that SIGPIPE ended
        return 141


def _answer(context: Context, top: Parsed) -> int:
    if top.values.get("version"):
        from sandbox.version import __version__

        context.print(f"sandbox version {__version__}")
        return 0
    if top.values.keys() & _OF_DOCKER:
        from sandbox.cli.docker_options import refuse_docker_option, with_docker_options  # for scripts of Docker's only

        refused = refuse_docker_option(top.values)
        if refused is not None:
            return _usage_failure(context.stderr, refused, "sandbox", "[OPTIONS] COMMAND")
        context = with_docker_options(context, top.values)
    elif ("DOCKER_HOST" in context.env or "DOCKER_CONTEXT" in context.env) and context.stderr.isatty():
        from sandbox.docker_variables import name_other_machine

        note = name_other_machine(context.env)
        if note:
            context.note(note)
    for key in ("install-completion", "show-completion"):
        if key in top.values:
            from functools import partial

            from sandbox.cli.completion.scripts import handle_completion

            # typer's own grammar has the shell's name in a word of its own as well
            shell = str(top.values[key]) if top.values[key] != "auto" else next(iter(top.arguments), "auto")
            action = partial(handle_completion, context, key, shell)
            return _guarded(context, action)
    return _dispatch(context, top.arguments, wants_help=bool(top.values.get("help")))


def _guarded(context: Context, action: Callable[[], int], command_path: str = "") -> int:
    """The status of `action`; the errors a person can mend are printed in one shape, and only bugs pass through."""
    try:
        return action()
    except BrokenPipeError:
        raise
    except Exception as error:
        from sandbox.foreign_errors import explain_error  # for errors only

        failure = explain_error(error, lambda: context.find_paths().database)
        if failure is None:
            raise
    if context.debug:
        import traceback

        traceback.print_exception(failure, file=context.stderr)
    context.note(render_error(failure))
    from sandbox.cli.exit_statuses import exit_status  # for errors only

    return exit_status(failure, command_path)


def _paths_of(env: Mapping[str, str]) -> Callable[[], Paths]:
    def find() -> Paths:
        from sandbox.paths import find_paths

        return find_paths(env)

    return find


def _dispatch(context: Context, words: tuple[str, ...], *, wants_help: bool) -> int:
    if not words:
        return _help(context, ())
    name, rest = words[0], words[1:]
    of_noun: dict[str, Value] = {}
    if name == "help":
        return _help(context, rest, is_asked=True)
    if name in NOUN_OPTIONS:
        from sandbox.cli.noun_options import noun_options  # for the nouns that have some

        try:
            parsed = parse_flags((*noun_options(name), _HELP), rest, interspersed=False)
        except UsageError as error:
            return _usage_failure(context.stderr, error, f"sandbox {name}", "[OPTIONS] COMMAND")
        if parsed.values.pop("help", False):
            return _help(context, (name, *parsed.arguments[:1]))
        of_noun, rest = parsed.values, parsed.arguments
        if of_noun.pop("version", False):
            rest = ("version",)
    if name in NOUN_SUMMARIES and name not in ALIASES:
        if not rest or rest[0] in ("--help", "-h"):
            return _help(context, (name,))
        if rest[0].startswith("-"):
            unknown = UsageError(f"unknown flag: {rest[0]}")
            return _usage_failure(context.stderr, unknown, f"sandbox {name}", "COMMAND")
        path, rest = f"{name} {rest[0]}", rest[1:]
    else:
        path = name
    target = ALIASES.get(path, path)
    if target not in COMMANDS:
        return unknown_command(context, path)
    if wants_help:
        return _help(context, tuple(path.split()))
    return _invoke(context, find_command(target), path, rest, of_noun)


def _invoke(context: Context, command: Command, path: str, words: tuple[str, ...], of_noun: Mapping[str, Value]) -> int:
    typed = f"sandbox {path}"
    everywhere = _options_everywhere(path)
    try:
        parsed = parse_flags((*command.options, *everywhere, _HELP), words, interspersed=command.interspersed)
    except UsageError as error:
        return _usage_failure(context.stderr, error, typed, command.usage)
    if parsed.values.pop("help", False):
        return _help(context, tuple(path.split()))
    behind = {option.key: parsed.values.pop(option.key) for option in everywhere if option.key in parsed.values}
    of_noun = {**of_noun, **behind} if behind else of_noun
    count = len(parsed.arguments)
    if count < command.least or (command.most is not None and count > command.most):
        wrong = UsageError(f"sandbox: '{typed}' {_expected(command)}")
        _usage_failure(context.stderr, wrong, typed, command.usage)
        return 1
    invocation = Invocation(command, context, parsed.values, parsed.arguments, path, of_noun)

    def handle() -> int:
        try:
            return command.handler(invocation)
        except UsageError as error:
            # what the value should have been stands in the help
            error.mend = error.mend or f"{typed} --help"
            raise
        except SandboxError as error:
            with_meant_name(invocation, error, parsed.arguments)
            raise

    try:
        return _guarded(context, handle, command.path)
    except KeyboardInterrupt:
        if command.path not in _ENDED_BY_INTERRUPT:
            with suppress(OSError):
                context.note(f"Error: interrupted: {typed}")
        raise


def _options_everywhere(path: str) -> tuple[Option, ...]:
    noun = path.partition(" ")[0]
    if noun not in NOUN_OPTIONS:
        return ()
    from sandbox.cli.noun_options import options_everywhere

    return options_everywhere(noun)


def _usage_failure(stderr: TextIO, error: UsageError, typed: str, usage: str) -> int:
    """Print a slip on the command line as Docker does; returns its exit status."""
    from sandbox.cli.exit_statuses import exit_status  # for errors only

    mend = f"\n{error.mend[:1].upper()}{error.mend[1:]}" if error.mend else ""
    stderr.write(f"{error.message}{mend}\n\nUsage:  {typed} {usage}\n\nRun '{typed} --help' for more information\n")
    return exit_status(error, "compose " if typed.startswith("sandbox compose") else "")


def _expected(command: Command) -> str:
    def plural(count: int) -> str:
        return f"{count} argument" + ("" if count == 1 else "s")

    if command.most == 0:
        return "accepts no arguments"
    if command.most is None:
        return f"requires at least {plural(command.least)}"
    if command.least == command.most:
        return f"requires {plural(command.least)}"
    if command.least == 0:
        return f"requires at most {plural(command.most)}"
    return f"requires at least {command.least} and at most {plural(command.most)}"


def _help(context: Context, path: tuple[str, ...], *, is_asked: bool = False) -> int:
    from sandbox.cli.help import print_help

    return print_help(context, path, is_asked=is_asked)
