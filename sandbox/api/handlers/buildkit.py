"""Connections of BuildKit's clients: one on which they ask, and their sessions, on which we do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sandbox.api.buildkit.engine_build import EngineBuilds
from sandbox.api.buildkit.service import BuildService
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.api.call import Call
    from sandbox.api.engine import Engine

#: of each server, from the first client of BuildKit on
_SERVICES: WeakKeyDictionary[Engine, tuple[BuildService, EngineBuilds]] = WeakKeyDictionary()
_UPGRADED = ("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: h2c")
_SESSION_ID = "x-docker-expose-session-uuid"


async def grpc(call: Call) -> None:
    """Answer calls of BuildKit's services. Raises ApiError."""
    _check_upgrade(call)
    await _shared(call.engine)[0].serve(await call.connection.hijack(_UPGRADED))


async def session(call: Call) -> None:
    """Hold a session. Raises ApiError."""
    _check_upgrade(call)
    session_id = call.headers.get(_SESSION_ID, "")
    if not session_id:
        raise ApiError(400, "no session id in request")
    if _shared(call.engine)[0].sessions.has(session_id):
        raise ApiError(409, f"session {session_id} already exists")
    stream = await call.connection.hijack(_UPGRADED)
    await _shared(call.engine)[0].hold_session(stream, session_id)


def _check_upgrade(call: Call) -> None:
    protocol = call.headers.get("upgrade", "")
    if not protocol:
        raise ApiError(400, "no upgrade proto in request")
    if protocol != "h2c":
        raise ApiError(400, f"protocol {protocol} not supported")


def builds_of(engine: Engine) -> EngineBuilds:
    """The builds of `POST /build` of version 2."""
    return _shared(engine)[1]


def _shared(engine: Engine) -> tuple[BuildService, EngineBuilds]:
    found = _SERVICES.get(engine)
    if found is None:
        service = BuildService(engine)
        found = _SERVICES[engine] = service, EngineBuilds(service)
    return found
