"""One operation done with several containers at once, each by a worker."""

from __future__ import annotations

from sandbox.compose.interrupts import run_interruptible
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sandbox.compose.observe import ObservedContainer
    from sandbox.operation_context import OperationContext

    #: a container, and its result or why there is none
    Tell = Callable[[ObservedContainer, object], None]


class Asked(NamedTuple):
    """An operation of the table of workers, and its arguments after the context and the container's id."""

    operation: str
    arguments: tuple[object, ...] = ()
    named: Mapping[str, object] = {}


def do_together(
    context: OperationContext,
    containers: Sequence[ObservedContainer],
    asked: Asked,
    tell: Tell,
    *,
    parallel: int = 0,
    first: bool = False,
) -> None:
    """Do it with each container; at most `parallel` at once where it is above 0. `tell` gets each result, or the error
    in its place, as it comes; with `first` the others are cancelled after one.
    """
    import trio

    async def run() -> None:
        from sandbox.warm.line import Request
        from sandbox.warm.trio_workers import open_workers

        room = trio.CapacityLimiter(parallel if parallel > 0 else max(1, len(containers)))
        async with open_workers() as workers, trio.open_nursery() as nursery:

            async def do_one(container: ObservedContainer) -> None:
                arguments = (plain, container.id, *asked.arguments)
                request = Request(asked.operation, arguments, asked.named, context.env)
                result: Any
                try:
                    async with room:
                        result = await workers.call(request)
                except SandboxError as error:
                    result = error
                tell(container, result)
                if first:
                    nursery.cancel_scope.cancel()

            for container in containers:
                nursery.start_soon(do_one, container)

    plain = values_of(context)
    if containers:
        run_interruptible(run)


def values_of(context: OperationContext) -> OperationContext:
    """The context as a worker can be sent it: progress is the worker's own affair."""
    defaults: Mapping[str, Any] = type(context)._field_defaults
    return context._replace(env=dict(context.env), open_progress=defaults["open_progress"])
