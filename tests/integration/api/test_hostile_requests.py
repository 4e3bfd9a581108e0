"""What is no request, or a bomb, is refused in words; the server goes on, and nobody else can come in."""

from __future__ import annotations

import base64
import io
import json
import os
import socket as sockets
import stat
import sys
import tarfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid
from sandbox.warm.descriptor_limit import more_descriptors
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requires("subids", "overlay")
_HEAD = b"Host: engine\r\nContent-Type: application/json\r\n"
#: lists in lists, in the form of credentials
_DEEP = base64.urlsafe_b64encode(b"[" * 30_000)
#: each is compared with each, where there are few
_SUBNETS = json.dumps(
    {"Name": "many", "IPAM": {"Config": [{"Subnet": f"10.{i // 250}.{i % 250}.0/24"} for i in range(5000)]}}
).encode()


def ask(path: str, *parts: bytes) -> bytes:
    """All that the server answers until it closes the connection, or has answered once."""
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        try:
            for part in parts:
                connection.sendall(part)
            connection.shutdown(sockets.SHUT_WR)
        except BrokenPipeError:
            pass  # it has heard enough
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_hostile_requests(socket: str) -> None:
    mode = os.stat(socket).st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert stat.S_IMODE(os.stat(os.path.dirname(socket)).st_mode) == 0o700
    cases: list[tuple[int, tuple[bytes, ...]]] = [
        (400, (b"what is this\r\n\r\n",)),
        (431, (b"GET /_ping HTTP/1.1\r\n", _HEAD, b"X: " + b"a" * 100_000, b"\r\n\r\n")),
        (431, (b"GET /" + b"a" * 100_000, b" HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD,
               b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b"Transfer-Encoding: chunked\r\n\r\n",
               b"f" * 40, b"\r\n")),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b"Content-Length: 5000000\r\n\r\n", b" " * 5_000_000)),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b"Content-Length: 4\r\n\r\n[[[[")),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b'Content-Length: 13\r\n\r\n{"Image":"\xff"}')),
        (400, (b"POST /containers/create HTTP/1.1\r\n", _HEAD, b"Content-Length: 100000\r\n\r\n", b"[" * 100_000)),
        (400, (b"POST /auth HTTP/1.1\r\n", _HEAD, b"Content-Length: 100000\r\n\r\n", b'{"a":' * 20_000)),
        (400, (b"POST /images/create?fromImage=x HTTP/1.1\r\n", _HEAD, b"X-Registry-Auth: ", _DEEP, b"\r\n\r\n")),
        (400, (b"POST /images/x/push HTTP/1.1\r\n", _HEAD, b"X-Registry-Auth: !!\r\n\r\n")),
        (400, (b"POST /build HTTP/1.1\r\n", _HEAD, b"X-Registry-Config: ", _DEEP, b"\r\n\r\n")),
        (400, (b"POST /build?labels=" + b"%5B" * 15_000, b" HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /build?remote=/etc HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /build?remote=file:///etc HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"GET /events?filters=" + b"%5B" * 15_000, b" HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (501, (b"GET /_ping HTTP/1.1\r\n", _HEAD, b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        (400, (b"POST /auth HTTP/1.1\r\n", _HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"-5\r\n{}\r\n")),
        (400, (b"POST /auth HTTP/1.1\r\n", _HEAD, b"Content-Length: -1\r\n\r\n")),
        (400, (b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",)),
        (400, (b"GET /_ping HTTP/1.1\r\n\r\n",)),
        (400, (b"GET /_ping\0 HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET //_ping HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /v1.45//containers/json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /containers/..%2f..%2f/archive?path=/etc HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"DELETE /images/..%2f..%2fdata HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"DELETE /volumes/..%2f..%2fdata HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"DELETE /networks/%2e%2e HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /volumes/create HTTP/1.1\r\n", _HEAD, b"Content-Length: 15\r\n\r\n", b'{"Name":"../x"}')),
        (400, (b"GET /containers/a%00b/json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /containers/%2e%2e/json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /containers/%2e%2e%2f%2e%2e%2fetc/json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /v1.45/exec/0123456789abcdef/json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (404, (b"GET /exec//json HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"GET /containers/json?filters=%7B HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"GET /containers/json?" + b"a=1&" * 2000, b"x=1 HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"GET http://elsewhere/_ping HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"GET /v1.60/info HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /containers/x/resize?h=-1&w=5 HTTP/1.1\r\n", _HEAD, b"\r\n")),
        (400, (b"POST /networks/create HTTP/1.1\r\n", _HEAD, b"Content-Length: %d\r\n\r\n" % len(_SUBNETS), _SUBNETS)),
        (404, (b"POST /nowhere HTTP/1.1\r\n", _HEAD, b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")),
    ]  # fmt: skip
    for wanted, parts in cases:
        answer = ask(socket, *parts)
        assert status(answer) == wanted, (parts[0][:80], answer[:300])
        message = json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
        assert message
        assert "Traceback" not in message
        assert "bytearray" not in message
    # a body that nobody has read is no request
    two = b"POST /nowhere HTTP/1.1\r\n" + _HEAD + b"Content-Length: 29\r\n\r\nGET /version HTTP/1.1\r\nX: y\r\n\r\n"
    assert ask(socket, two + b"GET /_ping HTTP/1.1\r\n" + _HEAD + b"\r\n").count(b"HTTP/1.1 ") == 2
    pong = ask(socket, b"GET /_ping HTTP/1.1\r\n" + _HEAD + b"\r\n")
    assert pong.startswith(b"HTTP/1.1 200 OK\r\n")
    assert pong.endswith(b"OK")


#: a user of the namespace who is not its root, and has found a way to the socket's directory
_OTHER = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setresuid(1, 1, 1)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect("docker.sock")
print(connection.recv(4096).decode())
"""


def test_another_user_asks_nothing_whatever_the_mode(socket: str) -> None:
    directory = os.path.dirname(socket)
    for mode_of_directory, mode in ((0o755, 0o666), (0o700, 0o600)):
        os.chmod(directory, mode_of_directory)
        os.chmod(socket, mode)
        done = run_as_namespace_root([sys.executable, "-IS", "-c", _OTHER, directory], check=False)
        if mode == 0o666:
            assert done.stdout.startswith("HTTP/1.1 403 "), (done.stdout, done.stderr)
            assert "Traceback" not in done.stdout
        else:
            assert "PermissionError" in done.stderr
    assert ask(socket, b"GET /_ping HTTP/1.1\r\n" + _HEAD + b"\r\n").endswith(b"OK")


def _memory(pid: int) -> int:
    """Proportional bytes of a process and its children."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        own = sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return own + sum(_memory(int(child)) for child in file.read().split())


def test_a_thousand_idle_connections_are_small(socket: str) -> None:
    """And the server answers another; its soft limit of descriptors is no limit."""
    with more_descriptors(), ExitStack() as stack:
        for _number in range(1000):
            connection = stack.enter_context(sockets.socket(sockets.AF_UNIX))
            connection.settimeout(60)
            connection.connect(socket)
            connection.sendall(b"HEAD /_ping HTTP/1.1\r\n" + _HEAD + b"\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert ask(socket, b"GET /_ping HTTP/1.1\r\n" + _HEAD + b"\r\n").endswith(b"OK")
        assert _memory(listener_pid(socket)) <= 60e6


def _archive(*members: tuple[str, bytes, str, bytes]) -> bytes:
    """A tar of (name, type, what a link leads to, content)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind, target, content in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size, entry.devmajor, entry.devminor = kind, target, len(content), 1, 3
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def test_archives_stay_inside(socket: str, tmp_path: Path) -> None:
    """Neither an archive for a container nor a build's context writes or reads a file of the host's."""
    canary, marker = tmp_path / "canary", tmp_path / "marker"
    canary.mkdir()
    marker.write_text("of the host")

    def send(method: str, target: str, body: bytes) -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        answer = ask(socket, head.encode() + _HEAD + b"\r\n" + body)
        assert 200 <= status(answer) < 600, answer
        assert b"Traceback" not in answer
        return answer

    created = send("POST", "/containers/create?name=victim", b'{"Image":"busybox","Cmd":["true"]}')
    assert status(created) == 201, created
    for members in (
        [("../../../../../../../../" + str(canary / "up"), tarfile.REGTYPE, "", b"x")],
        [(str(canary / "absolute"), tarfile.REGTYPE, "", b"x")],
        [("way", tarfile.SYMTYPE, str(canary), b""), ("way/through", tarfile.REGTYPE, "", b"x")],
        [("up", tarfile.SYMTYPE, "../" * 20 + str(canary), b""), ("up/through", tarfile.REGTYPE, "", b"x")],
        [("file", tarfile.SYMTYPE, str(marker), b""), ("file", tarfile.REGTYPE, "", b"x")],
        [("hard", tarfile.LNKTYPE, str(marker), b""), ("hard", tarfile.REGTYPE, "", b"x")],
        [("device", tarfile.CHRTYPE, "", b"")],
    ):
        send("PUT", "/containers/victim/archive?path=/", _archive(*members))
    dockerfile = ("Dockerfile", tarfile.REGTYPE, "", b"FROM busybox\nCOPY . /all/\n")
    for members in (
        [("way", tarfile.SYMTYPE, str(canary), b""), ("way/through", tarfile.REGTYPE, "", b"x")],
        [("../" * 20 + str(canary / "up"), tarfile.REGTYPE, "", b"x")],
    ):
        send("POST", "/build?networkmode=none", _archive(dockerfile, *members))
    for link in (str(marker), "../" * 20 + str(marker)):
        answer = send("POST", "/build", _archive(("Dockerfile", tarfile.SYMTYPE, link, b"")))
        assert b"of the host" not in answer
    answer = send("POST", f"/build?dockerfile={'../' * 20}{marker}", _archive(("x", tarfile.REGTYPE, "", b"")))
    assert b"of the host" not in answer
    for path in (str(marker), "way/../../../../.." + str(marker)):
        answer = send("GET", f"/containers/victim/archive?path={path}", b"")
        assert b"of the host" not in answer
    send("PUT", "/containers/victim/archive?path=/", b"\0\1\2" * 5000)
    assert list(canary.iterdir()) == []
    assert marker.read_text() == "of the host"
    assert status(send("DELETE", "/containers/victim?force=1", b"")) == 204
