"""Operations of a worker in the shape that a client calls them in: stacks of Compose files."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.deploy.images import Resolve
    from sandbox.operation_context import OperationContext


class StackFiles(NamedTuple):
    """What a stack is made of."""

    name: str
    #: absolute paths
    files: tuple[str, ...]
    #: where relative paths start from
    directory: str
    #: over those of the client
    variables: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()
    best_effort: bool = False


def deploy_stack(context: OperationContext, stack: StackFiles, resolve: Resolve, *, prunes: bool) -> tuple[str, ...]:
    """Have what the files say; what a person should know, a sentence each. Raises SandboxError."""
    from sandbox.deploy.deploying import DeployOptions, deploy_project
    from sandbox.deploy.stack_spec import check_name
    from sandbox.stack.fates import left_out_of_stack
    from sandbox.stack.machine_size import beyond, this_machine
    from sandbox.stack.operations import load_stack_project
    from sandbox.stack.project_request import Caller, ProjectRequest
    from sandbox.stack.stack_checks import check_stack

    check_name(stack.name)
    request = ProjectRequest(stack.files, stack.name, profiles=stack.profiles)
    project = load_stack_project(request, Caller(stack.directory, {**context.env, **dict(stack.variables)}))
    check_stack(project)
    project = project._replace(best_effort=stack.best_effort)
    notes = [*project.notes, *left_out_of_stack(project), *beyond(project, this_machine())]
    deploy_project(context, project, DeployOptions(prunes, resolve), lambda _line: None, notes.append)
    return tuple(notes)
