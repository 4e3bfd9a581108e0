"""Calls between a client and a server of ours: answers, errors, streams, and a client that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.api.buildkit.calls import MESSAGE_BYTES, ask, encode_status, error_of_status, made_call
from sandbox.api.buildkit.link import Link
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, Detail, RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, STATUS
from sandbox.errors import NotFoundError
from tests.sandbox.api.buildkit.links import joined, two_ends

if TYPE_CHECKING:
    from sandbox.api.buildkit.calls import ServedCall

_BOTH = (BYTES_MESSAGE, BYTES_MESSAGE)
_BIG = 5 << 20


async def _echo(call: ServedCall) -> None:
    message = await call.read(BYTES_MESSAGE)
    await call.write(BYTES_MESSAGE, {"data": message["data"] + call.metadata.get("more", "").encode()})


def test_a_call_and_its_answer() -> None:
    async def main() -> None:
        async with joined({"s.S/Echo": _echo}) as link:
            assert await ask(link, "s.S/Echo", _BOTH, {"data": b"word"}) == {"data": b"word"}
            # more than windows and frames hold
            big = bytes(_BIG)
            assert (await ask(link, "s.S/Echo", _BOTH, {"data": big}))["data"] == big
            async with made_call(link, "s.S/Echo", [("more", "!")]) as call:
                await call.send(encode(BYTES_MESSAGE, {"data": b"word"}))
                await call.send_end()
                assert decode(BYTES_MESSAGE, await call.receive() or b"") == {"data": b"word!"}
                assert await call.receive() is None

    trio.run(main)


def test_errors_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    told = RpcError(2, "nö: 100%\nand more", (Detail("type", b'{"a": 1}'),))

    async def fail(_call: ServedCall) -> None:
        raise told

    async def miss(_call: ServedCall) -> None:
        raise NotFoundError("no such thing", mend="ours alone")

    async def break_down(_call: ServedCall) -> None:
        raise ZeroDivisionError("secret of ours")

    async def main() -> None:
        async with joined({"s.S/Fail": fail, "s.S/Miss": miss, "s.S/Break": break_down, "s.S/Echo": _echo}) as link:
            for method, status, message in (
                ("Fail", 2, told.message), ("Miss", 2, "no such thing"), ("Break", INTERNAL, "internal error"),
                ("None", UNIMPLEMENTED, "unknown method s.S/None"),
            ):  # fmt: skip
                with pytest.raises(RpcError) as caught:
                    await ask(link, f"s.S/{method}", _BOTH, {"data": b""})
                assert (caught.value.status, caught.value.message) == (status, message)
            # a call that failed ends no other
            assert await ask(link, "s.S/Echo", _BOTH, {"data": b"word"}) == {"data": b"word"}

    trio.run(main)
    assert "ZeroDivisionError" in capfd.readouterr().err
    back = error_of_status(decode(STATUS, encode_status(told)))
    assert (back.status, back.message, back.details) == (told.status, told.message, told.details)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\0" + (MESSAGE_BYTES + 1).to_bytes(4, "big"), RESOURCE_EXHAUSTED), (b"\1\0\0\0\1a", UNIMPLEMENTED),
        (b"\0\0\0\0\5ab", INTERNAL), (b"", INTERNAL),
    ],
)  # fmt: skip
def test_messages_that_are_none(sent: bytes, status: int) -> None:
    async def main() -> None:
        async with joined({"s.S/Echo": _echo}) as link:
            stream = await link.begin(
                [(":method", "POST"), (":scheme", "http"), (":path", "/s.S/Echo"), (":authority", "x")]
            )
            await stream.send(sent, end=True)
            assert await stream.receive() == b""
            assert dict(stream.trailers or stream.headers)["grpc-status"] == str(status)

    trio.run(main)


def test_who_gives_up_ends_the_work() -> None:
    async def main() -> None:
        begun, ended = trio.Event(), trio.Event()

        async def wait(_call: ServedCall) -> None:
            begun.set()
            try:
                await trio.sleep_forever()
            finally:
                ended.set()

        async with joined({"s.S/Wait": wait}) as link:
            with trio.fail_after(60):
                async with made_call(link, "s.S/Wait"):
                    await begun.wait()
                await ended.wait()

    trio.run(main)


def test_a_connection_that_ends_ends_its_calls() -> None:
    async def main() -> None:
        ours, theirs = two_ends()
        link = Link(ours, is_client=True)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                await theirs.aclose()
                with pytest.raises(RpcError, match="session has ended"):
                    await ask(link, "s.S/Wait", _BOTH, {"data": b""})
        await ours.aclose()

    trio.run(main)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(200)])
def test_what_is_no_http2_ends_the_connection(sent: bytes) -> None:
    async def main() -> None:
        ours, theirs = two_ends()
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Link(ours, is_client=False).run)
                await theirs.send(sent)
        await ours.aclose()
        await theirs.aclose()

    trio.run(main)
