"""Files of a client, by its session: a tree comes in the packets of fsutil, and goes on as a tar archive.

First the client tells of every entry, in the order of a walk; then the files are asked for by their places in it, some
ahead, and come in pieces. The archive has the entries as they were told of: who unpacks it trusts no name in it.
"""

from __future__ import annotations

import stat
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

from sandbox.api.buildkit.calls import made_call
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import RESOURCE_EXHAUSTED, UNKNOWN, RpcError
from sandbox.api.buildkit.schema import PACKET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sandbox.api.buildkit.calls import MadeCall
    from sandbox.api.buildkit.link import Link

STAT, REQUEST, DATA, FINISH, FAILURE = range(5)
_MOST_ENTRIES = 1_000_000
#: files asked for ahead of the one that is written, and what they may hold together
_AHEAD, _AHEAD_BYTES = 64, 8 << 20
_BLOCK = 512

# Go's bits of a file's mode
GO_DIRECTORY, GO_SYMLINK, GO_DEVICE, GO_FIFO, GO_SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_GO_SETUID, _GO_SETGID, _GO_CHARACTER, _GO_STICKY = 1 << 23, 1 << 22, 1 << 21, 1 << 20
_GO_TYPES = GO_DIRECTORY | GO_SYMLINK | GO_DEVICE | GO_FIFO | GO_SOCKET | _GO_CHARACTER


class TreeRequest(NamedTuple):
    """Which of the client's directories, by its name there, and what of it."""

    name: str
    follow: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


class _Entry(NamedTuple):
    path: str
    mode: int
    size: int
    mod_time: int
    linkname: str
    devices: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]

    @property
    def has_content(self) -> bool:
        return not self.mode & _GO_TYPES and not self.linkname


async def receive_tree(
    link: Link, request: TreeRequest, write: Callable[[bytes], Awaitable[None]], progress: Callable[[int], None]
) -> None:
    """The tree's archive goes to `write`; `progress` gets the bytes that have come. Raises RpcError."""
    metadata = [
        *_encoded("dir-name", (request.name,)), *_encoded("followpaths", request.follow),
        *_encoded("exclude-patterns", request.excludes),
    ]  # fmt: skip
    async with made_call(link, "moby.filesync.v1.FileSync/DiffCopy", metadata) as call:
        await _Receiver(call, write, progress).run()


