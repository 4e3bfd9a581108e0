"""Trees from a client and to one: what a client of fsutil sends and takes, and what a hostile one sends."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from sandbox.api.buildkit.file_send import send_file, send_tree, write_index
from sandbox.api.buildkit.file_sync import DATA, FAILURE, FINISH, REQUEST, STAT, TreeRequest, receive_tree
from sandbox.api.buildkit.rpc_errors import RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, PACKET
from storage.errors import StorageError
from storage.layers.unpack import unpack_layer
from tests.sandbox.api.buildkit.links import joined

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.api.buildkit.calls import ServedCall

_DIRECTORY, _SYMLINK, _SETUID, _SOCKET = 1 << 31, 1 << 27, 1 << 23, 1 << 24
_METHOD = "moby.filesync.v1.FileSync/DiffCopy"
_SEND = "moby.filesync.v1.FileSend/DiffCopy"
_CONTEXT = TreeRequest("context")
_TIME = 1_700_000_000_123_456_789
#: more than a window of the link's
_BIG = bytes(range(256)) * 8192


def _stat(path: bytes, mode: int, content: bytes = b"", linkname: bytes = b"", size: int = -1) -> dict[str, Any]:
    size = len(content) if size < 0 else size
    return {"path": path, "mode": mode, "size": size, "mod_time": _TIME, "linkname": linkname}


class Sender:
    """A client that has files: it sends them backwards, in pieces that mix."""

    def __init__(self, stats: list[dict[str, Any]], contents: dict[int, bytes]) -> None:
        self.stats = stats
        self.contents = contents
        self.metadata: dict[str, str] = {}

    async def __call__(self, call: ServedCall) -> None:
        self.metadata = dict(call.metadata)
        for told in self.stats:
            await call.write(PACKET, {"type": STAT, "stat": told})
        await call.write(PACKET, {"type": STAT})
        wanted: list[int] = []
        while (packet := await call.read(PACKET))["type"] != FINISH:
            assert packet["type"] == REQUEST
            wanted.insert(0, packet["id"])
            if len(wanted) == len(self.contents):
                await self._send(call, wanted)
        await call.write(PACKET, {"type": FINISH})

    async def _send(self, call: ServedCall, wanted: list[int]) -> None:
        for number in wanted:
            for at in range(0, len(self.contents[number]), 32768):
                piece = self.contents[number][at : at + 32768]
                await call.write(PACKET, {"type": DATA, "id": number, "data": piece})
            await call.write(PACKET, {"type": DATA, "id": number})


def _receive(sender: Any, request: TreeRequest = _CONTEXT) -> tuple[bytes, int]:
    archive, received = io.BytesIO(), 0

    def count(size: int) -> None:
        nonlocal received
        received = size

    async def write(data: bytes) -> None:
        archive.write(data)

    async def main() -> None:
        with trio.fail_after(60):
            async with joined({_METHOD: sender}) as link:
                await receive_tree(link, request, write, count)

    trio.run(main)
    return archive.getvalue(), received


def test_a_tree_becomes_an_archive() -> None:
    sender = Sender(
        [
            _stat(b"a", _DIRECTORY | 0o750), _stat(b"a/big", 0o644, _BIG), _stat(b"a/empty", _SETUID | 0o4755 & 0o777),
            _stat("ä".encode(), 0o600, b"umlaut"), _stat(b"hard", 0o644, linkname=b"a/big"),
            _stat(b"link", _SYMLINK | 0o777, linkname=b"../../etc"), _stat(b"\xff", 0o644, b"bytes"),
        ],
        {1: _BIG, 2: b"", 3: b"umlaut", 6: b"bytes"},
    )  # fmt: skip
    data, received = _receive(sender, TreeRequest("context", ("a", "ä"), ("*.o", "!x")))
    assert received > len(_BIG)
    assert (sender.metadata["dir-name"], sender.metadata["exclude-patterns"]) == ("context", "!x")
    assert (sender.metadata["followpaths"], sender.metadata["followpaths-encoded"]) == ("%C3%A4", "1")
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        found = {entry.name: entry for entry in archive}
        assert list(found) == ["a", "a/big", "a/empty", "ä", "hard", "link", "\udcff"]
        assert (found["a"].isdir(), found["a"].mode) == (True, 0o750)
        assert found["a/empty"].mode == 0o4755
        assert found["a/big"].pax_headers["mtime"] == "1700000000.123456789"
        assert (found["hard"].islnk(), found["hard"].linkname) == (True, "a/big")
        assert (found["link"].issym(), found["link"].linkname) == (True, "../../etc")
        for name, content in (("a/big", _BIG), ("ä", b"umlaut"), ("\udcff", b"bytes")):
            stream = archive.extractfile(found[name])
            assert stream is not None
            assert stream.read() == content


def test_an_empty_directory() -> None:
    assert _receive(Sender([], {}))[0] == bytes(1024)


@pytest.mark.parametrize(
    ("stats", "contents", "message"),
    [
        ([_stat(b"f", 0o644, size=3)], {0: b"four"}, "changed as it was sent"),
        ([_stat(b"f", 0o644, size=5)], {0: b"four"}, "'f' changed as it was sent: 4 bytes in place of 5"),
        ([_stat(b"s", _SOCKET | 0o644)], {}, "'s' is a socket"),
    ],
)
def test_files_that_are_not_as_told(stats: list[dict[str, Any]], contents: dict[int, bytes], message: str) -> None:
    with pytest.raises(RpcError, match=message):
        _receive(Sender(stats, contents))


@pytest.mark.parametrize(
    "stats",
    [
        [_stat(b"../out", 0o644, b"x")], [_stat(b"a/../../out", 0o644, b"x")], [_stat(b"/../out", 0o644, b"x")],
        [_stat(b"link", _SYMLINK | 0o777, linkname=b".."), _stat(b"link/out", 0o644, b"x")],
        [_stat(b"hard", 0o644, linkname=b"../token")],
    ],
)  # fmt: skip
def test_a_hostile_tree_stays_in_its_directory(stats: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    place = tmp_path / "place"
    place.mkdir()
    contents = {number: b"x" for number, told in enumerate(stats) if told["size"]}
    data, _received = _receive(Sender(stats, contents))
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(StorageError):
            unpack_layer(io.BytesIO(data), fd, plain=True, owners=False)
    finally:
        os.close(fd)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "token"]
    assert not any(path.is_file() and path.read_text() == "secret" for path in place.rglob("*"))


def test_data_that_nobody_has_asked_for() -> None:
    async def send(call: ServedCall) -> None:
        await call.write(PACKET, {"type": STAT, "stat": _stat(b"f", 0o644, b"x")})
        await call.write(PACKET, {"type": STAT})
        await call.read(PACKET)
        await call.write(PACKET, {"type": DATA, "id": 7, "data": b"x"})

    with pytest.raises(RpcError, match="nobody has asked for"):
        _receive(send)


def test_a_client_that_fails_says_why() -> None:
    async def send(call: ServedCall) -> None:
        await call.write(PACKET, {"type": FAILURE, "data": b"permission denied"})

    with pytest.raises(RpcError, match="error from sender: permission denied"):
        _receive(send)


def test_results_go_to_the_client(tmp_path: Path) -> None:
    place = tmp_path / "result"
    with tarfile.open(place, "w") as archive:
        for name, kind, mode, content, linkname in (
            ("link", tarfile.SYMTYPE, 0o777, b"", "d/file"), ("d.e", tarfile.FIFOTYPE, 0o644, b"", ""),
            ("d", tarfile.DIRTYPE, 0o000, b"", ""), ("d/file", tarfile.REGTYPE, 0o4711, _BIG, ""),
            ("hard", tarfile.LNKTYPE, 0o711, b"", "d/file"), ("null", tarfile.CHRTYPE, 0o666, b"", ""),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), linkname
            archive.addfile(entry, io.BytesIO(content))
    write_index(str(place))
    told: list[tuple[bytes, int, bytes]] = []
    got_file = bytearray()

    async def take(call: ServedCall) -> None:
        assert call.metadata["buildkit-attachable-exporter-id"] == "3"
        while (packet := await call.read(PACKET))["stat"] is not None:
            told.append((packet["stat"]["path"], packet["stat"]["mode"], packet["stat"]["linkname"]))
        await call.write(PACKET, {"type": REQUEST, "id": 1})
        while (packet := await call.read(PACKET))["data"]:
            got_file.extend(packet["data"])
        await call.write(PACKET, {"type": FINISH})
        assert (await call.read(PACKET))["type"] == FINISH

    async def take_file(call: ServedCall) -> None:
        assert call.metadata["exporter-md-name"] == "app"
        got = bytearray()
        while len(got) < place.stat().st_size:
            got += (await call.read(BYTES_MESSAGE))["data"]
        assert got == place.read_bytes()

    async def main() -> None:
        async with joined({_SEND: take}) as link:
            await send_tree(link, 3, str(place))
        async with joined({_SEND: take_file}) as link:
            await send_file(link, 0, str(place), {"name": "app"})

    trio.run(main)
    assert told == [
        (b"d", _DIRECTORY, b""), (b"d/file", _SETUID | 0o711, b""), (b"d.e", 1 << 25 | 0o644, b""),
        (b"hard", 0o711, b"d/file"), (b"link", _SYMLINK | 0o777, b"d/file"),
    ]  # fmt: skip
    assert got_file == _BIG
