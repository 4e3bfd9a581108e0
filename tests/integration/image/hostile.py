"""A registry of our own that serves one small image and misbehaves as it is told."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sandbox.image.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: answers the request itself and returns True, or leaves it to the registry
    Hook = Callable[["Handler"], bool]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layer(files: dict[str, bytes]) -> bytes:
    """A gzipped layer with these files; what does not compress stays large."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


class Image:
    """The documents of an image of these layers; change them before a registry serves it."""

    def __init__(self, *layers: bytes, config: dict[str, Any] | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.layers = [self.add(layer) for layer in layers]
        diff_ids = [digest_of(gzip.decompress(layer)) for layer in layers]
        document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        data = json.dumps({**document, **(config or {})}).encode()
        self.manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.descriptor(OCI_CONFIG, data),
            "layers": [self.descriptor(OCI_LAYER_GZIP, layer) for layer in layers],
        }
        self.add(data)

    def add(self, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    @staticmethod
    def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


class Handler(BaseHTTPRequestHandler):
    """One connection; `server` is the Hostile below."""

    protocol_version = "HTTP/1.1"
    server: Hostile

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        for hook in tuple(self.server.hooks):
            if hook(self):
                return
        self.serve()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def serve(self) -> None:
        kind, _, which = self.path.removeprefix("/v2/").rpartition("/")
        image = self.server.image
        if self.path == "/v2/":
            self.answer(200, b"{}")
        elif kind.endswith("/manifests"):
            data = json.dumps(image.manifest).encode()
            self.answer(200, data, {"Content-Type": image.manifest.get("mediaType", OCI_MANIFEST)})
        elif kind.endswith("/blobs") and which in image.blobs:
            self.serve_blob(image.blobs[which])
        else:
            self.answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"unknown"}]}')

    def serve_blob(self, data: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            self.answer(206, data[start:], headers)
        else:
            self.answer(200, data)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def die(self) -> None:
        """Close the connection in the middle of whatever was promised."""
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        pass


class Hostile(ThreadingHTTPServer):
    """The registry: `requests` is what was asked, `hooks` what may answer instead."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, image: Image) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.image = image
        self.hooks: list[Hook] = []
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what these tests are about."""


@contextmanager
def run_hostile(image: Image) -> Iterator[Hostile]:
    """Serve `image` for the length of the block."""
    server = Hostile(image)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
