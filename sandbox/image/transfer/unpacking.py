"""Layers unpacked in parallel by forked workers, each into a directory of its own.

Overlay needs no order between layers, and neither does this, but for two steps that look at the layers below: a
directory that an archive implies and does not describe takes after the one below, and a hard link may lead there. So:

    parent                                        worker (uid 0 of the outer user namespace)
    {"do": "unpack", chain, blob, diff_id} ────▶  unpacks into the stage of `chain`, keeps the stage open
        ◀──── {"unpacked": bytes of the blob}, again and again
        ◀──── {"size_bytes", "entries", "notes"}
    … until every layer below is there …
    {"do": "finish", chain, lowers} ───────────▶  looks at the layers below, syncs, renames: the layer is there
        ◀──── {}
    an error of ours ◀──── {"error": [message, cause, mend]}; the stage is gone then

One line of JSON each. A worker whose parent dies is killed with it; what it was making is found by its lock.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from sandbox.errors import ImageError
from sandbox.faults import explain_fault
from sandbox.humane import short_digest
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore
from storage.layers.undescribed_directories import inherit_directories
from storage.layers.unpack import unpack_layer

if TYPE_CHECKING:
    import io
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    import trio

    from sandbox.image.stored_layer import Layer
    from storage.digests import Digest
    from storage.layers.store import Stage

    #: told a blob's digest, how much of it has been unpacked, and how much it is
    Unpacked = Callable[[Digest, int, int], None]

_LINE_BYTES_MAX = 1 << 20
#: of a blob, between two words of how far it is
_TOLD_BYTES = 2 << 20


def serve_unpacking(layers_root: str) -> Callable[[socket.socket], None]:
    """What a worker does: `UserNamespaceWorkers(count, serve_unpacking(root))`."""

    def serve(end: socket.socket) -> None:
        # ctrl-C reaches the whole foreground process group; the parent decides what becomes of us
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        worker = _Worker(LayerStore(layers_root), lambda message: end.sendall(json.dumps(message).encode() + b"\n"))
        try:
            with end, end.makefile("rb") as stream:
                while line := stream.readline(_LINE_BYTES_MAX):
                    worker.send(worker.answer(json.loads(line)))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the parent is gone
        finally:
            worker.close()

    return serve


class _Worker:
    """The stages one worker holds open."""

    def __init__(self, store: LayerStore, send: Callable[[dict[str, Any]], None]) -> None:
        self._store = store
        self.send = send
        self._open: dict[Digest, tuple[ExitStack, Stage, Any]] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        chain_id = parse_digest(request["chain"])
        try:
            if request["do"] == "unpack":
                return self._unpack(chain_id, request)
            return self._finish(chain_id, request)
        except StorageError as error:
            self._close(chain_id)
            return {"error": [error.message, error.cause, error.mend]}
        except OSError as error:
            self._close(chain_id)
            return {"error": ["cannot unpack the layer", explain_fault(error), ""]}

    def close(self) -> None:
        for chain_id in tuple(self._open):
            self._close(chain_id)

    def _unpack(self, chain_id: Digest, request: dict[str, Any]) -> dict[str, Any]:
        with ExitStack() as stack:
            stage = stack.enter_context(self._store.stage(chain_id))
            result = None
            if not stage.done:
                with (
                    open(request["blob"], "rb", buffering=0) as blob,
                    _opened(request["lowers"]) as lowers,
                    closing(stage.owners()) as book,
                ):
                    told = cast("BinaryIO", _Told(blob, self.send))
                    result = unpack_layer(told, stage.fd, lower_roots=lowers, book=book)
                if result.diff_id != request["diff_id"]:
                    raise StorageError(
                        "the layer is not what the image's config says",
                        cause=f"diff id {request['diff_id']} expected, {result.diff_id} unpacked",
                    )
            self._open[chain_id] = (stack.pop_all(), stage, result)
        return {} if result is None else {"size_bytes": result.size_bytes, "notes": result.notes}

    def _finish(self, chain_id: Digest, request: dict[str, Any]) -> dict[str, Any]:
        _stack, stage, result = self._open[chain_id]
        if not stage.done:
            with _opened(request["lowers"]) as lowers, closing(stage.owners()) as book:
                inherit_directories(stage.fd, result.implied, lowers, book)
            stage.commit(
                {
                    "diff_id": result.diff_id,
                    "size_bytes": result.size_bytes,
                    "entries": result.entries,
                    "notes": result.notes,
                }
            )
        self._close(chain_id)
        return {}

    def _close(self, chain_id: Digest) -> None:
        held = self._open.pop(chain_id, None)
        if held is not None:
            held[0].close()


class _Told:
    """A blob being read, with a word of how far it is every now and then."""

    def __init__(self, blob: io.FileIO, send: Callable[[dict[str, Any]], None]) -> None:
        self._blob = blob
        self._send = send
        self._count = self._told = 0

    def read(self, size: int = -1) -> bytes:
        data = self._blob.read(size) or b""
        self._count += len(data)
        if self._count - self._told >= _TOLD_BYTES:
            self._told = self._count
            self._send({"unpacked": self._count})
        return data


@contextmanager
def _opened(paths: Sequence[str]) -> Iterator[list[int]]:
    """Descriptors of the directories at `paths`."""
    with ExitStack() as stack:
        descriptors = []
        for path in paths:
            descriptors.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            stack.callback(os.close, descriptors[-1])
        yield descriptors


class UnpackPool:
    """The parent's side, inside trio: hands layers to whichever worker is free. Made by `open_pool`."""

    def __init__(
        self, store: LayerStore, streams: Sequence[trio.SocketStream], tell: Callable[[str], None], unpacked: Unpacked
    ) -> None:
        import trio

        self._store = store
        self._tell = tell
        self._unpacked = unpacked
        self._workers = [_Link(stream, trio.Lock()) for stream in streams]
        self._give, self._take = trio.open_memory_channel[_Link](len(streams))
        for worker in self._workers:
            # as many places as workers: giving one back never waits
            self._give.send_nowait(worker)

    async def install(self, layers: Sequence[Layer], position: int, lower_ready: trio.Event, done: trio.Event) -> None:
        """Bring `layers[position]` into the store once its blob is there; sets `done`. Raises ImageError.

        `lower_ready` tells that every layer below is there. What of the layer could not be had is told, a line each.
        """
        layer = layers[position]
        if self._store.has(layer.chain_id):
            done.set()
            return
        lowers = [self._store.path(lower.chain_id) for lower in reversed(layers[:position])]
        try:
            worker, notes = await self._unpack(layer, [])
        except ImageError:
            if not lowers:
                raise
            # the one thing that only the layers below can mend is a hard link into them
            await lower_ready.wait()
            worker, notes = await self._unpack(layer, lowers)
        await lower_ready.wait()
        await worker.ask(layer, {"do": "finish", "chain": layer.chain_id, "lowers": lowers})
        done.set()
        for note in notes:
            self._tell(f"{short_digest(layer.blob)}: {note}")

    async def _unpack(self, layer: Layer, lowers: list[str]) -> tuple[_Link, Sequence[str]]:
        worker = await self._take.receive()
        size = os.stat(layer.blob_path).st_size
        self._unpacked(layer.blob, 0, size)
        try:
            answer = await worker.ask(
                layer,
                {
                    "do": "unpack",
                    "chain": layer.chain_id,
                    "blob": layer.blob_path,
                    "diff_id": layer.diff_id,
                    "lowers": lowers,
                },
                lambda count: self._unpacked(layer.blob, count, size),
            )
        finally:
            self._give.send_nowait(worker)
        return worker, answer.get("notes", ())


