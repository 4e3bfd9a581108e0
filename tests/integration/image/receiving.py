"""A registry of our own that takes pushes, and misbehaves as it is told."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.image.hostile import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: answers the request itself and returns True, or leaves it to the registry
    Hook = Callable[["Receiver"], bool]

_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/([0-9]*)\Z")


class Receiver(BaseHTTPRequestHandler):
    """One connection; `server` is the Receiving below."""

    protocol_version = "HTTP/1.1"
    server: Receiving

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        self.where, self.query = url.path, {key: values[0] for key, values in parse_qs(url.query).items()}
        with self.server.lock:
            self.server.requests.append((self.command, self.path, dict(self.headers)))
        if not any(hook(self) for hook in tuple(self.server.hooks)):
            self.serve()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_request  # noqa: N815

    def serve(self) -> None:
        upload = _UPLOAD.match(self.where)
        kind, _, which = self.where.rpartition("/")
        if self.where == "/v2/":
            self.answer(200)
        elif upload:
            self.serve_upload(upload.group(1), upload.group(2))
        elif kind.endswith("/blobs"):
            self.answer(200 if which in self.server.blobs else 404)
        elif kind.endswith("/manifests") and self.command == "PUT":
            body = self.read_body()
            self.server.manifests[which] = body
            self.answer(201, headers={"Docker-Content-Digest": digest_of(body)})
        else:
            self.refuse(404, "NAME_UNKNOWN", "repository name not known to registry")

    def serve_upload(self, name: str, number: str) -> None:
        server = self.server
        if self.command == "POST":
            with server.lock:
                number = str(len(server.uploads))
                server.uploads[number] = bytearray()
            self.place(202, name, number)
        elif number not in server.uploads:
            self.refuse(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown")
        elif self.command == "GET":
            self.place(204, name, number)
        elif self.command == "DELETE":
            del server.uploads[number]
            self.answer(204)
        else:
            self.receive(number)
            if self.command == "PATCH":
                self.place(202, name, number)
            else:
                self.complete(number)

    def complete(self, number: str) -> None:
        data = bytes(self.server.uploads.pop(number))
        if digest_of(data) != self.query["digest"]:
            self.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        else:
            self.server.blobs[digest_of(data)] = data
            self.answer(201, headers={"Docker-Content-Digest": digest_of(data)})

    def receive(self, number: str, limit: int | None = None) -> None:
        """Take what the request brings, or the first `limit` bytes of it."""
        left = int(self.headers.get("Content-Length", 0)) if limit is None else limit
        if "Content-Range" in self.headers:
            assert int(self.headers["Content-Range"].partition("-")[0]) == len(self.server.uploads[number])
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                break
            self.server.uploads[number] += data
            left -= len(data)

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def place(self, status: int, name: str, number: str) -> None:
        size = len(self.server.uploads[number])
        self.answer(
            status, headers={"Location": f"/v2/{name}/blobs/uploads/{number}", "Range": f"0-{max(size - 1, 0)}"}
        )

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def die(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_arguments: object) -> None:
        pass


class Receiving(ThreadingHTTPServer):
    """The registry: what it has, what was asked of it, and the hooks that may answer instead."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.lock = threading.Lock()
        self.hooks: list[Hook] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.uploads: dict[str, bytearray] = {}
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def methods(self, part: str) -> list[str]:
        """The methods of the requests whose path holds `part`, in their order."""
        return [method for method, path, _headers in self.requests if part in path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what these tests are about."""


@contextmanager
def run_receiving() -> Iterator[Receiving]:
    """Take pushes for the length of the block."""
    server = Receiving()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
