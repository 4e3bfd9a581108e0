"""Results to a client, by its session: one file in pieces, or a directory in the packets of fsutil."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, NamedTuple

import trio

from sandbox.api.buildkit.calls import made_call
from sandbox.api.buildkit.file_sync import (
    DATA,
    FAILURE,
    FINISH,
    GO_DIRECTORY,
    GO_FIFO,
    GO_SYMLINK,
    REQUEST,
    STAT,
    go_permissions,
)
from sandbox.api.buildkit.line import decode_message, encode_message
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import UNKNOWN, RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, PACKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.api.buildkit.calls import MadeCall
    from sandbox.api.buildkit.link import Link

_CHUNK = 256 << 10
_METHOD = "moby.filesync.v1.FileSend/DiffCopy"
_EXPORTER = "buildkit-attachable-exporter-id"
_WHOLE_TREE = "buildkit-exporter-multi-platform"


class TreeEntry(NamedTuple):
    """An entry of a tree that lies in a tar archive: `mode` in Go's bits, `offset` of its content in bytes."""

    path: bytes
    mode: int
    size_bytes: int
    mod_time_ns: int
    linkname: bytes
    offset: int


async def send_file(link: Link, number: int, path: str, metadata: Mapping[str, str]) -> None:
    """The file at `path` goes to the client's output of that number. Raises RpcError."""
    told = [(f"exporter-md-{key}", value) for key, value in metadata.items()]
    async with made_call(link, _METHOD, [(_EXPORTER, str(number)), *told]) as call:
        for data in _pieces(os.open(path, os.O_RDONLY | os.O_CLOEXEC)):
            await call.send(encode(BYTES_MESSAGE, {"data": data}))
        await call.send_end()
        # it has written all of it when it ends the call
        while await call.receive() is not None:
            pass


async def send_tree(link: Link, number: int, path: str) -> None:
    """The tree in the archive at `path`, whose index lies beside it, goes to the client's output of that number.

    Raises RpcError.
    """
    index = b"".join(_pieces(os.open(index_path(path), os.O_RDONLY | os.O_CLOEXEC)))
    entries = [TreeEntry(*each) for each in decode_message(index)]
    archive_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        async with made_call(link, _METHOD, [(_EXPORTER, str(number)), (_WHOLE_TREE, "1")]) as call:
            for entry in entries:
                told = {
                    "path": entry.path, "mode": entry.mode, "size": entry.size_bytes, "mod_time": entry.mod_time_ns,
                    "linkname": entry.linkname,
                }  # fmt: skip
                await call.send(encode(PACKET, {"type": STAT, "stat": told}))
            await call.send(encode(PACKET, {"type": STAT}))
            await _serve_files(call, archive_fd, entries)
    finally:
        os.close(archive_fd)


def index_path(archive: str) -> str:
    """Where the entries of an archive that is sent are listed."""
    return f"{archive}.index"


def write_index(archive: str) -> None:
    """List what is in a tar archive of our own making, in the order that receivers want: by name, what is in a
    directory right behind it. What only root can make is left out.
    """
    found: list[TreeEntry] = []
    with tarfile.open(archive, "r:", errors="surrogateescape") as opened:
        for member in opened:
            kind = _KINDS.get(member.type)
            path = os.fsencode(member.name.strip("/"))
            if kind is not None and path not in (b"", b"."):
                is_file = member.isreg()
                linkname = os.fsencode(member.linkname) if member.issym() or member.islnk() else b""
                found.append(
                    TreeEntry(
                        path,
                        go_permissions(member.mode) | kind,
                        member.size if is_file else 0,
                        int(member.mtime * 10**9),
                        linkname,
                        member.offset_data,
                    )
                )
    found.sort(key=lambda entry: entry.path.split(b"/"))
    with open(index_path(archive), "wb") as file:
        file.write(encode_message([tuple(entry) for entry in found]))


_KINDS = {
    tarfile.REGTYPE: 0, tarfile.AREGTYPE: 0, tarfile.LNKTYPE: 0, tarfile.DIRTYPE: GO_DIRECTORY,
    tarfile.SYMTYPE: GO_SYMLINK, tarfile.FIFOTYPE: GO_FIFO,
}  # fmt: skip


async def _serve_files(call: MadeCall, archive_fd: int, entries: Sequence[TreeEntry]) -> None:
    while (message := await call.receive()) is not None:
        packet = decode(PACKET, message)
        if packet["type"] == FAILURE:
            raise RpcError(UNKNOWN, f"error from receiver: {packet['data'].decode(errors='replace')}")
        if packet["type"] == FINISH:
            await call.send(encode(PACKET, {"type": FINISH}))
            await call.send_end()
        elif packet["type"] == REQUEST:
            number = packet["id"]
            if not 0 <= number < len(entries):
                raise RpcError(UNKNOWN, f"invalid file id {number}")
            entry = entries[number]
            for at in range(0, entry.size_bytes, _CHUNK):
                data = os.pread(archive_fd, min(_CHUNK, entry.size_bytes - at), entry.offset + at)
                await call.send(encode(PACKET, {"type": DATA, "id": number, "data": data}))
            await call.send(encode(PACKET, {"type": DATA, "id": number}))
        await trio.lowlevel.checkpoint()


def _pieces(fd: int) -> Iterator[bytes]:
    """What a file holds that was written a moment ago, and waits on no disk. Owns `fd`."""
    try:
        while data := os.read(fd, _CHUNK):
            yield data
    finally:
        os.close(fd)
