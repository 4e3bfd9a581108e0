"""`sandbox stack config`: the files of a stack as one."""

from __future__ import annotations

import io

from sandbox.cli.command import Command
from sandbox.cli.compose_options import caller_of
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.stack.canonical import document_of, in_order_of_keys, with_dollars
from sandbox.stack.project_request import ProjectRequest, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def config(invocation: Invocation) -> int:
    """Print the files as one."""
    from sandbox.stack.operations import load_project  # not for its help
    from sandbox.stack.yaml_writing import write_yaml

    context, files = invocation.context, invocation.texts("compose-file")
    if not files:
        raise UsageError("Specify a Compose file (with --compose-file)", mend="sandbox stack config -c compose.yaml")
    skips = invocation.flag("skip-interpolation")
    caller = caller_of(invocation, files)
    # a stack is made of its files and of the caller's variables: what Compose reads beside them is not its own
    own = {name: value for name, value in caller.environment.items() if not name.startswith("COMPOSE_")}
    caller = caller._replace(environment={**own, "COMPOSE_DISABLE_ENV_FILE": "1"})
    request = ProjectRequest(files=files, profiles=("*",), keeps_unused=True)
    project = load_project(request, caller, Steps(interpolates=not skips, normalises=False))
    for note in project.notes:
        context.note(f"WARNING: {note}")
    document: object = document_of(project._replace(name=""))
    stream = io.StringIO()
    write_yaml(in_order_of_keys(document) if skips else with_dollars(document), stream)
    context.stdout.write(context.quoted(stream.getvalue()))
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "stack config",
        "Outputs the final config file, after doing merges and interpolations",
        "[OPTIONS]",
        (
            option("-c --compose-file", "list", 'Path to a Compose file, or "-" to read from stdin', "strings"),
            option("--skip-interpolation", "flag", "Skip interpolation and output only merged config"),
        ),
        config,
        most=0,
        examples=(
            "sandbox stack config -c compose.yaml",
            "sandbox stack config -c compose.yaml -c production.yaml --skip-interpolation",
        ),
        further=("docs/compose.md has every key of a Compose file, and what becomes of it",),
    ),
)
