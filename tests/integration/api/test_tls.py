"""The API by TCP: to clients with a certificate of one's own authority, and to nobody else."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import docker
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("subids", "overlay", "busybox", "docker", "openssl"), pytest.mark.slow]
_SECONDS = 120
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A directory as Docker's clients want it (ca.pem, cert.pem, key.pem), with server.pem, server.key, and other/
    of another authority.
    """
    _certify(tmp_path)
    (tmp_path / "other").mkdir()
    _certify(tmp_path / "other")
    return tmp_path


def _certify(place: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=place, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        *_KEY,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    for name, subject, use in (("server", "/CN=localhost", "serverAuth"), ("cert", "/CN=client", "clientAuth")):
        (place / "extensions").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={use}\n")
        openssl("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "extensions", "-out", f"{name}.pem")  # fmt: skip
    os.rename(place / "cert.key", place / "key.pem")


@pytest.fixture
def port(sandbox: Sandbox, busybox: str, certificates: Path) -> Iterator[int]:
    """Of a server that listens at 127.0.0.1, and at no unix socket."""
    assert busybox == "busybox"
    words = ("--tlsverify", f"--tlscacert={certificates}/ca.pem", f"--tlscert={certificates}/server.pem",
             f"--tlskey={certificates}/server.key", "-H", "tcp://127.0.0.1:0")  # fmt: skip
    server = sandbox.spawn("api", "serve", *words, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        line = server.stderr.readline().decode()
        assert line.startswith("API listen on 127.0.0.1:"), line
        yield int(line.rpartition(":")[2])
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(_SECONDS) == 0
        assert server.stderr.read() == b""
        server.stderr.close()
        assert server.stdout is not None
        server.stdout.close()


def test_clients_with_a_certificate(sandbox: Sandbox, port: int, certificates: Path) -> None:
    env = {**sandbox.env, "DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_TLS_VERIFY": "1",
           "DOCKER_CERT_PATH": str(certificates), "DOCKER_BUILDKIT": "0"}  # fmt: skip

    def command(*words: str, input: bytes = b"") -> bytes:
        return subprocess.run(
            ["docker", *words], env=env, input=input, capture_output=True, timeout=_SECONDS, check=True
        ).stdout

    # streams both ways, and the end of input by itself
    assert command("run", "-i", "--rm", "--network", "none", "busybox", "cat", input=b"through") == b"through"
    command("run", "-d", "--name", "on", "--network", "none", "busybox", "sleep", "1000")
    assert command("exec", "-i", "on", "wc", "-c", input=b"x" * 3_000_000).split() == [b"3000000"]
    config = docker.tls.TLSConfig(
        client_cert=(f"{certificates}/cert.pem", f"{certificates}/key.pem"), ca_cert=f"{certificates}/ca.pem",
        verify=True,
    )  # fmt: skip
    client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{port}", tls=config, timeout=_SECONDS)
    assert client.containers.get("on").exec_run("echo hi").output == b"hi\n"
    client.containers.get("on").remove(force=True)
    client.close()


def _asked(port: int, context: ssl.SSLContext | None) -> bytes:
    """What comes back; b"" where the connection ends."""
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as plain:
        try:
            connection = plain if context is None else context.wrap_socket(plain)
            connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection.recv(4096)
        except OSError:
            return b""


def test_nobody_else_comes_in(port: int, certificates: Path) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(certificates / "ca.pem")
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    other.check_hostname = False
    other.load_verify_locations(certificates / "ca.pem")
    other.load_cert_chain(certificates / "other/cert.pem", certificates / "other/key.pem")
    assert [_asked(port, context) for context in (None, bare, other)] == [b"", b"", b""]
    other.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    assert _asked(port, other).startswith(b"HTTP/1.1 200 ")


def test_what_is_refused_before_anything_listens(sandbox: Sandbox, certificates: Path) -> None:
    def refused(*words: str) -> str:
        return sandbox.run("api", "serve", *words, status=None).stderr

    tls = ("--tlsverify", f"--tlscacert={certificates}/ca.pem", f"--tlscert={certificates}/server.pem")
    assert "served to clients with certificates alone" in refused("-H", "tcp://127.0.0.1:0")
    assert "--tlsverify" in refused("-H", "tcp://127.0.0.1:0", "--tls")
    assert "no such file" in refused("-H", "tcp://127.0.0.1:0", *tls, "--tlskey=none.pem")
    assert "cannot use the TLS files" in refused(
        "-H", "tcp://127.0.0.1:0", *tls, f"--tlskey={certificates}/other/server.key"
    )
    assert "invalid bind address" in refused("-H", "tcp://127.0.0.1:many", *tls)
    assert "invalid bind address" in refused("-H", "npipe://x")
    assert "no socket was handed over" in refused("-H", "fd://")
