"""Waiting for containers until they are healthy, have ended, or run; what changes in the database wakes."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager

import trio

from sandbox.compose.steps import COMPLETED, HEALTHY, RUNNING_OR_HEALTHY
from sandbox.container.life.lookup import open_container
from sandbox.errors import SandboxError
from sandbox.event_stream import EventReader, WakeupPace, watch_writes
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox.compose.steps import Step
    from sandbox.container.model.record import Container
    from sandbox.events import Happened
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths

_MOST_OUTPUT = 500
#: what has no health check has so long to end by itself
_GRACE_SECONDS = 1.0
#: as long as it is before Compose first looks: what has run so long without a health check is up
_STEADY_SECONDS = 0.5


class _NoCheckError(SandboxError):
    """A container that runs has nothing that tells its health."""


class Changes:
    """Tells tasks that something may have happened to a container, and a listener what."""

    def __init__(self, listener: Callable[[Happened], None] | None = None) -> None:
        self._next = trio.Event()
        self._listener = listener
        self._reader: EventReader | None = None

    def upcoming(self) -> trio.Event:
        """Set when something happens after this call."""
        return self._next

    async def follow(self, paths: Paths, after: int = 0) -> None:
        """Tell of what happens, until cancelled: after the event with the id `after`, or from now on."""
        # watched before anything is read: what is written in between is told
        watch = watch_writes(paths.data_root)
        reader = self._reader = EventReader(paths, after)
        if not after:
            reader.pass_over()
        pace = WakeupPace(is_woken=watch >= 0)
        try:
            while True:
                self.catch_up()
                delay = pace.next_delay()
                with trio.move_on_after(float("inf") if delay is None else delay):
                    if watch < 0:
                        await trio.sleep_forever()
                    await trio.lowlevel.wait_readable(watch)
                    os.read(watch, 64 * 1024)
                    pace.woken()
        finally:
            self._reader = None
            reader.close()
            if watch >= 0:
                os.close(watch)

    def catch_up(self) -> None:
        """Tell of what has happened until now."""
        added = self._reader.read_added() if self._reader is not None else []
        of_containers = [happened for happened in added if happened.event.kind == "container"]
        if not of_containers:
            return
        for happened in of_containers if self._listener is not None else ():
            assert self._listener is not None
            self._listener(happened)
        self._next.set()
        self._next = trio.Event()


@asynccontextmanager
async def changes(paths: Paths) -> AsyncIterator[Changes]:
    """Changes for the length of the block."""
    told = Changes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.follow, paths)
        yield told
        nursery.cancel_scope.cancel()


async def wait_until_met(context: OperationContext, step: Step, told: Changes) -> str:
    """Wait until the containers of the step are as it asks, and return the word for it.

    Raises SandboxError in Compose's words where that cannot be any more, or not in the time that it has.
    """
    seconds = step.timeout_seconds
    grace = _GRACE_SECONDS
    # nothing wakes who waits until a container has run for a while
    again = _STEADY_SECONDS if step.condition == RUNNING_OR_HEALTHY else float("inf")
    with trio.move_on_after(float("inf") if seconds is None else seconds):
        while True:
            # before the look, so that nothing falls between
            upcoming = told.upcoming()
            try:
                word = look(context, step)
            except _NoCheckError:
                # one that ends at once is told of by its end
                if grace <= 0:
                    raise
                with trio.move_on_after(grace) as scope:
                    await upcoming.wait()
                grace = 0.0 if scope.cancelled_caught else grace
                continue
            if word:
                return word
            with trio.move_on_after(again):
                await upcoming.wait()
    raise SandboxError(f"application not healthy after {seconds}s", mend="sandbox compose ps -a")


def look(context: OperationContext, step: Step) -> str:
    """ "Healthy" or "Exited" where all containers of the step are so; "" where that may come. Raises SandboxError."""
    with open_state(context.paths, durable=False) as connection:
        found = [open_container(connection, context.paths, name) for name in step.containers]
    if step.condition == COMPLETED:
        return _completed(step.service, found)
    for container in found:
        if not _is_up(context, container, step.condition):
            return ""
    return "Healthy"


def _completed(service: str, containers: list[Container]) -> str:
    for container in containers:
        if container.state.status != "exited":
            return ""
        if container.state.exit_code:
            raise SandboxError(
                f'service "{service}" didn\'t complete successfully: exit {container.state.exit_code}',
                mend=f"sandbox logs {container.name}",
            )
    return "Exited"


def _is_up(context: OperationContext, container: Container, condition: str) -> bool:
    name, state = container.name, container.state
    before = "dependency failed to start: " if condition == HEALTHY else ""
    if state.status in ("exited", "dead"):
        raise SandboxError(f"{before}container {name} exited ({state.exit_code})", mend=f"sandbox logs {name}")
    has_check = container.config.health.test[:1] in (("CMD",), ("CMD-SHELL",))
    if not has_check and condition == HEALTHY:
        raise _NoCheckError(
            f"{before}container {name} has no healthcheck configured",
            mend="give it a healthcheck, or depend on it with condition: service_started",
        )
    if not has_check:
        # whatever the clock has been set to meanwhile
        return state.status == "running" and abs(time.time_ns() - state.started_ns) >= _STEADY_SECONDS * 10**9
    if state.status == "running" and state.health == "unhealthy":
        raise SandboxError(
            f"{before}container {name} is unhealthy",
            cause=_last_output(context, container),
            mend=f"sandbox logs {name}",
        )
    return state.status == "running" and state.health == "healthy"


def _last_output(context: OperationContext, container: Container) -> str:
    from sandbox.container.operations import inspect

    try:
        results = inspect(context, container.id)["State"].get("Health", {}).get("Log") or []
    except SandboxError:
        return ""
    if not results:
        return ""
    last = results[-1]
    said = str(last.get("Output", "")).strip()
    if len(said) > _MOST_OUTPUT:
        said = f"…{said[-_MOST_OUTPUT:]}"
    return f"its last check exited with {last.get('ExitCode')}" + (f" and said: {said}" if said else "")
