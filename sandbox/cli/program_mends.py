"""What to type where `run` or `exec` found no program to execute. Imported for such an error only."""

from __future__ import annotations

import posixpath
import shlex

from sandbox.cli.flags import parse_flags
from sandbox.errors import CommandNotFoundError, NotExecutableError, UsageError
from sandbox.near_names import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation

#: what only a shell reads
_SHELL_SIGNS = frozenset(" \t\n|&;<>$*`")
#: so many programs are named where there is no shell
_SHOWN = 10


def mend_program(invocation: Invocation, error: CommandNotFoundError | NotExecutableError) -> None:
    """Give `error` the line to type, and where it was the words themselves, the cause."""
    if error.mend:
        return
    subject, *words = invocation.arguments
    typed = words[0] if words and error.message.startswith(f'exec: "{words[0]}":') else ""
    if typed and isinstance(error, CommandNotFoundError) and _mend_words(invocation, error, subject, words):
        return
    if isinstance(error, CommandNotFoundError) and _mend_program(invocation, error, subject, typed):
        return
    if error.cause:
        # there is a file that the kernel does not execute: an interpreter is missing, a line ends in a carriage return,
        # or it is for another machine, all of which its first line shows
        error.mend = _inside(invocation, subject, "head", "-n", "1", typed or _program(error)) + " | cat -A"
    elif error.message.endswith("permission denied"):
        error.mend = _make_executable(invocation, subject, typed or _program(error))
    elif posixpath.basename(typed or _program(error)) in ("sh", "bash"):
        error.mend = _describe(invocation, subject)
    else:
        error.mend = _inside(invocation, subject, "sh")


def _mend_words(invocation: Invocation, error: CommandNotFoundError, subject: str, words: list[str]) -> bool:
    """Whether the words after the image or the container are no command, but were meant otherwise."""
    if words[0].startswith("-"):
        try:
            rest = parse_flags(invocation.command.options, words, interspersed=False).arguments
        except UsageError:
            return False
        error.cause = f"options stand before {subject}; what follows it is the container's command"
        error.mend = invocation.retyped([*words[: len(words) - len(rest)], subject, *rest])
        return True
    if len(words) == 1 and _SHELL_SIGNS.intersection(words[0]):
        error.cause = "all of it was taken for the name of one program"
        error.mend = invocation.retyped([subject, "sh", "-c", words[0]])
        return True
    return False


def _mend_program(invocation: Invocation, error: CommandNotFoundError, subject: str, typed: str) -> bool:
    """Whether another program that is there was meant, or there is no shell to look with."""
    if error.cause or not error.programs:
        return False
    wanted = typed or _program(error)
    directory, name = wanted[: wanted.rfind("/") + 1], posixpath.basename(wanted)
    near = f"{directory}sh" if name == "bash" and f"{directory}sh" in error.programs else ""
    near = near or nearest(wanted, error.programs)
    if near and (posixpath.basename(near)[0] == name[:1] or name == "bash"):
        error.cause = f"the nearest program there is {near}"
    elif not directory and "sh" not in error.programs:
        shown = ", ".join(error.programs[:_SHOWN]) + (" …" if len(error.programs) > _SHOWN else "")
        near = error.programs[0] if len(error.programs) == 1 else ""
        error.cause = f"there is no shell either; there is {near}" if near else f"no shell is there either, but {shown}"
    else:
        near = ""
    if near and typed:
        error.mend = invocation.retyped([subject, near, *invocation.arguments[2:]])
    elif error.cause:
        error.mend = _describe(invocation, subject)
    return bool(error.cause)


def _program(error: CommandNotFoundError | NotExecutableError) -> str:
    return error.message.removeprefix('exec: "').partition('"')[0]


def _is_exec(invocation: Invocation) -> bool:
    return invocation.command.path == "container exec"


def _inside(invocation: Invocation, subject: str, program: str, *words: str) -> str:
    terminal = [] if words else ["-it"]
    if _is_exec(invocation):
        return shlex.join(["sandbox", "exec", *terminal, subject, program, *words])
    return shlex.join(["sandbox", "run", "--rm", *terminal, "--entrypoint", program, subject, *words])


def _describe(invocation: Invocation, subject: str) -> str:
    if _is_exec(invocation):
        return shlex.join(["sandbox", "inspect", "-f", "{{.Path}} {{.Args}}", subject])
    return shlex.join(["sandbox", "image", "inspect", "-f", "{{.Config.Entrypoint}} {{.Config.Cmd}}", subject])


def _make_executable(invocation: Invocation, subject: str, program: str) -> str:
    if _is_exec(invocation):
        return shlex.join(["sandbox", "exec", "-u", "0", subject, "chmod", "+x", program])
    return f"in its Dockerfile: RUN chmod +x {program}"
