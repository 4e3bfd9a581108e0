"""One request as handlers see it, and what they answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from sandbox.api.connection import Connection, Headers, Hijacked
    from sandbox.api.engine import Engine

JSON = "application/json"
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
#: from here on a stream in frames says so in its type
_MULTIPLEXED_SINCE = (1, 42)
#: of 32 bits, as Docker takes them
_LONGEST_SIDE = 0xFFFFFFFF
_FALSE = frozenset({"", "0", "no", "false", "none"})
_BOOLEANS = {
    "": False,
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class Answer(NamedTuple):
    """A whole answer: `document` goes as JSON, `body` as it is."""

    status: int = 200
    document: Any = None  # Any: JSON
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


NO_CONTENT = Answer(204)


class Call:
    """A request that is being answered: by the `Answer` that a handler returns, or by `stream` or `hijack`."""

    def __init__(
        self,
        engine: Engine,
        connection: Connection,
        method: str,
        version: tuple[int, int],
        query: Mapping[str, list[str]],
        headers: Mapping[str, str],
    ) -> None:
        self.engine = engine
        self.connection = connection
        self.method = method
        self.version = version
        self.query = query
        self.headers = headers
        #: what the pattern of its route has found in the path
        self.words: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The name or id in the path."""
        return self.words[0]

    def text(self, key: str, default: str = "") -> str:
        """The first value of a parameter."""
        values = self.query.get(key)
        return values[0] if values else default

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Whether a parameter is given and true, as Docker reads it."""
        values = self.query.get(key)
        return default if values is None else values[0].strip().lower() not in _FALSE

    def boolean(self, key: str) -> bool:
        """A parameter that is nothing but true or false, as few are. Raises ApiError."""
        value = self.text(key)
        if value not in _BOOLEANS:
            raise ApiError(
                400, f'invalid value for {key}: {value}: strconv.ParseBool: parsing "{value}": invalid syntax'
            )
        return _BOOLEANS[value]

    def number(self, key: str) -> int | None:
        """A parameter that is a whole number. Raises ApiError."""
        text = self.text(key)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise ApiError(400, f'strconv.Atoi: parsing "{text}": invalid syntax') from None

    def length(self, key: str) -> int:
        """A side of a terminal, in columns or rows. Raises ApiError, also where none is given."""
        value = self.number(key)
        if value is None:
            raise ApiError(400, 'strconv.Atoi: parsing "": invalid syntax')
        if not 0 <= value <= _LONGEST_SIDE:
            raise ApiError(400, f'strconv.ParseUint: parsing "{value}": value out of range')
        return value

    async def document(self) -> dict[str, Any]:
        """The request's body, a JSON object; {} where there is none. Raises ApiError, also where it does not say it is
        JSON: a page in a browser sends any other unasked.
        """
        body = await self.connection.read_body()
        if not body.strip():
            return {}
        _check_type(self.headers.get("content-type", ""))
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if "trailing characters" in str(error):
                raise ApiError(400, "unexpected content after JSON") from error
            raise ApiError(400, f"invalid JSON: {error}") from error
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise ApiError(400, "invalid JSON: the body is no object")
        return found

    @property
    def stream_type(self) -> str:
        """The content type of streams in frames."""
        return MULTIPLEXED_STREAM if self.version >= _MULTIPLEXED_SINCE else RAW_STREAM

    def stream(
        self, content_type: str = JSON, *, reads_body: bool = False, headers: tuple[tuple[str, str], ...] = ()
    ) -> AbstractAsyncContextManager[Connection]:
        """An answer in pieces: its head goes at once, the block is cancelled when the client goes."""
        all_headers: Headers = [("Content-Type", content_type), *self.engine.headers, *headers]
        return self.connection.streaming(200, all_headers, reads_body=reads_body)

    async def hijack(self, content_type: str) -> Hijacked:
        """Make a stream of bytes of the connection, as the client has asked for it."""
        if self.headers.get("upgrade", "").lower() == "tcp":
            lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {content_type}", "Connection: Upgrade", "Upgrade: tcp"]
        else:
            lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW_STREAM}"]
        return await self.connection.hijack(lines)

    def body(self) -> AsyncIterator[bytes]:
        """The request's body in pieces."""
        return self.connection.body()


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if not kind:
        raise ApiError(400, f"malformed Content-Type header ({content_type}): mime: no media type")
    if kind != JSON:
        raise ApiError(400, f"unsupported Content-Type header ({content_type}): must be '{JSON}'")


def encoded(document: Any) -> bytes:
    """JSON as Docker's engine sends it: text, also where programs and files gave bytes that are none."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
