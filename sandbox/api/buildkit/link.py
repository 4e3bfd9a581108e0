"""HTTP/2 on a connection, by h2 on trio: streams of bytes with headers, both ways, with bounds.

What the other side may send ahead is bounded by the windows: of a stream it is opened as its reader takes, of the
connection at once, so that a stream that nobody reads holds up no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio

from sandbox.api.buildkit.rpc_errors import LinkGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STREAM_WINDOW = 1 << 20
_CONNECTION_WINDOW = 64 << 20
_FRAME_BYTES = 256 << 10
_HEADER_BYTES = 64 << 10
_MOST_STREAMS = 64
#: taken before the other side is told that it may send more
_STREAM_CREDIT = _STREAM_WINDOW // 4
_CONNECTION_CREDIT = _CONNECTION_WINDOW // 4
#: of what waits to be sent: more of it waits until it is less; a side that only asks and never reads is left
_UNSENT, _MOST_UNSENT = 256 << 10, 8 << 20
_RESET_CANCEL = 8

Headers = tuple[tuple[str, str], ...]


class Transport(Protocol):
    """A stream of bytes: `receive` gives b"" at its end, `send` raises where nobody reads."""

    async def receive(self) -> bytes: ...

    async def send(self, *parts: bytes) -> None: ...


class LinkStream:
    """One stream of a link."""

    def __init__(self, link: Link, number: int, headers: Headers = ()) -> None:
        self._link = link
        self.number = number
        #: what the other side began with; as a client only there once `headers_come` is set
        self.headers = headers
        self.headers_come = trio.Event()
        self.trailers: Headers = ()
        #: of who works for the stream: cancelled when the other side gives it up
        self.scope = trio.CancelScope()
        self._received = bytearray()
        self._ended = False
        self._reset = False
        self._uncredited = 0
        self._changed = trio.Event()

    async def receive(self) -> bytes:
        """What has come; b"" at the end. Raises LinkGoneError."""
        while not self._received:
            # who has said all may break the stream off then, as Go's servers do
            if self._ended:
                return b""
            if self._reset:
                raise LinkGoneError
            await self._changed.wait()
        data = bytes(self._received)
        self._received.clear()
        self._uncredited += len(data)
        if self._uncredited >= _STREAM_CREDIT and not self._ended:
            credit, self._uncredited = self._uncredited, 0
            await self._link.credit(self.number, credit)
        return data

    async def send_headers(self, headers: Sequence[tuple[str, str]], *, end: bool = False) -> None:
        """Raises LinkGoneError."""
        await self._link.send_headers(self, headers, end=end)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Raises LinkGoneError."""
        await self._link.send_data(self, data, end=end)

    async def give_up(self) -> None:
        """Tell the other side that nothing more of this stream is wanted; no error where it is over."""
        await self._link.reset(self)

    @property
    def is_over(self) -> bool:
        return self._reset

    def take(self, data: bytes) -> None:
        self._received += data
        self._tell()

    def end(self) -> None:
        self._ended = True
        self.headers_come.set()
        self._tell()

    def break_off(self) -> None:
        self._reset = True
        self.headers_come.set()
        self._tell()
        self.scope.cancel()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Link:
    """A connection that speaks HTTP/2; `run` must run for it to be one."""

    def __init__(self, transport: Transport, *, is_client: bool) -> None:
        self._transport = transport
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client, header_encoding="utf-8"))
        self._h2.local_settings = h2.settings.Settings(
            client=is_client,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                h2.settings.SettingCodes.MAX_FRAME_SIZE: _FRAME_BYTES,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_BYTES,
            },
        )
        # it takes this from the settings that it has begun with
        self._h2.max_inbound_frame_size = _FRAME_BYTES
        self._streams: dict[int, LinkStream] = {}
        self._uncredited = 0
        self._out = bytearray()
        self._unsent = trio.Event()
        self._sent = trio.Event()
        self._window_opened = trio.Event()
        #: set when the connection is of no use any more
        self.gone = trio.Event()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - 65535)
        self._collect()

    async def run(self, accept: Callable[[LinkStream], None] | None = None) -> None:
        """Carry the connection to its end; `accept` gets each stream that the other side begins."""
        try:
            async with trio.open_nursery() as nursery:
                # apart from what is read: two sides that each wait until the other takes something would wait for ever
                nursery.start_soon(self._write, nursery.cancel_scope)
                await self._read(accept)
                nursery.cancel_scope.cancel()
        finally:
            self.gone.set()
            for stream in tuple(self._streams.values()):
                stream.break_off()
            self._streams.clear()
            self._tell_window()

    async def _read(self, accept: Callable[[LinkStream], None] | None) -> None:
        try:
            while data := await self._transport.receive():
                for event in self._h2.receive_data(data):
                    self._take(event, accept)
                self._collect()
                if self.gone.is_set() or len(self._out) > _MOST_UNSENT:
                    return
        except h2.exceptions.ProtocolError:
            # it is told what was wrong, where it listens
            self._collect()
            with trio.move_on_after(1):
                while self._out:
                    await self._sent.wait()

    async def _write(self, scope: trio.CancelScope) -> None:
        while True:
            while not self._out:
                await self._unsent.wait()
            data = bytes(self._out)
            try:
                await self._transport.send(data)
            except Exception:  # noqa: BLE001  # whatever the transport raises, nobody is there any more
                self.gone.set()
                scope.cancel()
                return
            del self._out[: len(data)]
            self._sent.set()
            self._sent = trio.Event()

    async def begin(self, headers: Sequence[tuple[str, str]]) -> LinkStream:
        """A stream of ours. Raises LinkGoneError."""
        if self.gone.is_set():
            raise LinkGoneError
        try:
            stream = LinkStream(self, self._h2.get_next_available_stream_id())
            self._h2.send_headers(stream.number, list(headers))
        except h2.exceptions.ProtocolError as error:
            raise LinkGoneError from error
        self._streams[stream.number] = stream
        await self._flush()
        return stream

    async def send_headers(self, stream: LinkStream, headers: Sequence[tuple[str, str]], *, end: bool) -> None:
        """Raises LinkGoneError."""
        self._check(stream)
        try:
            self._h2.send_headers(stream.number, list(headers), end_stream=end)
        except h2.exceptions.ProtocolError as error:
            raise LinkGoneError from error
        await self._flush()

    async def send_data(self, stream: LinkStream, data: bytes, *, end: bool) -> None:
        """As far as the windows allow, and when they allow it. Raises LinkGoneError."""
        view = memoryview(data)
        while view:
            self._check(stream)
            try:
                room = min(self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size)
                if room <= 0:
                    await self._window_opened.wait()
                    continue
                self._h2.send_data(stream.number, bytes(view[:room]))
            except h2.exceptions.ProtocolError as error:
                raise LinkGoneError from error
            view = view[room:]
            await self._flush()
        if end:
            self._check(stream)
            try:
                self._h2.end_stream(stream.number)
            except h2.exceptions.ProtocolError as error:
                raise LinkGoneError from error
            await self._flush()

    async def reset(self, stream: LinkStream) -> None:
        if self._streams.pop(stream.number, None) is None or self.gone.is_set():
            return
        try:
            self._h2.reset_stream(stream.number, _RESET_CANCEL)
            await self._flush()
        except (h2.exceptions.ProtocolError, LinkGoneError):
            pass  # over already

    async def credit(self, number: int, size_bytes: int) -> None:
        """Let the other side send so much more on a stream."""
        try:
            self._h2.increment_flow_control_window(size_bytes, number)
        except h2.exceptions.ProtocolError:
            return  # the stream is over
        await self._flush()

    def _check(self, stream: LinkStream) -> None:
        if stream.is_over or self.gone.is_set():
            raise LinkGoneError

    def _take(self, event: h2.events.Event, accept: Callable[[LinkStream], None] | None) -> None:
        if isinstance(event, h2.events.RequestReceived) and accept is not None:
            stream = LinkStream(self, event.stream_id or 0, _texts(event.headers))
            self._streams[stream.number] = stream
            accept(stream)
        elif isinstance(event, h2.events.DataReceived):
            self._take_data(event)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._tell_window()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.gone.set()
        else:
            self._take_of_stream(event)

    def _take_of_stream(self, event: h2.events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = _texts(event.headers)
            stream.headers_come.set()
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = _texts(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.end()
        elif isinstance(event, h2.events.StreamReset):
            self._streams.pop(stream.number, None)
            stream.break_off()
            self._tell_window()

    def _take_data(self, event: h2.events.DataReceived) -> None:
        size = event.flow_controlled_length or 0
        self._uncredited += size
        if self._uncredited >= _CONNECTION_CREDIT:
            self._h2.increment_flow_control_window(self._uncredited)
            self._uncredited = 0
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None and event.data:
            stream.take(bytes(event.data))

    def forget(self, stream: LinkStream) -> None:
        """The stream is over for both sides."""
        self._streams.pop(stream.number, None)

    def _tell_window(self) -> None:
        self._window_opened.set()
        self._window_opened = trio.Event()
        self._sent.set()
        self._sent = trio.Event()

    def _collect(self) -> None:
        """Have what h2 wants to send be sent."""
        self._out += self._h2.data_to_send()
        if self._out:
            self._unsent.set()
            self._unsent = trio.Event()

    async def _flush(self) -> None:
        self._collect()
        while len(self._out) > _UNSENT:
            if self.gone.is_set():
                raise LinkGoneError
            await self._sent.wait()
        await trio.lowlevel.checkpoint()


def _texts(headers: object) -> Headers:
    found: list[tuple[str, str]] = []
    for name, value in headers or ():  # type: ignore[attr-defined]
        found.append((_text(name), _text(value)))
    return tuple(found)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def mapping_of(headers: Headers) -> Mapping[str, str]:
    """The last value of each header."""
    return dict(headers)
