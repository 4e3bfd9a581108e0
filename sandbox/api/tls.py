"""TLS as Docker's engine has it: clients show a certificate of one's own authority."""

from __future__ import annotations

import os
import socket
import ssl
from typing import NamedTuple

from sandbox.errors import HostError, UsageError

#: Docker's port for TLS
DEFAULT_PORT = 2376


class TlsFiles(NamedTuple):
    """PEM files: of the authority that clients' certificates are of, and the server's own."""

    authority: str
    certificate: str
    key: str


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What connections are taken with; a client without a certificate of the authority's is not. Raises HostError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    for path in files:
        if not os.access(path, os.R_OK):
            cause = "it cannot be read" if os.path.exists(path) else "there is no such file"
            raise HostError(f"cannot use the TLS file {path}", cause=cause, mend=f"ls -l {path}")
    try:
        context.load_verify_locations(files.authority)
    except (ssl.SSLError, OSError) as error:
        raise _unusable(files.authority, error) from error
    try:
        # a key with a passphrase would ask for it at the terminal
        context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
    except (ssl.SSLError, OSError) as error:
        raise _unusable(f"{files.certificate} with {files.key}", error) from error
    return context


def _no_passphrase() -> str:
    raise HostError("the TLS key has a passphrase", mend="openssl pkey -in KEY -out PLAIN_KEY")


def _unusable(what: str, error: Exception) -> HostError:
    reason = getattr(error, "reason", None) or str(error)
    return HostError(f"cannot use the TLS files {what}", cause=str(reason), mend="openssl x509 -noout -text -in FILE")


def read_address(text: str) -> tuple[str, int]:
    """Host and port of "tcp://HOST:PORT"; every part may be absent, the host is 127.0.0.1 then. Raises UsageError."""
    rest = text.removeprefix("tcp://")
    host, colon, port_text = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon:
        host, port_text = host or rest, ""
    host = host.removeprefix("[").removesuffix("]")
    port = int(port_text) if port_text.isascii() and port_text.isdigit() else None if port_text else DEFAULT_PORT
    if port is None or port > 0xFFFF or "/" in host:
        raise UsageError(f"invalid bind address: {text}", mend="-H tcp://127.0.0.1:2376")
    return host or "127.0.0.1", port


def open_tcp_listener(text: str) -> socket.socket:
    """A socket that listens at an address. Raises UsageError, HostError."""
    host, port = read_address(text)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        cause = error.strerror or str(error)
        raise HostError(f"cannot listen at {text}", cause=cause, mend=f"ss -ltnp sport = :{port}") from error
