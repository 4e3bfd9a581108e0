"""The files of a stack, as the commands about stacks are given them."""

from __future__ import annotations

from sandbox.cli.compose_options import caller_of
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.stack.project_request import ProjectRequest, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.stack.project import Project

COMPOSE_FILE = option("-c --compose-file", "list", 'Path to a Compose file, or "-" to read from stdin', "strings")


def load_stack(invocation: Invocation, request: ProjectRequest, steps: Steps = Steps()) -> Project:  # noqa: B008
    """The project of the files that the command names; what they leave unsaid is noted. Raises SandboxError."""
    from sandbox.stack.operations import load_stack_project  # not for their help

    context, files = invocation.context, listed_files(invocation)
    project = load_stack_project(request._replace(files=files), caller_of(invocation, files), steps)
    for note in project.notes:
        context.note(f"WARNING: {note}")
    return project


def listed_files(invocation: Invocation) -> tuple[str, ...]:
    """Each file of `-c`, of which one text may name several. Raises UsageError where there is none."""
    files = tuple(path for text in invocation.texts("compose-file") for path in text.split(",") if path)
    if not files:
        example = f"{invocation.retyped(['-c', 'compose.yaml', *invocation.arguments])}"
        raise UsageError("Specify a Compose file (with --compose-file)", mend=example)
    return files
