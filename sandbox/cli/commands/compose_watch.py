"""`compose watch`."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import loaded
from sandbox.cli.compose_watching import Watcher
from sandbox.cli.flags import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def watch(invocation: Invocation) -> int:
    """Bring the services up, and keep their containers as the files are, until somebody ends it."""
    project = loaded(invocation, invocation.arguments)
    watcher = Watcher(invocation, project, invocation.arguments, invocation.context.print)
    try:
        if not invocation.flag("no-up"):
            watcher.bring_up()
        watcher.run()
    finally:
        watcher.close()
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose watch",
        "Watch build context for service and rebuild/refresh containers when files are updated",
        "[SERVICE...]",
        (
            option("--no-up", "flag", "Do not build & start services before watching"),
            option("--prune", "flag", "Prune dangling images on rebuild", default=True),
            option("--quiet", "flag", "hide build output"),
        ),
        watch,
        examples=("sandbox compose watch", "sandbox compose watch --no-up web"),
        further=("what is watched stands in the file, at develop.watch of each service: docs/compose.md",),
    ),
)
