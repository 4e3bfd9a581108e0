"""A container's files, for a program: archives in and out, what it changed, all of it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.client.errors import raised_as_api_errors
from sandbox.client.model import Model
from sandbox.client.output import PieceStream, opened_pipes
from sandbox.container.files.archives import ArchiveIn, ArchiveOut
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_CHUNK_BYTES = 2 << 20


class ContainerFiles(Model):
    """What `Container` can do with files; it runs or not."""

    def put_archive(self, path: str, data: bytes | BinaryIO | Iterable[bytes]) -> bool:
        """Extract a tar archive, compressed or not, in the directory `path`; what it comes from is read as it goes.

        True, as docker-py has it. Raises NotFound where there is no such directory, InvalidArgument for what is
        read-only or none, APIError.
        """
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                call = self._caller.begin("container.put_archive", self.id, ArchiveIn(path), Descriptor(read_fd))
            finally:
                os.close(read_fd)
            try:
                # who reads may have had enough: why is in the call's result
                with suppress(BrokenPipeError):
                    for piece in _pieces(data):
                        _write_all(write_fd, piece)
            except BaseException:
                call.close()
                raise
        finally:
            os.close(write_fd)
        with raised_as_api_errors():
            call.result()
        return True

    def get_archive(self, path: str, chunk_size: int | None = _CHUNK_BYTES) -> tuple[PieceStream, dict[str, Any]]:
        """A tar archive of what is at `path`, as pieces of at most `chunk_size` bytes, and Docker's description of it:
        name, size, mode (Go's), mtime, linkTarget. Raises NotFound.
        """
        described = self._caller.call("container.stat_path", self.id, path).document()
        with opened_pipes(1) as (pipe,):
            call = self._caller.begin("container.get_archive", self.id, ArchiveOut(path), Descriptor(pipe.write_fd))
        return PieceStream(call, pipe.read_fd, chunk_size or _CHUNK_BYTES), described

    def export(self, chunk_size: int | None = _CHUNK_BYTES) -> PieceStream:
        """A tar archive of all its files, as pieces of at most `chunk_size` bytes."""
        with opened_pipes(1) as (pipe,):
            call = self._caller.begin("container.export", self.id, Descriptor(pipe.write_fd))
        return PieceStream(call, pipe.read_fd, chunk_size or _CHUNK_BYTES)

    def diff(self) -> list[dict[str, Any]]:
        """What it changed over its image: "Path", and "Kind", which is 0 for modified, 1 for added, 2 for deleted."""
        return [{"Path": path, "Kind": kind} for path, kind in self._caller.call("container.changes", self.id)]


def _pieces(data: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield bytes(data)
        return
    read = getattr(data, "read", None)
    if read is None:
        yield from data
        return
    while piece := read(_CHUNK_BYTES):
        yield piece


def _write_all(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]
