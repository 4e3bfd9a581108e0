"""What hooks write, told while they run: a pipe for each, whose other end a worker hands to the hook."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from functools import partial

import trio

from sandbox.compose.hook_requests import Hooks
from sandbox.compose.names import short_name
from sandbox.errors import SandboxError
from sandbox.warm.values import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeVar

    from sandbox.compose.steps import Step
    from sandbox.warm.line import Request

    Value = TypeVar("Value")
    #: gets who writes ("web-1 ->"), and the next piece
    HookTell = Callable[[str, bytes], None]

_CHUNK_BYTES = 64 * 1024


def writers_of(request: Request, step: Step, project_name: str) -> tuple[str, ...]:
    """What the hooks of a step are called before what they write; () where it has none."""
    before = request.arguments[-1]
    if step.kind == "pre_start" and isinstance(before, tuple):
        return tuple(f"{hook.service} pre_start[{hook.number}] ->" for hook in before)
    hooks = request.named.get("hooks")
    return (f"{short_name(project_name, step.name)} ->",) if isinstance(hooks, Hooks) and hooks.commands else ()


def with_outputs(request: Request, outputs: Sequence[Descriptor]) -> Request:
    """The request with a place for what its hooks write: one for each writer."""
    hooks = request.named.get("hooks")
    if isinstance(hooks, Hooks):
        return request._replace(named={**request.named, "hooks": hooks._replace(output=outputs[0])})
    return request._replace(named={**request.named, "outputs": tuple(outputs)})


async def call_with_outputs(
    call: Callable[[Sequence[Descriptor]], Awaitable[Value]], tells: Sequence[Callable[[bytes], None]]
) -> Value:
    """What `call` returns, which gets a descriptor for each of `tells`; these get what is written to it meanwhile.
    Raises the SandboxError of `call`.
    """
    result: list[Value] = []
    failure: SandboxError | None = None
    with ExitStack() as open_ends:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in tells]
        for reader, writer in pipes:
            open_ends.callback(os.close, reader)
            open_ends.callback(os.close, writer)
            os.set_blocking(reader, False)
        reads = [partial(_read, reader, tell) for (reader, _), tell in zip(pipes, tells, strict=True)]
        async with trio.open_nursery() as nursery:
            for (reader, _), read in zip(pipes, reads, strict=True):
                nursery.start_soon(_go_on, reader, read)
            try:
                result.append(await call([Descriptor(writer) for _, writer in pipes]))
            except SandboxError as error:
                failure = error
            nursery.cancel_scope.cancel()
        for read in reads:
            read()
    # not in there, where it would become one of a group
    if failure is not None:
        raise failure
    return result[0]


async def _go_on(reader: int, read: Callable[[], None]) -> None:
    while True:
        await trio.lowlevel.wait_readable(reader)
        read()


def _read(reader: int, tell: Callable[[bytes], None]) -> None:
    """Tell all that is there. What a hook has left running may hold the other end for ever."""
    with suppress(BlockingIOError):
        while data := os.read(reader, _CHUNK_BYTES):
            tell(data)
