"""`sandbox healthcheck run`: a container's health check at a person's wish."""

from __future__ import annotations

from sandbox.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def run(invocation: Invocation) -> int:
    """Run the check; 1, and what the container is now, where it failed, as Podman's command of this name."""
    from sandbox.container import operations

    health = operations.check_health(invocation.context.for_operations(), invocation.arguments[0])
    if health.results and health.results[-1].exit_code == 0:
        return 0
    invocation.context.print(health.status)
    return 1


COMMANDS: tuple[Command, ...] = (
    Command(
        "healthcheck run",
        "Run a container's health check once",
        "CONTAINER",
        (),
        run,
        least=1,
        most=1,
        examples=("sandbox healthcheck run web",),
        further=("what the check wrote: sandbox inspect -f '{{json .State.Health.Log}}' CONTAINER",),
    ),
)
