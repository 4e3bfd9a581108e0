"""The host name of a container, for who starts it and who only looks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container


def hostname_of(container: Container) -> str:
    """The host name inside: as asked for, else the host's own where its network or its name is shared, else the short
    id.
    """
    config = container.config
    if config.hostname:
        return config.hostname
    return os.uname().nodename if "host" in (config.network, config.uts_mode) else container.id[:12]
