"""What a session is asked for besides files: secrets, credentials, an agent; and who waits for one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from sandbox.api.buildkit.rpc_errors import NOT_FOUND, RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, CHECK_AGENT, CREDENTIALS, GET_SECRET
from sandbox.api.buildkit.session import Session, Sessions
from sandbox.api.buildkit.ssh_forward import serve_agent
from tests.sandbox.api.buildkit.links import joined

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.api.buildkit.calls import ServedCall

_SSH = "moby.sshforward.v1.SSH"


def test_secrets_and_credentials() -> None:
    async def secret(call: ServedCall) -> None:
        name = (await call.read(GET_SECRET[0]))["id"]
        if name == "none":
            raise RpcError(NOT_FOUND, "secret none: not found")
        await call.write(GET_SECRET[1], {"data": bytes(600 * 1024) if name == "big" else b"value"})

    async def credentials(call: ServedCall) -> None:
        host = (await call.read(CREDENTIALS[0]))["host"]
        if host == "broken":
            raise RpcError(2, "the helper is not there")
        await call.write(CREDENTIALS[1], {"username": "me", "secret": "word"} if host == "known" else {})

    handlers = {
        "moby.buildkit.secrets.v1.Secrets/GetSecret": secret,
        "moby.filesync.v1.Auth/Credentials": credentials,
    }

    async def main() -> None:
        async with joined(handlers) as link:
            session = Session("one", link)
            assert await session.secret("token") == b"value"
            assert await session.secret("none") is None
            with pytest.raises(RpcError, match="larger than 500KB"):
                await session.secret("big")
            assert await session.credentials("known") == ("me", "word")
            assert await session.credentials("public") is None
            assert await session.credentials("broken") is None
        async with joined({}) as link:
            assert await Session("two", link).secret("token") is None

    trio.run(main)


def test_an_agent_at_a_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "agent")

    async def check(call: ServedCall) -> None:
        if (await call.read(CHECK_AGENT[0]))["id"] != "default":
            raise RpcError(2, "unset ssh forward key other")
        await call.write(CHECK_AGENT[1], {})

    async def forward(call: ServedCall) -> None:
        assert call.metadata["buildkit.ssh.id"] == "default"
        while data := (await call.read(BYTES_MESSAGE))["data"]:
            await call.write(BYTES_MESSAGE, {"data": data.upper()})
            if data == b"end":
                return

    async def main() -> None:
        async with joined({f"{_SSH}/CheckAgent": check, f"{_SSH}/ForwardAgent": forward}) as link:
            with pytest.raises(RpcError, match="unset ssh forward key"):
                await serve_agent(link, "other", path)
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_agent, link, "default", path)
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
                for _each in range(2):
                    async with await trio.open_unix_socket(path) as stream:
                        await stream.send_all(b"hello")
                        assert await stream.receive_some() == b"HELLO"
                        await stream.send_all(b"end")
                        assert await stream.receive_some() == b"END"
                        assert await stream.receive_some() == b""
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_build_waits_for_its_session() -> None:
    async def main() -> None:
        sessions = Sessions()
        async with joined({}) as link, trio.open_nursery() as nursery:
            session = Session("one", link)
            found: list[Session] = []

            async def wait() -> None:
                found.append(await sessions.wait("context:one"))

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert sessions.add(session)
            assert not sessions.add(session)
        assert found == [session]
        sessions.remove(session)
        assert not sessions.has("one")

    trio.run(main)
