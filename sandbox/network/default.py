"""What a container gets that asks for no network: the bridge `bridge`, where this host can have one."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from net.programs import find_program
from net.tun import TUN_DEVICE
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.paths import Paths

#: whether a container without `--network` is put on the bridge
BRIDGE_IS_DEFAULT = True
#: in DATA/router, when no router could be made; what was missing may have been installed after so long
_REFUSED = "refused"
_REFUSED_SECONDS = 300.0


def default_network(paths: Paths) -> str:
    """The network in the record of a container that is made now and asked for none: "bridge", or "default", which is a
    slirp4netns of its own.

    A bridge takes a way out, and what only the making of a router shows; `note_refusal` has that remembered.
    """
    if not BRIDGE_IS_DEFAULT or _was_refused(paths):
        return "default"
    has_way_out = os.access(TUN_DEVICE, os.R_OK | os.W_OK) and find_program("slirp4netns") is not None
    return "bridge" if has_way_out else "default"


def with_default_network(paths: Paths, config: ContainerConfig) -> ContainerConfig:
    """The configuration of a container that is made now, with its network settled where it asked for none."""
    if config.network != "default" or default_network(paths) == "default":
        return config
    return config._replace(network="bridge", endpoints=(EndpointRequest("bridge", config.network_aliases),))


def note_refusal(paths: Paths) -> None:
    """No router can be made on this host: for a while it is not tried where nobody asked for one."""
    with suppress(OSError):
        os.close(os.open(f"{paths.router}/{_REFUSED}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(f"{paths.router}/{_REFUSED}")


def _was_refused(paths: Paths) -> bool:
    try:
        noted = os.stat(f"{paths.router}/{_REFUSED}").st_mtime
    except OSError:
        return False
    # a clock that was set back is no reason for ever
    return abs(time.time() - noted) < _REFUSED_SECONDS
