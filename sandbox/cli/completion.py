"""Shell completion, by typer, of the application that `application` makes of the command tables.

Only the command that is being typed is given its options, so that completing a word imports one command's module and
no other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from sandbox.cli.application import build_application
from sandbox.errors import SandboxError, UsageError
from sandbox.faults import explain_fault
from sandbox.home import find_home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cli.command import Context

_VARIABLE = "_SANDBOX_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


def complete(env: Mapping[str, str]) -> NoReturn:
    """Answer the shell that asked through the environment, and end the process. Raises SystemExit, always."""
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
