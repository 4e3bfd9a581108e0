"""The line between a build's worker and the server: the worker asks for what the client's session has.

A message is its length in four bytes, and msgpack; a descriptor may go with it to the worker. One question at a time:

    {"ask": "tree", title, status, name, follow, excludes}   -> a pipe with a tar archive; a second answer at its end
    {"ask": "upload", path}                                  -> the same, of what the client sends by itself
    {"ask": "secret", id}                                    -> bytes, or None
    {"ask": "credentials", host}                             -> (name, password), or None
    {"ask": "ssh", id}                                       -> the path of a socket at which the client's agent is,
                                                                or None
    {"ask": "send-file", number, path, metadata}             -> None, when the client has the file at `path`
    {"ask": "send-tree", number, path}                       -> None, when it has what is in the archive there
"""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from sandbox.api.buildkit.rpc_errors import RpcError

HEAD_BYTES = 4
MESSAGE_BYTES = 1 << 20

encode_message = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder().decode


class Asker:
    """The worker's end. Owns `fd`."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def ask(self, kind: str, **words: object) -> Any:
        """Raises RpcError as the client has answered."""
        self._send({"ask": kind, **words})
        return self._answer()[0]

    def ask_for_stream(self, kind: str, **words: object) -> int:
        """A descriptor to read from, the caller's; to its end, and then `check_end`. Raises RpcError."""
        self._send({"ask": kind, **words})
        _value, descriptors = self._answer()
        return descriptors[0]

    def check_end(self) -> None:
        """Whether all of a stream has come. Raises RpcError."""
        self._answer()

    def close(self) -> None:
        self._socket.close()

    def _send(self, message: dict[str, object]) -> None:
        data = encode_message(message)
        self._socket.sendall(len(data).to_bytes(HEAD_BYTES, "big") + data)

    def _answer(self) -> tuple[Any, list[int]]:
        head, descriptors, _flags, _address = socket.recv_fds(self._socket, HEAD_BYTES, 1)
        head += self._read(HEAD_BYTES - len(head)) if head else b""
        if not head:
            raise RpcError(14, "the server has gone")
        answer = decode_message(self._read(int.from_bytes(head, "big")))
        if "error" in answer:
            raise RpcError(answer["code"], answer["error"])
        return answer["value"], descriptors

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            data = self._socket.recv(size - len(parts))
            if not data:
                raise RpcError(14, "the server has gone")
            parts += data
        return bytes(parts)
