"""What containers and commands inside them write, as programs read it."""

from __future__ import annotations

import json
import os
import select
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.client.errors import raised_as_api_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from sandbox.warm.workers import Call

_CHUNK = 64 * 1024


class LogOptions(NamedTuple):
    """What of each entry of a log is wanted."""

    stdout: bool = True
    stderr: bool = True
    timestamps: bool = False


class CallStream:
    """What a call tells, as it comes. `close` gives the call up, and ends whoever reads in another thread."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._told = iter(call)
        self._is_closed = False

    def _next(self) -> Any:
        """What is told next. Raises StopIteration at the end, APIError where the call failed."""
        with raised_as_api_errors():
            for told in self._told:
                return told
            if not self._is_closed:
                self._call.result()
        raise StopIteration

    def close(self) -> None:
        """Read no more; twice is safe."""
        self._is_closed = True
        self._call.close()


class LogStream(CallStream):
    """The lines of a log as they come. The end of it, and `close`, give the call up."""

    def __init__(self, call: Call, options: LogOptions) -> None:
        super().__init__(call)
        self._options = options

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            entry = self._next()
            if self._options.stderr if entry.stream == "stderr" else self._options.stdout:
                time = f"{entry.time} " if self._options.timestamps else ""
                return f"{time}{entry.text}".encode(errors="surrogateescape")


class StatsStream(CallStream):
    """What a container takes, as Docker's documents, or as lines of JSON, one each second until it is removed."""

    def __init__(self, call: Call, *, decode: bool) -> None:
        super().__init__(call)
        self._decode = decode

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        document = self._next()
        return document if self._decode else json.dumps(document).encode() + b"\n"


class _PipeStream:
    """What a worker writes to a pipe, a piece at a time. The end of it, and `close`, give the call up."""

    def __init__(self, call: Call, file: BinaryIO) -> None:
        self._call = call
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._file.closed:
            raise StopIteration
        piece = self._read()
        if piece:
            return piece
        self._file.close()
        with raised_as_api_errors():
            self._call.result()
        raise StopIteration

    def _read(self) -> bytes:
        """The next piece, b"" at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Read no more: a command is left to itself, an operation ends where it is. Twice is safe."""
        self._file.close()
        self._call.close()


class OutputStream(_PipeStream):
    """What a command writes to a pipe, line by line as it comes."""

    def __init__(self, call: Call, read_fd: int) -> None:
        super().__init__(call, open(read_fd, "rb"))  # noqa: SIM115  closed at its end, or in `close`

    def _read(self) -> bytes:
        return self._file.readline()


class PieceStream(_PipeStream):
    """What an operation writes to a pipe, in pieces of `size` bytes at the most."""

    def __init__(self, call: Call, read_fd: int, size: int) -> None:
        super().__init__(call, open(read_fd, "rb", buffering=0))  # noqa: SIM115  closed at its end, or in `close`
        self._size = size

    def _read(self) -> bytes:
        return self._file.read(self._size)


class Pipe(NamedTuple):
    """A pipe to a worker, which gets the writing end."""

    read_fd: int
    write_fd: int


@contextmanager
def opened_pipes(count: int) -> Iterator[list[Pipe]]:
    """Pipes for a call that is begun in the block. Their writing ends are closed after it, after an error all ends."""
    pipes = [Pipe(*os.pipe2(os.O_CLOEXEC)) for _number in range(count)]
    try:
        yield pipes
    except BaseException:
        for pipe in pipes:
            os.close(pipe.read_fd)
        raise
    finally:
        for pipe in pipes:
            os.close(pipe.write_fd)


@contextmanager
def opened_input(data: bytes | None) -> Iterator[int]:
    """A file with `data`, to be read from its start; -1 where there is none."""
    if data is None:
        yield -1
        return
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def read_all(fds: Sequence[int]) -> tuple[bytes, ...]:
    """All that comes from each of `fds` to its end, in whatever order it comes; they are closed."""
    parts: dict[int, list[bytes]] = {fd: [] for fd in fds}
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    left = set(fds)
    try:
        while left:
            for fd, _events in poller.poll():
                data = os.read(fd, _CHUNK)
                parts[fd].append(data)
                if not data:
                    poller.unregister(fd)
                    left.discard(fd)
    finally:
        for fd in fds:
            os.close(fd)
    return tuple(b"".join(parts[fd]) for fd in fds)
