"""A process beside the command that publishes ports: trio's import is the longest step of `run -p`, so it comes first.

    command                              publisher
    fork ─────────────────────────────▶  imports trio
    forks the monitor, creates, …
    request {container, socket, ports} ▶  publishes
           ◀──────── {"ports"} or report  ends

It is forked while the command is small and has one thread, before any database is open.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from sandbox.container.model.documents import from_plain, to_plain
from sandbox.container.model.record import Container
from sandbox.errors import StartError
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.syscalls import PR_SET_PDEATHSIG, prctl
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from sandbox.paths import Paths


class Publisher:
    """The command's side: `publish` once, `close` in any case; the process has ended then."""

    def __init__(self, paths: Paths) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._connection.close()
            _serve(paths, theirs)
        theirs.close()

    def publish(
        self, container: Container, slirp_socket: str, ports: Sequence[PublishedPort]
    ) -> tuple[PublishedPort, ...]:
        """Bind every port, or none; returns them with the host ports they got. Raises StartError."""
        request = {"container": to_plain(container), "socket": slirp_socket, "ports": [list(port) for port in ports]}
        try:
            self._connection.sendall(json.dumps(request).encode())
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it died: the answer says so
        answer = _read_all(self._connection)
        if answer[:1] == b"E":
            raise decode_error(answer)
        if not answer:
            raise StartError("the process that publishes ports died", mend="sandbox doctor")
        return tuple(PublishedPort(*port) for port in json.loads(answer))

    def close(self) -> None:
        """End it and reap it; harmless when called twice."""
        self._connection.close()
        if self._pid:
            # where nothing was published it may still be importing: nobody waits for that
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _serve(paths: Paths, connection: socket.socket) -> NoReturn:
    status = 1
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        from sandbox.container.life.publish import publish_ports  # trio: what this process is for

        text = _read_all(connection)
        if text:
            request = json.loads(text)
            container = from_plain(Container, request["container"])
            ports = [PublishedPort(*port) for port in request["ports"]]
            bound = publish_ports(paths, container, request["socket"], ports)
            connection.sendall(json.dumps([list(port) for port in bound]).encode())
        status = 0
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001  # a process boundary: the command reads it as a report
        connection.sendall(encode_error(error, "publish ports"))
    finally:
        os._exit(status)


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
