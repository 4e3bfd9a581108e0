"""Unix sockets with paths of any length.

A socket's path may have 107 bytes, unix(7); a runtime directory and a 64-digit id together may have more. So paths are
given through a descriptor of the directory, which makes them short wherever it lies.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def listen_at(directory: str, name: str) -> socket.socket:
    """A listening socket, mode 0600, close-on-exec; what lay there before is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory_fd)
        # the mode of a socket is that of umask at bind, and between bind and chmod others could connect
        previous = os.umask(0o177)
        try:
            listener.bind(f"/proc/self/fd/{directory_fd}/{name}")
        finally:
            os.umask(previous)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory_fd)
    return listener


def connect_to(directory: str, name: str) -> socket.socket:
    """A connected socket. Raises OSError: FileNotFoundError or ConnectionRefusedError where nobody listens."""
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory_fd}/{name}")
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        os.close(directory_fd)