class _Link:
    """The line to one worker; one question at a time."""

    def __init__(self, stream: trio.SocketStream, lock: trio.Lock) -> None:
        self._stream = stream
        self._lock = lock
        self._received = bytearray()

    async def ask(
        self, layer: Layer, request: dict[str, Any], unpacked: Callable[[int], None] = lambda _count: None
    ) -> dict[str, Any]:
        import trio

        async with self._lock:
            try:
                await self._stream.send_all(json.dumps(request).encode() + b"\n")
                while "unpacked" in (answer := await self._receive(layer)):
                    unpacked(answer["unpacked"])
            except trio.BrokenResourceError as error:
                raise _dead_worker(layer) from error
        if "error" in answer:
            message, cause, mend = answer["error"]
            raise ImageError(f"cannot unpack layer {layer.blob}: {message}", cause=cause, mend=mend)
        return answer

    async def _receive(self, layer: Layer) -> dict[str, Any]:
        while b"\n" not in self._received:
            part = await self._stream.receive_some()
            if not part:
                raise _dead_worker(layer)
            self._received += part
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        message: dict[str, Any] = json.loads(line)
        return message


def _dead_worker(layer: Layer) -> ImageError:
    return ImageError(f"cannot unpack layer {layer.blob}", cause="the process that unpacked it died", mend="try again")


@asynccontextmanager
async def open_pool(
    store: LayerStore,
    sockets: Sequence[socket.socket],
    tell: Callable[[str], None],
    unpacked: Unpacked = lambda _blob, _done, _size: None,
) -> AsyncIterator[UnpackPool]:
    """The pool over the parent's ends of the workers' sockets, which are closed at the end. `tell` gets a line for
    everything that a layer has and that could not be had of it: devices, owners that are not mapped; `unpacked` is told
    how much of a blob, of how much, has been.
    """
    import trio

    streams = [trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in sockets]
    try:
        yield UnpackPool(store, streams, tell, unpacked)
    finally:
        for stream in streams:
            # closing a socket does not wait; a cancelled task may do it
            stream.socket.close()
