"""Servers on the loopback for builds that fetch: files over HTTP or HTTPS, and Git repositories over HTTP and git://."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import ssl
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_AUTHOR_DATE": "1000000000 +0000",
    "GIT_COMMITTER_DATE": "1000000000 +0000",
}  # fmt: skip


class Answer(NamedTuple):
    """What a path answers: a body, headers, a status."""

    body: bytes = b""
    headers: Mapping[str, str] = {}
    status: int = 200


class WebServer:
    """Answers by path; `asked` has every request's path and headers."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""
        #: a directory of repositories, served by `git http-backend` below /git/
        self.repositories: Path | None = None

    def paths(self) -> list[str]:
        return [path for path, _headers in self.asked]


@contextmanager
def web_server(
    certificate: tuple[Path, Path] | None = None, listener: socket.socket | None = None
) -> Iterator[WebServer]:
    """A server for as long as the block; with a certificate and its key it speaks HTTPS. `listener` is where it
    listens, by default on a port of the loopback.
    """
    web = WebServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append((self.path, dict(self.headers.items())))
            if self.path.startswith("/git/") and web.repositories is not None:
                self._git(web.repositories)
                return
            answer = web.answers.get(self.path, Answer(b"", status=404))
            if answer.headers.get("ETag") and self.headers.get("If-None-Match") == answer.headers["ETag"]:
                answer = Answer(headers={"ETag": answer.headers["ETag"]}, status=304)
            self.send_response(answer.status)
            headers = {"Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815

        def _git(self, root: Path) -> None:
            path, _, query = self.path.removeprefix("/git").partition("?")
            env = {
                **os.environ, **_GIT, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    if listener is None:
        listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    with http.server.ThreadingHTTPServer((host, port), Handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        web.url = f"http{'s' if certificate else ''}://{host}:{port}"
        with serving(server):
            yield web


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """Repositories below `root` over git://; the URL of the server."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            words = ["git", "daemon", "--inetd", "--export-all", f"--base-path={root}"]
            subprocess.run(
                words, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL, env={**os.environ, **_GIT},
                check=False,
            )  # fmt: skip

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield f"git://127.0.0.1:{server.server_address[1]}"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Answer connections in a thread for as long as the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class Repository:
    """A Git repository being made: files, commits, tags; served from beside its siblings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words], cwd=self.path, env={**os.environ, **_GIT},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], message: str = "m") -> str:
        """Write files (a text that begins with `-> ` is a symlink) and commit them; the commit's hash."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text.removeprefix("-> "))
            else:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, signed by itself."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
