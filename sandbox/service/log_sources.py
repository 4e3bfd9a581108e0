"""Whose logs the logs of a service are: the containers of its tasks, and those that come later."""

from __future__ import annotations

from sandbox.container import operations as containers
from sandbox.errors import NotFoundError
from sandbox.events import last_event_id
from sandbox.named_tuple import NamedTuple
from sandbox.reconciler_calls import SERVICE_LABEL
from sandbox.service import looking
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.events import Happened
    from sandbox.operation_context import OperationContext


class LogSources(NamedTuple):
    """`service_id` is "" where one task alone is asked for: no other container is its."""

    service_id: str
    containers: tuple[Container, ...]
    #: what happened later is not in `containers` yet
    last_event: int

    def takes(self, happened: Happened) -> bool:
        """Whether this is the start of another container of the service."""
        event = happened.event
        started = event.kind == "container" and event.action == "start"
        return started and bool(self.service_id) and event.attributes.get(SERVICE_LABEL) == self.service_id

    def are_over(self, happened: Happened) -> bool:
        """Whether the service is removed with this: no other container comes."""
        event = happened.event
        return event.kind == "service" and event.action == "remove" and event.actor == self.service_id


def log_sources(context: OperationContext, word: str) -> LogSources:
    """The containers of the service or the task that the word names. Raises NotFoundError."""
    with open_state(context.paths, durable=False) as connection:
        last = last_event_id(connection)
    try:
        service_id = looking.inspect(context, word).id
        tasks = [row.task for row in looking.tasks(context, (service_id,))]
    except NotFoundError:
        service_id, tasks = "", [looking.inspect_task(context, word).task]
    found = []
    for task in tasks:
        try:
            found.append(containers.look_up(context, task.container_id or task.id))
        except NotFoundError:
            # none yet, or removed by hand
            continue
    return LogSources(service_id, tuple(found), last)
