"""The scripts that make a shell ask (`answer`), shown and installed: typer's for fish, our own for the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError, UsageError
from sandbox.faults import explain_fault
from sandbox.home import find_home

if TYPE_CHECKING:
    from sandbox.cli.command import Context

_VARIABLE = "_SANDBOX_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


def handle_completion(context: Context, key: str, shell: str) -> int:
    """`--show-completion` and `--install-completion`. Raises UsageError and SandboxError."""
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
    try:
        path = _install_for_fish(context, home) if name == "fish" else _install(name, home)
    except OSError as error:
        raise SandboxError(f"cannot install completion for {name}", cause=explain_fault(error)) from error
    context.note(f"{name} completion installed in {path}\nIt takes effect once you restart the terminal")
    return 0


def _install(shell: str, home: str) -> str:
    # typer re-exports this without saying so; it has been there since its first versions
    from typer.completion import install  # type: ignore[attr-defined]

    # typer asks the environment, and would take what is no absolute path from there
    os.environ["HOME"] = home
    _shell, path = install(shell=shell, prog_name="sandbox", complete_var=_VARIABLE)
    path.write_text(_script(shell) + "\n")
    return str(path)


def _install_for_fish(context: Context, home: str) -> str:
    """Where fish looks; typer knows of one place alone."""
    base = context.env.get("XDG_CONFIG_HOME", "")
    directory = f"{base if base.startswith('/') else f'{home}/.config'}/fish/completions"
    os.makedirs(directory, exist_ok=True)
    path = f"{directory}/sandbox.fish"
    with open(path, "w") as file:
        file.write(_script("fish") + "\n")
    return path


#: bash has the word as it was typed, and an alias is nothing that can be executed; zsh and fish resolve it first
_BASH = """\
_sandbox_completion() {
    local IFS=$'\\n' program=$1
    [ "$program" != docker ] || program=sandbox
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \\
                   COMP_CWORD=$COMP_CWORD \\
                   _SANDBOX_COMPLETE=complete_bash "$program" ) )
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F _sandbox_completion sandbox"""


#: read as a script it makes itself known; found on the way of functions it is what completes, also the first time
_ZSH = """\
#compdef sandbox

_sandbox_completion() {
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _SANDBOX_COMPLETE=complete_zsh sandbox)
}

if [[ ${funcstack[1]} == _sandbox ]]; then
    _sandbox_completion "$@"
else
    compdef _sandbox_completion sandbox
fi"""


def _script(shell: str) -> str:
    if shell in ("bash", "zsh"):
        return {"bash": _BASH, "zsh": _ZSH}[shell]
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # as in handle_completion

    return get_completion_script(prog_name="sandbox", complete_var=_VARIABLE, shell=shell).strip()


def _shell_name(context: Context) -> str:
    import shellingham  # type: ignore[import-untyped]  # it comes with typer, without types

    try:
        return str(shellingham.detect_shell()[0])
    except (shellingham.ShellDetectionFailure, OSError):
        return os.path.basename(context.env.get("SHELL", ""))
