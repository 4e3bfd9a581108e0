"""A deploy from end to end: from the project of a stack's files to what runs here."""

from __future__ import annotations

from sandbox.deploy.images import bring_images, with_images
from sandbox.deploy.local_engine import LocalEngine
from sandbox.deploy.stack_spec import check_names, stack_spec_of
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.deploy.images import Resolve
    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project


class DeployOptions(NamedTuple):
    """How a stack is deployed."""

    #: services that the files have no longer are removed
    prunes: bool = False
    resolve: Resolve = "always"
    #: images are pulled at once, with the credentials of who deploys
    brings_images: bool = False


def deploy_project(
    context: OperationContext,
    project: Project,
    options: DeployOptions,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
) -> list[str]:
    """Have what the project says; the ids of its services. What is made and changed is told, a line each.

    Raises SandboxError; what was done by then stays, and the next deploy goes on from there.
    """
    engine, stack = LocalEngine(context), stack_spec_of(project)
    check_names(stack)
    with engine.alone(project.name):
        plan = engine.plan(stack, prunes=options.prunes)
        if not plan.refusals:
            plan = with_images(context, plan, options.resolve, warn)
            if options.brings_images:
                bring_images(context, plan)
        return engine.apply(plan, tell)
