"""Projects of a registry that are about to run here: a person is asked first."""

from __future__ import annotations

import sys

from sandbox.errors import SandboxError
from sandbox.stack.remote_files import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.stack.project import Project


def confirm_remote(invocation: Invocation, project: Project, *, assumes_yes: bool) -> None:
    """Ask about files that lie elsewhere, and about the variables that they use. Raises SandboxError for a no."""
    named = invocation.of_noun.get("file", ())
    remote = [path for path in named if is_remote(path)] if isinstance(named, tuple) else []
    if not remote:
        return
    context = invocation.context
    if not assumes_yes:
        listed = "".join(f"  - {path}\n" for path in remote)
        context.print(
            f"\nWarning: This Compose project includes files from remote sources:\n{listed}\n"
            "Remote includes could potentially be malicious. Make sure you trust the source."
        )
        _ask(invocation, "Do you want to continue? [y/N]: ", default=False)
    if invocation.of_noun.get("progress") not in ("quiet", "json"):
        context.print(f'Your compose stack "{remote[0]}" is stored in "{project.working_directory}"')
    if assumes_yes:
        return
    table = _table(invocation)
    if table:
        context.print(f"\nFound the following variables in configuration:\n{table}")
        _ask(invocation, "\nDo you want to proceed with these variables? [Y/n]: ", default=True)


def _ask(invocation: Invocation, question: str, *, default: bool) -> None:
    stdout = invocation.context.stdout
    stdout.write(question)
    stdout.flush()
    answer = sys.stdin.readline().strip().lower() if sys.stdin is not None else ""
    if not (answer in ("y", "yes") or (default and not answer)):
        raise SandboxError("operation cancelled by user")


def _table(invocation: Invocation) -> str:
    from sandbox.cli.compose_variables import variables
    from sandbox.cli.output.table import render_table

    environment = invocation.context.env
    rows = []
    for name, default, _alternate, is_required in variables(invocation):
        value, source = environment.get(name), "environment"
        if value is None and default:
            value, source = default, "compose file"
        elif value is None:
            value, source = "<unset>", "none"
        rows.append([name, value, source, "yes" if is_required else "no", default])
    if not rows:
        return ""
    return render_table([["VARIABLE", "VALUE", "SOURCE", "REQUIRED", "DEFAULT"], *rows]).rstrip("\n")
