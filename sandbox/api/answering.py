"""One request: taken apart, handed to who answers it, and what goes wrong made an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from sandbox.api.call import JSON, Answer, Call, encoded
from sandbox.api.connection import ClientGoneError
from sandbox.api.errors import ApiError, leaves, message_of, status_of
from sandbox.api.faults import report, report_note
from sandbox.api.routing import find_handler, read_target
from sandbox.errors import SandboxError
from sandbox.foreign_errors import explain_error

if TYPE_CHECKING:
    import h11

    from sandbox.api.connection import Connection
    from sandbox.api.engine import Engine

#: parameters in one request
_MOST_FIELDS = 1000


async def answer_request(engine: Engine, connection: Connection, request: h11.Request) -> None:
    """Answer it. Raises ClientGoneError where nobody is left to be answered, or the answer was cut short."""
    try:
        answer = await _handle(engine, connection, request)
    except Exception as error:  # whatever goes wrong is an answer
        found = list(leaves(error))
        if any(isinstance(each, ClientGoneError) for each in found):
            raise ClientGoneError from error
        if connection.has_answered:
            _report(found)
            raise ClientGoneError from error
        answer = _failure(engine, found)
    if answer is not None:
        await _send(engine, connection, answer)


async def _handle(engine: Engine, connection: Connection, request: h11.Request) -> Answer | None:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
    if "transfer-encoding" in headers and "content-length" in headers:
        raise ApiError(400, "invalid request: both Transfer-Encoding and Content-Length")
    raw = request.target.decode("latin-1")
    if not raw.startswith("/"):
        raise ApiError(400, "invalid request target")
    path_text, _, query_text = raw.partition("?")
    target = read_target(path_text)
    try:
        query = parse_qs(query_text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise ApiError(400, "invalid query") from None
    method = request.method.decode("latin-1")
    handler, words = find_handler(method, target.path)
    call = Call(engine, connection, method, target.version, query, headers)
    call.words = words
    return await handler(call)


async def _send(engine: Engine, connection: Connection, answer: Answer) -> None:
    body = answer.body
    headers = [*engine.headers, *answer.headers]
    if answer.document is not None and not body:
        body = encoded(answer.document) + b"\n"
    if body:
        headers.append(("Content-Type", answer.content_type))
    await connection.answer(answer.status, headers, body)


def _failure(engine: Engine, found: list[BaseException]) -> Answer:
    error = _explained(engine, found)
    return Answer(status_of(error), {"message": message_of(error)}, content_type=JSON)


def _explained(engine: Engine, found: list[BaseException]) -> SandboxError:
    for leaf in found:
        if isinstance(leaf, SandboxError):
            return leaf
    for leaf in found:
        if isinstance(leaf, Exception):
            told = explain_error(leaf, lambda: engine.context.paths.database)
            if told is not None:
                return told
    _report(found)
    return SandboxError("internal error")


def _report(found: list[BaseException]) -> None:
    """A fault of ours, for who reads what the server says; a client learns nothing of it."""
    for leaf in found:
        if not isinstance(leaf, SandboxError):
            report(leaf)
        else:
            for note in getattr(leaf, "__notes__", ()):
                report_note(note)
