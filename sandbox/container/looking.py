"""What can be seen of running containers from outside, for whoever asks: top, stats. Operations, as `operations` has
them.
"""

from __future__ import annotations

import time
from contextlib import suppress

from sandbox.container.operations import ListRequest, list_containers, look_up
from sandbox.errors import ConflictError, NotFoundError
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.usage.top import ProcessTable
    from sandbox.container.usage.usage import Usage
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext

#: between two readings
_INTERVAL_SECONDS = 1.0


class UsageRequest(NamedTuple):
    """Whose use is read: that of the containers named, or without words of those that run, or of `all`.

    With `stream` again and again, else once, over a second.
    """

    words: tuple[str, ...] = ()
    all: bool = False
    stream: bool = True


class ContainerUsage(NamedTuple):
    """What a container takes; `usage` is None where it does not run, and `container` is None where it is gone."""

    word: str
    container: Container | None
    usage: Usage | None = None
    cpu_percent: float = 0.0


def refusals(
    context: OperationContext, word: str, selection: LogSelection, *, follow: bool = False
) -> Iterator[LogEntry]:
    """What the container was kept from by its rules of egress, as `logs` gives what it wrote.

    They are kept for as long as events are. Raises NotFoundError.
    """
    from sandbox.container.view.refusal_log import refusal_log

    container = look_up(context, word)
    return refusal_log(context.paths, container, selection, follow=follow)


def top(context: OperationContext, word: str, arguments: str = "") -> ProcessTable:
    """The container's processes as the host's `ps ARGUMENTS` shows them, `-ef` where none are given.

    Raises NotFoundError; ConflictError where it does not run; SandboxError where ps refuses.
    """
    from sandbox.container.life.stop import not_running_error
    from sandbox.container.model.events import Tell, tell
    from sandbox.container.usage.top import list_processes

    container = look_up(context, word)
    if container.state.status == "restarting":
        raise ConflictError(f"Container {container.id} is restarting, wait until the container is running")
    table = list_processes(container, arguments, context.env)
    if table is None:
        raise not_running_error(container)
    with open_state(context.paths, durable=False) as connection:
        tell(connection, container.id, Tell("top"))
    return table


def stats(
    context: OperationContext, word: str, *, stream: bool = True, one_shot: bool = False
) -> Iterator[dict[str, Any]]:
    """Docker's documents of what the container takes, one each second until it is removed. Without `stream` a single
    one, which comes after a second, for the use of processors is that between two readings; or with `one_shot` at once.

    Raises NotFoundError.
    """
    from sandbox.container.usage.stats_document import stats_document

    container = look_up(context, word)
    before: Usage | None = None
    request = UsageRequest((container.id,))
    for (reading,) in _readings(context, request):
        if reading.container is None:
            if stream:
                return
            raise NotFoundError(f"No such container: {word}", cause="it was removed meanwhile")
        # a run that is over says nothing of the next one
        if stream or one_shot or reading.usage is None or before is not None:
            yield stats_document(reading.container, before, reading.usage)
            if not stream:
                return
        before = reading.usage


def watch_usage(context: OperationContext, request: UsageRequest) -> Iterator[list[ContainerUsage]]:
    """What containers take, once or each second; the first time the use of processors is that since the start.

    It ends where all containers named are gone. Raises NotFoundError.
    """
    readings = _readings(context, request)
    first = next(readings)
    if request.stream:
        yield first
        yield from readings
    else:
        runs = any(reading.usage for reading in first)
        yield next(readings) if runs else first


def _readings(context: OperationContext, request: UsageRequest) -> Iterator[list[ContainerUsage]]:
    # not carried by those who look at nothing: workers have this module, and monitors are forked from them
    from sandbox.container.usage.sampler import Sampler
    from sandbox.event_stream import EventReader

    sampler, before = Sampler(), dict[tuple[str, int], "Usage"]()
    changes = EventReader(context.paths)
    try:
        changes.pass_over()
        present = _present(context, request)
        while request.words == () or any(container is not None for _word, container in present):
            due = time.monotonic() + _INTERVAL_SECONDS
            usages = sampler.read([container for _word, container in present if container is not None])
            yield [_held_against(word, container, usages, before) for word, container in present]
            before = {
                (container.id, container.state.pid): usages[container.id]
                for _word, container in present
                if container is not None and container.id in usages
            }
            time.sleep(max(0.0, due - time.monotonic()))
            # a container that was to be read and could not has ended, by whatever hand
            ended = any(each is not None and each.state.pid and each.id not in usages for _word, each in present)
            if ended or any(happened.event.kind == "container" for happened in changes.read_added()):
                present = _present(context, request)
        yield [ContainerUsage(word, None) for word, _container in present]
    finally:
        changes.close()


def _present(context: OperationContext, request: UsageRequest) -> list[tuple[str, Container | None]]:
    """The containers to be read as they are now, with the word for each."""
    if not request.words:
        return [(each.id[:12], each) for each in list_containers(context, ListRequest(all=request.all))]
    found: list[tuple[str, Container | None]] = []
    for word in request.words:
        found.append((word, None))
        with suppress(NotFoundError):
            found[-1] = (word, look_up(context, word))
    return found


def _held_against(
    word: str, container: Container | None, usages: dict[str, Usage], before: dict[tuple[str, int], Usage]
) -> ContainerUsage:
    from sandbox.container.usage.usage import cpu_percent

    usage = usages.get(container.id) if container is not None else None
    if container is None or usage is None:
        return ContainerUsage(word, container)
    former = before.get((container.id, container.state.pid))
    return ContainerUsage(word, container, usage, cpu_percent(former, usage, container.state.started_ns))
