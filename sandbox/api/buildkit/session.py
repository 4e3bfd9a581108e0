"""Clients' sessions: connections on which we ask, found by the id that a build names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from sandbox.api.buildkit.calls import ask
from sandbox.api.buildkit.rpc_errors import NOT_FOUND, UNIMPLEMENTED, UNKNOWN, RpcError
from sandbox.api.buildkit.schema import CREDENTIALS, GET_SECRET

if TYPE_CHECKING:
    from sandbox.api.buildkit.link import Link

#: a build may name a session that is on its way
_WAIT_SECONDS = 30.0
#: as the command line has it
_SECRET_BYTES = 500 * 1024


class Session(NamedTuple):
    """One client; what it does not serve is not there."""

    id: str
    link: Link

    async def secret(self, name: str) -> bytes | None:
        """None where the client has none of that id. Raises RpcError."""
        answer = await self._ask_for("moby.buildkit.secrets.v1.Secrets/GetSecret", GET_SECRET, {"id": name})
        if answer is None:
            return None
        data: bytes = answer["data"]
        if len(data) > _SECRET_BYTES:
            raise RpcError(UNKNOWN, f"invalid secret size {len(data)}: secret {name} is larger than 500KB")
        return data

    async def credentials(self, host: str) -> tuple[str, str] | None:
        """Name and password for a registry, or ("", identity token); None where the client has none."""
        try:
            answer = await self._ask_for("moby.filesync.v1.Auth/Credentials", CREDENTIALS, {"host": host})
        except RpcError:
            # a helper of the client's that fails: what is public can be had without
            return None
        return (answer["username"], answer["secret"]) if answer is not None and answer["secret"] else None

    async def _ask_for(self, method: str, tables: tuple[Any, Any], message: dict[str, str]) -> dict[str, Any] | None:
        try:
            return await ask(self.link, method, tables, message)
        except RpcError as error:
            if error.status in (NOT_FOUND, UNIMPLEMENTED):
                return None
            raise


class Sessions:
    """Those that are open."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._changed = trio.Event()

    def has(self, session_id: str) -> bool:
        return session_id in self._open

    def add(self, session: Session) -> bool:
        """False where the id is taken."""
        if session.id in self._open:
            return False
        self._open[session.id] = session
        self._changed.set()
        self._changed = trio.Event()
        return True

    def remove(self, session: Session) -> None:
        if self._open.get(session.id) is session:
            del self._open[session.id]

    async def wait(self, session_id: str) -> Session:
        """The session of that id, which may be on its way. Raises RpcError."""
        # the part before a colon tells contexts of one client apart
        name = session_id.rpartition(":")[2] or session_id
        with trio.move_on_after(_WAIT_SECONDS):
            while name not in self._open:
                await self._changed.wait()
            return self._open[name]
        raise RpcError(NOT_FOUND, f"no active session for {name}")
