"""A container with the host's Python that answers on tcp and udp, and how it is asked from the host."""

from __future__ import annotations

import socket

from tests.net.private_network import ECHO_SERVER

#: options of `run` by which a small image has the host's Python
HOST_PYTHON = ("-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro")


def echo_server(*ports: str) -> tuple[str, ...]:
    """The command that answers on "80/tcp", "53/udp", …, and prints "up" when it does."""
    return ("/usr/bin/python3", "-c", ECHO_SERVER, *ports)


def ask_tcp(address: str, port: int) -> bytes:
    """What the server tells of who comes."""
    with socket.create_connection((address, port), timeout=20) as connection:
        return connection.makefile("rb").read()


def ask_udp(address: str, port: int) -> bytes:
    """What the server answers to a question."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect((address, port))
        client.send(b"question")
        return client.recv(100)
