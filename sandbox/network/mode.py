"""What kind of network the word in a container's record is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Mode = Literal["bridge", "private", "host", "none", "join"]


def network_mode(network: str) -> Mode:
    """The kind of a record's network: one of the user's networks, one of its own behind slirp4netns, the host's, none,
    or another container's.
    """
    if network == "default":
        return default_mode()
    if network in ("slirp4netns", "pasta"):
        return "private"
    if network == "host":
        return "host"
    if network == "none":
        return "none"
    return "join" if network.startswith("container:") else "bridge"


def default_mode() -> Mode:
    """What a container has that was given no network."""
    return "private"


def uses_bridge(network: str) -> bool:
    return network_mode(network) == "bridge"


def is_private(network: str) -> bool:
    """Whether the container has a way out of its own, through slirp4netns or pasta."""
    return network_mode(network) == "private"
