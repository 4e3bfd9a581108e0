"""Containers as processes: started, stopped, waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from sandbox.api.call import NO_CONTENT, Answer, encoded
from sandbox.api.errors import ApiError
from sandbox.api.monitor_line import MonitorLine
from sandbox.container.operations import StopRequest
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.grammar.signals import parse_signal

if TYPE_CHECKING:
    from sandbox.api.call import Call
    from sandbox.api.engine import Engine
    from sandbox.api.event_hub import Subscription
    from sandbox.api.glances import Brief

_ACTIVE = ("running", "paused", "restarting")
_NOT_MODIFIED = Answer(304)
#: what a wait ends by
_ENDS = {"not-running": "die", "next-exit": "die", "removed": "destroy"}
#: a monitor that was killed tells nothing: its container's record is looked at so long after its end
_MOURNING_SECONDS = 0.5


#: "{}", "null" and the like say nothing
_NO_BODY = 7


async def start(call: Call) -> Answer:
    """Start it; the answer comes when its program runs. Those who are joined already get its first byte. Raises
    ApiError.
    """
    engine = call.engine
    body = await call.connection.read_body()
    if len(body) > _NO_BODY:
        # what old clients meant for `create`
        raise ApiError(400, "starting container with non-empty request body was deprecated since API v1.22 and removed"
                       " in v1.24")  # fmt: skip
    if call.text("checkpoint"):
        raise ApiError(501, "checkpoints are not supported: CRIU needs root's power over processes")
    brief = await engine.brief(call.word)
    try:
        joined = await engine.call("api.start", brief.id, engine.parked.attachment(brief.id))
    except SandboxError:
        # those who wait for its removal wait for no other sign
        await engine.call("api.discard", brief.id)
        raise
    if joined is None:
        return _NOT_MODIFIED
    if joined.channel is not None:
        line = MonitorLine(int(joined.channel), joined.early)
        engine.nursery.start_soon(line.run)
        engine.parked.hand_over(brief.id, line)
    return NO_CONTENT


async def stop(call: Call) -> Answer:
    """Stop it; the answer comes when it has ended."""
    brief = await call.engine.brief(call.word)
    if brief.status not in _ACTIVE:
        return _NOT_MODIFIED
    await call.engine.call("container.stop", brief.id, _stop_request(call))
    return NO_CONTENT


async def restart(call: Call) -> Answer:
    """Stop it, where it runs, and start it."""
    await call.engine.call("container.restart", call.word, _stop_request(call))
    return NO_CONTENT


def _stop_request(call: Call) -> StopRequest:
    signal = call.text("signal")
    return StopRequest(parse_signal(signal) if signal else None, call.number("t"))


async def kill(call: Call) -> Answer:
    """Send a signal. Raises ApiError."""
    number = int(parse_signal(call.text("signal") or "KILL"))
    try:
        await call.engine.call("container.kill", call.word, number)
    except ConflictError as error:
        raise ApiError(409, f"cannot kill container: {call.word}: {error.message}") from error
    return NO_CONTENT


async def pause(call: Call) -> Answer:
    """Hold its processes."""
    await call.engine.call("container.pause", call.word)
    return NO_CONTENT


async def unpause(call: Call) -> Answer:
    """Let them go on. Raises ApiError."""
    try:
        await call.engine.call("container.unpause", call.word)
    except ConflictError as error:
        # for Docker it is no conflict
        raise ApiError(500, error.message) from error
    return NO_CONTENT


async def wait(call: Call) -> None:
    """Tell its exit code when it ends. The head of the answer goes at once: clients start it only then. Raises
    ApiError.
    """
    condition = call.text("condition") or "not-running"
    if condition not in _ENDS:
        raise ApiError(400, f'invalid condition: "{condition}"')
    engine = call.engine
    with engine.events.subscribed() as events:
        brief = await engine.brief(call.word)
        async with call.stream() as out:
            code = brief.exit_code
            if condition != "not-running" or brief.status in _ACTIVE:
                code = await _end_of(engine, events, brief, _ENDS[condition])
            await out.write(encoded({"StatusCode": code}) + b"\n")


async def _end_of(engine: Engine, events: Subscription, brief: Brief, action: str) -> int:
    code = brief.exit_code
    async with trio.open_nursery() as nursery:
        if brief.monitor_pid:
            nursery.start_soon(_mend_when_gone, engine, brief)
        async for _id, _time, event in events:
            if event.kind != "container" or event.actor != brief.id:
                continue
            if event.action == "die":
                code = int(event.attributes.get("exitCode", "0"))
            elif event.action == "start" and not brief.monitor_pid:
                brief = await _looked_up(engine, brief)
                if brief.monitor_pid:
                    nursery.start_soon(_mend_when_gone, engine, brief)
            if event.action in (action, "destroy"):
                nursery.cancel_scope.cancel()
                break
    return code


async def _looked_up(engine: Engine, brief: Brief) -> Brief:
    try:
        found = await engine.brief(brief.id)
    except NotFoundError:
        return brief
    return found


async def _mend_when_gone(engine: Engine, brief: Brief) -> None:
    """Have the record looked at when the monitor has gone: what it could not tell any more is told by that."""
    import os

    try:
        pidfd = os.pidfd_open(brief.monitor_pid)
    except ProcessLookupError:
        pidfd = -1
    if pidfd >= 0:
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)
    await trio.sleep(_MOURNING_SECONDS)
    await _looked_up(engine, brief)
