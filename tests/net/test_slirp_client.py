"""slirp4netns' API from a trio program, against the real one and against one that is silent."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from net.errors import NetError
from net.ports import Forward
from net.slirp_client import SlirpApi
from net.slirp_protocol import SlirpRefusedError
from tests.net.private_network import private_network
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.net.private_network import PrivateNetwork

needs_slirp = pytest.mark.requires("userns", "tap", "slirp4netns")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[PrivateNetwork]:
    with private_network(tmp_path) as made:
        yield made


@needs_slirp
def test_forwards_come_and_go(network: PrivateNetwork) -> None:
    forward = Forward("127.0.0.1", find_free_port(), "tcp")

    async def drive() -> None:
        api = SlirpApi(network.api_socket)
        number = await api.add_hostfwd(forward, 80)
        (listed,) = await api.list_hostfwd()
        assert (listed.id, listed.forward, listed.container_port) == (number, forward, 80)
        with pytest.raises(SlirpRefusedError):
            await api.add_hostfwd(forward, 81)
        await api.remove_hostfwd(number)
        assert await api.list_hostfwd() == ()

    trio.run(drive)


@needs_slirp
def test_more_callers_than_its_queue_has_room_for(network: PrivateNetwork) -> None:
    answers: list[object] = []

    async def ask(api: SlirpApi) -> None:
        answers.append(await api.list_hostfwd())

    async def drive() -> None:
        api = SlirpApi(network.api_socket)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask, api)

    trio.run(drive)
    assert answers == [()] * 50


@pytest.mark.parametrize("is_full", [False, True])
def test_one_that_does_not_answer(tmp_path: Path, is_full: bool) -> None:
    path = str(tmp_path / "api")
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as before:
        silent.bind(path)
        silent.listen(0)
        if is_full:
            before.connect(path)
        with pytest.raises(NetError, match="does not answer") as caught:
            trio.run(SlirpApi(path, patience_seconds=0.05).list_hostfwd)
    assert caught.value.cause == f"its API socket {path}: no answer for 0.05 seconds"


def test_one_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="does not answer") as caught:
        trio.run(SlirpApi(str(tmp_path / "api")).list_hostfwd)
    assert "No such file" in caught.value.cause


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"", "without a reply"), (b"{", "not JSON"), (b"[]", "not a reply"), (b'{"error": {"desc": "no"}}', "refused")],
)
def test_answers_that_are_none(tmp_path: Path, answer: bytes, error: str) -> None:
    path = str(tmp_path / "api")

    async def drive() -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            server.setblocking(False)

            async def serve() -> None:
                await trio.lowlevel.wait_readable(server)
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(server.accept()[0]))
                async with stream:
                    while await stream.receive_some():
                        pass
                    await stream.send_all(answer or b"")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                with pytest.raises(NetError, match=error):
                    await SlirpApi(path).list_hostfwd()

    trio.run(drive)
