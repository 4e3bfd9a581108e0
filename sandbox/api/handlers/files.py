"""Containers' files: archives out of them and into them, what they changed."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import trio

from sandbox.api.call import Answer, encoded
from sandbox.api.errors import ApiError
from sandbox.api.pipes import feed, open_pipe
from sandbox.container.files.archives import ArchiveIn, ArchiveOut
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from sandbox.api.call import Call

_TAR = "application/x-tar"
_STAT = "X-Docker-Container-Path-Stat"


async def changes(call: Call) -> Answer:
    """What it changed over its image; null where nothing is."""
    found = await call.engine.call("container.changes", call.word)
    return Answer(document=[{"Path": path, "Kind": kind} for path, kind in found], body=b"null" if not found else b"")


async def export(call: Call) -> None:
    """All its files."""
    brief = await call.engine.brief(call.word)
    await send_output(call, "container.export", brief.id)


async def send_output(
    call: Call, operation: str, *arguments: object, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    """Send what an operation writes to the descriptor that is its last argument; what fails before it has written
    anything is a status. Raises SandboxError.
    """
    async with open_pipe() as pipe, trio.open_nursery() as nursery:

        async def write() -> None:
            try:
                await call.engine.call(operation, *arguments, Descriptor(pipe.write_fd))
            finally:
                pipe.close_write()

        nursery.start_soon(write)
        first = await pipe.read()
        if not first:
            # an error comes out of the nursery in place of this
            await trio.lowlevel.checkpoint()
        async with call.stream(_TAR, headers=headers) as out:
            while first:
                await out.write(first)
                first = await pipe.read()


async def _stat_header(call: Call) -> tuple[str, str]:
    path = call.text("path")
    if not path:
        raise ApiError(400, "bad parameter: 'path' cannot be empty")
    stat = await call.engine.call("container.stat_path", call.word, path)
    return _STAT, b64encode(encoded(stat.document())).decode()


async def stat_archive(call: Call) -> Answer:
    """What is at a path."""
    return Answer(headers=(await _stat_header(call),))


async def get_archive(call: Call) -> None:
    """What is at a path, as an archive."""
    header = await _stat_header(call)
    await send_output(call, "container.get_archive", call.word, ArchiveOut(call.text("path")), headers=(header,))


async def put_archive(call: Call) -> Answer:
    """Extract an archive in a directory."""
    request = ArchiveIn(
        call.text("path"), keeps_kinds=call.flag("noOverwriteDirNonDir"), as_user=call.flag("copyUIDGID")
    )
    await feed(call.body(), lambda fd: call.engine.call("container.put_archive", call.word, request, Descriptor(fd)))
    return Answer()
