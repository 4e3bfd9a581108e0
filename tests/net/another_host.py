"""A host of the tests' own: a network namespace with one address beside the loopback's, and nothing behind it.

`python -m tests.net.another_host DIRECTORY`, in a new user and network namespace, publishes a port of a private network
there, asks at the address by udp, and prints that address and what came back.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from net.host_ports import outgoing_address
from net.ports import PortMapping
from tests.net.private_network import private_network

#: documentation space, RFC 5737
ADDRESS = "198.51.100.7"


def main(directory: str) -> None:
    """Publish and ask."""
    for words in (("address", "add", ADDRESS, "dev", "lo"), ("link", "set", "lo", "up"),
                  ("route", "add", "default", "dev", "lo", "src", ADDRESS)):  # fmt: skip
        subprocess.run(["ip", *words], check=True)
    address = outgoing_address()
    assert address is not None
    with (
        private_network(Path(directory)) as network, network.echo_server("53/udp"),
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):  # fmt: skip
        (bound,) = network.publish(PortMapping("", 0, 53, "udp"))
        client.settimeout(10)
        client.sendto(b"question", (address, bound.host_port))
        data, sender = client.recvfrom(100)
        assert sender == (address, bound.host_port)
        print(address, data.decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
