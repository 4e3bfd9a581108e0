"""Ports for tests that must name one before anything listens there."""

from __future__ import annotations

import random
import socket


def find_free_port() -> int:
    """A port that nobody has on any address, below those that the kernel gives to connections and to port 0.

    Nothing keeps it free until it is used, but nobody gets it unasked.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_given = int(file.read().split()[0])
    while True:
        port = random.randrange(10_000, max(first_given, 20_000))
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("0.0.0.0", port))
                udp.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
