"""The addresses of a private network: slirp4netns' own plan of 10.0.2.0/24."""

from __future__ import annotations

GATEWAY_ADDRESS = "10.0.2.2"
DNS_ADDRESS = "10.0.2.3"
CONTAINER_ADDRESS = "10.0.2.100"
