"""What containers write and read: attach, logs, the size of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from sandbox.api.call import RAW_STREAM, Answer
from sandbox.api.client_keys import read_detach_keys
from sandbox.api.connection import ClientGoneError
from sandbox.api.errors import ApiError
from sandbox.api.framing import frame_header
from sandbox.api.log_frames import LogForm
from sandbox.api.monitor_line import MonitorLine
from sandbox.api.parked import Wanted
from sandbox.api.pipes import open_pipe
from sandbox.api.websocket import BINARY, TEXT, WebSocket, accept_lines
from sandbox.container.monitor.plan import Attachment
from sandbox.container.view.log_selection import read_selection
from sandbox.protocol.frames import STDERR, STDIN, STDIN_END, encode
from sandbox.runtime.terminal import DetachKeys
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.api.call import Call
    from sandbox.api.connection import Hijacked
    from sandbox.api.glances import Brief
    from sandbox.api.monitor_line import Member
    from sandbox.api.parked import Waiting

#: a WebSocket's frames were text before, and it was joined to all streams
_BINARY_SINCE, _CHOSEN_SINCE = (1, 28), (1, 42)


async def resize(call: Call) -> Answer:
    """Give its terminal another size."""
    await call.engine.call("container.resize", call.word, call.length("h"), call.length("w"))
    return Answer(body=b"", content_type="text/plain; charset=utf-8")


async def attach(call: Call) -> None:
    """Join the client to the container; to one that does not run yet from its first byte on."""
    brief = await call.engine.brief(call.word)
    content_type = RAW_STREAM if brief.terminal else call.stream_type
    await _attach(call, brief, _Form(brief.terminal, _streams(call, default=False)), lambda: call.hijack(content_type))


async def attach_websocket(call: Call) -> None:
    """Join the client by a WebSocket: its messages are the container's input, and both outputs come unframed."""
    lines = accept_lines(call.headers)
    brief = await call.engine.brief(call.word)

    async def open_stream() -> WebSocket:
        kind = BINARY if call.version >= _BINARY_SINCE else TEXT
        return WebSocket(await call.connection.hijack(lines), kind)

    await _attach(call, brief, _Form(True, _streams(call, default=call.version < _CHOSEN_SINCE)), open_stream)


class _Form(NamedTuple):
    """How a client is joined: without frames or with them, and to which streams."""

    is_raw: bool
    streams: Wanted


def _streams(call: Call, *, default: bool) -> Wanted:
    return Wanted(*(default or call.flag(name) for name in ("stdin", "stdout", "stderr")))


def _refuse_held(brief: Brief, word: str) -> None:
    if brief.status == "paused":
        raise ApiError(409, f"container {word} is paused, unpause the container before attach")
    if brief.status == "restarting":
        raise ApiError(409, f"container {word} is restarting, wait until the container is running")


async def _attach(
    call: Call, brief: Brief, form: _Form, open_stream: Callable[[], Awaitable[Hijacked | WebSocket]]
) -> None:
    engine = call.engine
    follows = call.flag("stream")
    stdin, stdout, stderr = form.streams
    wanted = Wanted(stdin and follows and brief.open_stdin, stdout and follows, stderr and follows)
    keys = detach_keys(call)
    _refuse_held(brief, call.word)
    if call.flag("logs"):
        _check_log(brief)
    runs = brief.status == "running"
    line: MonitorLine | None = None
    if runs and follows:
        joined = await engine.call("api.attach", brief.id, Attachment(*wanted))
        if joined.channel is not None:
            line = MonitorLine(int(joined.channel), joined.early)
            line.expect()
            line.may_end()
            engine.nursery.start_soon(line.run)
    waiting = None if runs or not follows else engine.parked.add(brief.id, wanted)
    is_joined = False
    try:
        stream = await open_stream()
        if call.flag("logs"):
            await _send_log(call, brief, form, stream)
        if waiting is not None:
            await _wait_started(waiting, stream)
            line = waiting.line
        if line is not None:
            is_joined = True
            await _Joined(stream, line, form._replace(streams=wanted), brief.terminal, keys).run()
        await stream.finish()
    finally:
        if waiting is not None:
            engine.parked.forget(brief.id, waiting)
            line = waiting.line
        if line is not None and not is_joined:
            # the others, and the container, wait for it no longer
            line.withdraw()


