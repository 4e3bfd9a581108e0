"""Commands in running containers."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import trio

from sandbox.api.call import RAW_STREAM, Answer
from sandbox.api.client_keys import read_detach_keys
from sandbox.api.connection import ClientGoneError
from sandbox.api.documents.reading import flag, text, texts, value_of, words
from sandbox.api.errors import ApiError
from sandbox.api.execs import Exec
from sandbox.api.framing import frame_header
from sandbox.api.glances import make_exec_at_once
from sandbox.api.pipes import open_pipe
from sandbox.container.session.attach import ClientStreams, Streams
from sandbox.container.session.exec_request import ExecRequest
from sandbox.errors import SandboxError
from sandbox.runtime.terminal import DetachKeys
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.api.call import Call
    from sandbox.api.connection import Hijacked
    from sandbox.api.engine import Engine
    from sandbox.api.pipes import Pipe

_SIZE = struct.Struct(">HH")
_LARGEST = 0xFFFF


async def create(call: Call) -> Answer:
    """Get ready to run a command. Raises ApiError."""
    body = await call.document()
    arguments = words(body, "Cmd")
    if not arguments:
        raise ApiError(400, "No exec command specified")
    request = ExecRequest(
        arguments,
        texts(body, "Env"),
        text(body, "User"),
        text(body, "WorkingDir"),
        flag(body, "Tty"),
        flag(body, "Privileged"),
    )
    ids = make_exec_at_once(call.engine.context, call.word, request)
    exec_id, container_id = ids or await call.engine.call("api.create_exec", call.word, request)
    keys = text(body, "DetachKeys")
    read_detach_keys(keys)
    opens = (flag(body, "AttachStdin"), flag(body, "AttachStdout"), flag(body, "AttachStderr"))
    made = Exec(exec_id, container_id, request, opens)
    made.detach_keys = keys
    call.engine.execs.add(made)
    return Answer(201, {"Id": exec_id})


async def inspect(call: Call) -> Answer:
    """Whether it runs, and how it ended."""
    found = call.engine.execs.get(call.word)
    if found.is_left and found.is_running:
        code = await call.engine.call("api.exec_end", found.container_id, found.id)
        if code is not None:
            found.end(code)
    return Answer(document=found.document())


async def resize(call: Call) -> Answer:
    """Give its terminal another size. Raises ApiError."""
    found = call.engine.execs.get(call.word)
    if not found.is_running or found.is_left:
        raise ApiError(409, f"exec {found.id} is not running")
    _send_size(found, call.length("h"), call.length("w"))
    return Answer(body=b"", content_type="text/plain; charset=utf-8")


def _send_size(found: Exec, rows: int, columns: int) -> None:
    if found.resize_fd >= 0 and rows > 0 and columns > 0:
        os.write(found.resize_fd, _SIZE.pack(min(rows, _LARGEST), min(columns, _LARGEST)))


async def start(call: Call) -> Answer | None:
    """Run it: with the client's streams, or left to itself. Raises ApiError."""
    body = await call.document()
    found = call.engine.execs.get(call.word)
    if found.was_started:
        raise ApiError(409, f"Error: Exec command {found.id} is already running" if found.is_running
                       else f"Error: Exec command {found.id} has already run")  # fmt: skip
    found.was_started = True
    if flag(body, "Detach"):
        found.is_running = found.is_left = True
        try:
            await call.engine.call("api.run_exec", found.container_id, found.id, found.request, None)
        except SandboxError as error:
            found.end(_code_of(error))
            raise
        return Answer(200)
    size = value_of(body, "ConsoleSize")
    # who starts it says how its output is to come, terminal or not
    is_raw = flag(body, "Tty")
    async with open_pipe() as out, open_pipe() as err:
        run = _Run(call.engine, found, (out, err), is_raw=is_raw)
        if isinstance(size, list) and len(size) == 2:
            _send_size(found, int(size[0]), int(size[1]))
        try:
            stream = await call.hijack(RAW_STREAM if is_raw else call.stream_type)
            await run.carry(stream)
            await stream.finish()
        finally:
            await run.let_go()
    return None


class _Run:
    """A command that runs, and its client."""

    def __init__(self, engine: Engine, found: Exec, outputs: tuple[Pipe, Pipe], *, is_raw: bool) -> None:
        self._engine = engine
        self._is_raw = is_raw
        self._exec = found
        self._outputs = outputs
        self._stdin_read, self._stdin_write = os.pipe2(os.O_CLOEXEC)
        self._sizes_read, found.resize_fd = os.pipe2(os.O_CLOEXEC)
        self._input = trio.lowlevel.FdStream(self._stdin_write)
        self._client_is_there = True
        self._filter: Callable[[bytes], tuple[bytes, bool]] = (
            DetachKeys(read_detach_keys(found.detach_keys)).feed
            if found.request.terminal
            else (lambda data: (data, False))
        )
        found.is_running = True

    async def carry(self, stream: Hijacked) -> None:
        """Carry bytes both ways until the command has ended; on, without the client, where that goes first."""
        async with trio.open_nursery() as reading:
            reading.start_soon(self._give, stream)
            async with trio.open_nursery() as writing:
                writing.start_soon(self._run, stream)
                for kind, pipe in enumerate(self._outputs, 1):
                    writing.start_soon(self._take, kind, pipe, stream)
            reading.cancel_scope.cancel()

    async def let_go(self) -> None:
        """Close what is left of the pipes."""
        for number in (self._stdin_read, self._sizes_read, self._exec.resize_fd):
            os.close(number)
        self._exec.resize_fd = -1
        with trio.CancelScope(shield=True):
            await self._input.aclose()

    async def _run(self, stream: Hijacked) -> None:
        found = self._exec
        stdin = found.opens[0]
        streams = Streams(
            # it is not read from where no input is joined
            Descriptor(self._stdin_read),
            Descriptor(self._outputs[0].write_fd),
            Descriptor(self._outputs[1].write_fd),
        )
        client = ClientStreams(
            streams, stdin, found.request.terminal, proxy_signals=False, sizes_fd=Descriptor(self._sizes_read)
        )
        try:
            code = await self._engine.call("api.run_exec", found.container_id, found.id, found.request, client)
            found.end(code)
        except SandboxError as error:
            found.end(_code_of(error))
            await self._send(stream, 1, f"{_told(error)}\r\n".encode())
        except BaseException:
            found.end(137)
            raise
        finally:
            for pipe in self._outputs:
                pipe.close_write()

    async def _take(self, kind: int, pipe: Pipe, stream: Hijacked) -> None:
        while data := await pipe.read():
            await self._send(stream, kind, data)

    async def _send(self, stream: Hijacked, kind: int, data: bytes) -> None:
        opens = self._exec.opens[kind]
        if not self._client_is_there or not (opens or self._exec.request.terminal):
            return
        try:
            if self._is_raw:
                await stream.send(data)
            else:
                await stream.send(frame_header(kind, len(data)), data)
        except ClientGoneError:
            self._client_is_there = False

    async def _give(self, stream: Hijacked) -> None:
        while data := await stream.receive():
            passed, detached = self._filter(data)
            if passed and self._exec.opens[0]:
                try:
                    await self._input.send_all(passed)
                except trio.BrokenResourceError:
                    break
            if detached:
                self._client_is_there = False
                await stream.finish()
                return
        await self._input.aclose()


def _code_of(error: SandboxError) -> int:
    return {"not_executable": 126, "command_not_found": 127}.get(error.kind, 126)


def _told(error: SandboxError) -> str:
    return f"OCI runtime exec failed: exec failed: {error.message}"
