"""Results to a client, by its session: one file in pieces, or a directory in the packets of fsutil."""

from __future__ import annotations

import os
import stat
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
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import UNKNOWN, RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, PACKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.api.buildkit.calls import MadeCall
    from sandbox.api.buildkit.link import Link

_CHUNK = 256 << 10
_METHOD = "moby.filesync.v1.FileSend/DiffCopy"
_EXPORTER = "buildkit-attachable-exporter-id"


class _Found(NamedTuple):
    """An entry below the directory that is sent; `path` is relative."""

    path: str
    status: os.stat_result
    linkname: str = ""


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


async def send_directory(link: Link, number: int, path: str) -> None:
    """What is below the directory `path` goes to the client's output of that number. Raises RpcError."""
    root_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        async with made_call(link, _METHOD, [(_EXPORTER, str(number))]) as call:
            files: dict[int, str] = {}
            for place, found in enumerate(_walk(path, "")):
                if stat.S_ISREG(found.status.st_mode):
                    files[place] = found.path
                await call.send(encode(PACKET, {"type": STAT, "stat": _told(found)}))
            await call.send(encode(PACKET, {"type": STAT}))
            await _serve_files(call, root_fd, files)
    finally:
        os.close(root_fd)


async def _serve_files(call: MadeCall, root_fd: int, files: Mapping[int, str]) -> None:
    while (message := await call.receive()) is not None:
        packet = decode(PACKET, message)
        if packet["type"] == FAILURE:
            raise RpcError(UNKNOWN, f"error from receiver: {packet['data'].decode(errors='replace')}")
        if packet["type"] == FINISH:
            await call.send(encode(PACKET, {"type": FINISH}))
            await call.send_end()
        elif packet["type"] == REQUEST:
            wanted = files.get(packet["id"])
            if wanted is None:
                raise RpcError(UNKNOWN, f"invalid file id {packet['id']}")
            # of our own making a moment ago, and no link leads out of it
            fd = os.open(wanted, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
            for data in _pieces(fd):
                await call.send(encode(PACKET, {"type": DATA, "id": packet["id"], "data": data}))
            await call.send(encode(PACKET, {"type": DATA, "id": packet["id"]}))
        await trio.lowlevel.checkpoint()


def _pieces(fd: int) -> Iterator[bytes]:
    """What a file holds that was written a moment ago, and waits on no disk. Owns `fd`."""
    try:
        while data := os.read(fd, _CHUNK):
            yield data
    finally:
        os.close(fd)


def _walk(root: str, below: str) -> Iterator[_Found]:
    """In the order that a receiver wants: by name, what is in a directory right behind it."""
    with os.scandir(os.path.join(root, below)) as entries:
        names = sorted((entry.name for entry in entries), key=os.fsencode)
    for name in names:
        path = os.path.join(below, name)
        status = os.lstat(os.path.join(root, path))
        if stat.S_ISLNK(status.st_mode):
            yield _Found(path, status, os.readlink(os.path.join(root, path)))
        elif stat.S_ISDIR(status.st_mode):
            yield _Found(path, status)
            yield from _walk(root, path)
        elif stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode):
            yield _Found(path, status)


def _told(found: _Found) -> dict[str, object]:
    status = found.status
    mode = go_permissions(status.st_mode)
    for is_kind, bit in ((stat.S_ISDIR, GO_DIRECTORY), (stat.S_ISLNK, GO_SYMLINK), (stat.S_ISFIFO, GO_FIFO)):
        if is_kind(status.st_mode):
            mode |= bit
    return {
        "path": os.fsencode(found.path),
        "mode": mode,
        "size": status.st_size if stat.S_ISREG(status.st_mode) else 0,
        "mod_time": status.st_mtime_ns,
        "linkname": os.fsencode(found.linkname),
    }