async def _wait_started(waiting: Waiting, stream: Hijacked | WebSocket) -> None:
    """Raises ClientGoneError where the client does not wait for it."""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await stream.wait_gone()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        await waiting.is_ready.wait()
        nursery.cancel_scope.cancel()
    if not waiting.is_ready.is_set():
        raise ClientGoneError


def detach_keys(call: Call) -> bytes:
    """The keys by which a person leaves. Raises ApiError."""
    return read_detach_keys(call.text("detachKeys"))


class _Joined:
    """A client and the line to a monitor."""

    def __init__(
        self, stream: Hijacked | WebSocket, line: MonitorLine, form: _Form, terminal: bool, keys: bytes
    ) -> None:
        self._stream = stream
        self._line = line
        self._is_raw, self._wanted = form
        self._filter = DetachKeys(keys).feed if terminal else (lambda data: (data, False))
        self._member: Member | None = None
        self._detaches = False

    async def run(self) -> None:
        """Carry bytes both ways until the container has ended, or the client leaves."""
        self._member = self._line.join(self._take)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give, nursery.cancel_scope)
                await self._member.has_ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._line.leave(self._member, detaches=self._detaches)

    async def _take(self, kind: int, payload: bytes) -> None:
        if not (self._wanted.stderr if kind == STDERR else self._wanted.stdout):
            return
        try:
            if self._is_raw:
                await self._stream.send(payload)
            else:
                await self._stream.send(frame_header(kind, len(payload)), payload)
        except ClientGoneError:
            assert self._member is not None
            self._member.has_ended.set()

    async def _give(self, scope: trio.CancelScope) -> None:
        while data := await self._stream.receive():
            passed, detached = self._filter(data)
            if passed and self._wanted.stdin:
                await self._line.send(encode(STDIN, passed))
            if detached:
                self._detaches = True
                scope.cancel()
                return
        # the end of input alone: what the container writes goes on
        if self._wanted.stdin:
            await self._line.send(encode(STDIN_END))
        await self._stream.wait_gone()
        scope.cancel()


async def _send_log(call: Call, brief: Brief, form: _Form, stream: Hijacked | WebSocket) -> None:
    wanted = LogForm(False, form.streams.stdout, form.streams.stderr, is_raw=form.is_raw)
    async with open_pipe() as pipe, trio.open_nursery() as nursery:

        async def write() -> None:
            try:
                await call.engine.call("api.logs", brief.id, read_selection("", "", "all"), wanted,
                                       Descriptor(pipe.write_fd))  # fmt: skip
            finally:
                pipe.close_write()

        nursery.start_soon(write)
        while data := await pipe.read():
            await stream.send(data)


async def logs(call: Call) -> None:
    """What it has written, and with `follow` what it writes until its end. Raises ApiError."""
    _check_streams(call)
    brief = await call.engine.brief(call.word)
    _check_log(brief)
    await _stream_logs(call, "api.logs", brief.id, terminal=brief.terminal)


async def service_logs(call: Call) -> None:
    """What the tasks of a service, or one task, have written, and with `follow` what they write. Raises ApiError."""
    call.engine.cluster.check_active()
    _check_streams(call)
    terminal: bool = await call.engine.call("api.service_has_terminal", call.word)
    await _stream_logs(call, "api.service_logs", call.word, terminal=terminal)


def _check_log(brief: Brief) -> None:
    if not brief.keeps_log:
        raise ApiError(501, "configured logging driver does not support reading")


def _check_streams(call: Call) -> None:
    if not (call.flag("stdout") or call.flag("stderr")):
        raise ApiError(400, "Bad parameters: you must choose at least one stream")


async def _stream_logs(call: Call, operation: str, word: str, *, terminal: bool) -> None:
    selection = read_selection(_moment(call.text("since")), _moment(call.text("until")), call.text("tail") or "all")
    form = LogForm(
        call.flag("follow"), call.flag("stdout"), call.flag("stderr"), call.flag("timestamps"), call.flag("details")
    )
    content_type = RAW_STREAM if terminal else call.stream_type
    async with open_pipe() as pipe, call.stream(content_type) as out, trio.open_nursery() as nursery:

        async def write() -> None:
            try:
                await call.engine.call(operation, word, selection, form, Descriptor(pipe.write_fd))
            finally:
                pipe.close_write()

        nursery.start_soon(write)
        while data := await pipe.read():
            await out.write(data)


def _moment(text: str) -> str:
    # of a client that leaves nothing out
    return "" if text == "0" else text