def _encoded(key: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """Values as metadata, which is ASCII."""
    if all(value.isascii() for value in values):
        return [(key, value) for value in values]
    found = [(key, quote_plus(value.encode("utf-8", "surrogateescape"))) for value in values]
    return [*found, (f"{key}-encoded", "1")]


class _Receiver:
    def __init__(
        self, call: MadeCall, write: Callable[[bytes], Awaitable[None]], progress: Callable[[int], None]
    ) -> None:
        self._call = call
        self._write = write
        self._progress = progress
        self._received = 0
        #: pieces of files that were asked for, by their numbers; whether all has come
        self._pieces: dict[int, list[bytes]] = {}
        self._complete: set[int] = set()
        self._sizes: dict[int, int] = {}

    async def run(self) -> None:
        entries = await self._read_entries()
        waiting = [number for number, entry in enumerate(entries) if entry.has_content]
        asked, ahead = 0, 0
        for number, entry in enumerate(entries):
            if entry.has_content:
                while asked < len(waiting) and (
                    not self._sizes
                    or (len(self._sizes) < _AHEAD and ahead + entries[waiting[asked]].size <= _AHEAD_BYTES)
                ):
                    await self._ask(waiting[asked], entries[waiting[asked]])
                    ahead += entries[waiting[asked]].size
                    asked += 1
                await self._write_file(number, entry)
                ahead -= entry.size
            else:
                await self._write(_header(entry))
        await self._write(bytes(2 * _BLOCK))
        await self._call.send(encode(PACKET, {"type": FINISH}))
        while (await self._next())["type"] != FINISH:
            pass
        await self._call.send_end()

    async def _read_entries(self) -> list[_Entry]:
        found: list[_Entry] = []
        while True:
            packet = await self._next()
            if packet["type"] != STAT:
                continue
            told = packet["stat"]
            # an empty message is left out by some clients, and sent by others
            if told is None or not told["path"]:
                return found
            if len(found) >= _MOST_ENTRIES:
                raise RpcError(RESOURCE_EXHAUSTED, f"the context has more than {_MOST_ENTRIES} entries")
            found.append(_entry(told))

    async def _ask(self, number: int, entry: _Entry) -> None:
        self._pieces[number] = []
        self._sizes[number] = entry.size
        await self._call.send(encode(PACKET, {"type": REQUEST, "id": number}))

    async def _write_file(self, number: int, entry: _Entry) -> None:
        await self._write(_header(entry))
        written = 0
        while True:
            for piece in self._pieces[number]:
                written += len(piece)
                await self._write(piece)
            self._pieces[number].clear()
            if number in self._complete:
                break
            await self._take_data()
        self._complete.discard(number)
        del self._pieces[number], self._sizes[number]
        if written != entry.size:
            raise RpcError(UNKNOWN, f"{entry.path!r} changed as it was sent: {written} bytes in place of {entry.size}")
        await self._write(bytes(-written % _BLOCK))

    async def _take_data(self) -> None:
        packet = await self._next()
        number = packet["id"]
        if packet["type"] != DATA:
            return
        if number not in self._pieces or number in self._complete:
            raise RpcError(UNKNOWN, "the client sends a file that nobody has asked for")
        if packet["data"]:
            # what has been written does not count: of each file no more than was told is ever kept
            self._pieces[number].append(packet["data"])
            if sum(map(len, self._pieces[number])) > max(self._sizes[number], 0):
                raise RpcError(UNKNOWN, "a file of the context changed as it was sent")
        else:
            self._complete.add(number)

    async def _next(self) -> dict[str, Any]:
        message = await self._call.receive()
        if message is None:
            raise RpcError(UNKNOWN, "the client has ended the transfer of files")
        packet = decode(PACKET, message)
        self._received += len(message)
        self._progress(self._received)
        if packet["type"] == FAILURE:
            raise RpcError(UNKNOWN, f"error from sender: {packet['data'].decode(errors='replace')}")
        return packet


def _entry(told: dict[str, Any]) -> _Entry:
    return _Entry(
        told["path"].decode("utf-8", "surrogateescape"), told["mode"] & 0xFFFFFFFF, max(0, told["size"]),
        told["mod_time"], told["linkname"].decode("utf-8", "surrogateescape"),
        (told["devmajor"], told["devminor"]), tuple(told["xattrs"].items()),
    )  # fmt: skip


def _header(entry: _Entry) -> bytes:
    """The entry's head in a tar archive."""
    info = tarfile.TarInfo(entry.path)
    info.mode = permissions(entry.mode)
    info.type = _type(entry)
    info.size = entry.size if entry.has_content else 0
    info.linkname = entry.linkname
    if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = entry.devices
    seconds, nanoseconds = divmod(entry.mod_time, 10**9)
    info.mtime = max(0, seconds)
    names = entry.path + entry.linkname
    if not names.isascii() and any("\udc80" <= char <= "\udcff" for char in names):
        # bytes that are no UTF-8 stay what they are in this older form, which has no nanoseconds
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    info.pax_headers = {"mtime": f"{max(0, seconds)}.{nanoseconds:09}"}
    for name, value in entry.xattrs:
        info.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _type(entry: _Entry) -> bytes:
    mode = entry.mode
    for bit, kind in ((GO_DIRECTORY, tarfile.DIRTYPE), (GO_SYMLINK, tarfile.SYMTYPE), (GO_FIFO, tarfile.FIFOTYPE)):
        if mode & bit:
            return kind
    if mode & GO_DEVICE:
        return tarfile.CHRTYPE if mode & _GO_CHARACTER else tarfile.BLKTYPE
    if mode & GO_SOCKET:
        raise RpcError(UNKNOWN, f"{entry.path!r} is a socket")
    return tarfile.LNKTYPE if entry.linkname else tarfile.REGTYPE


def permissions(go_mode: int) -> int:
    """The bits of chmod(2) in a mode of Go's."""
    found = go_mode & 0o777
    for go, bit in ((_GO_SETUID, stat.S_ISUID), (_GO_SETGID, stat.S_ISGID), (_GO_STICKY, stat.S_ISVTX)):
        if go_mode & go:
            found |= bit
    return found


def go_permissions(mode: int) -> int:
    """The bits of a mode of Go's for those of chmod(2)."""
    found = mode & 0o777
    for go, bit in ((_GO_SETUID, stat.S_ISUID), (_GO_SETGID, stat.S_ISGID), (_GO_STICKY, stat.S_ISVTX)):
        if mode & bit:
            found |= go
    return found
