"""Where a monitor finds the router and its keeper: had at its birth, so that what leads out comes up meanwhile.

A keeper that a monitor starts then is in none of the groups by which the container's limits are held.
"""

from __future__ import annotations

from functools import partial

from net.keeper_client import KeeperClient
from net.router_link import RouterLink
from sandbox.errors import HostError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.network.places import vips_path
from sandbox.runtime.own_process import become_own_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.keeper_birth import KeeperStart
    from sandbox.paths import Paths


class Place(NamedTuple):
    """The router as one monitor has it."""

    #: its network namespace, which stays open to the monitor's end
    router_fd: int
    #: of the records of who holds it: its lock is taken while bridges come and go
    lock_directory: str
    #: connected; whether what leads out serves is asked later
    keeper: KeeperClient
    #: of the slirp4netns that leads out
    api_socket: str


def open_place(paths: Paths, container_id: str, router_fd: int) -> Place:
    """Find the keeper of the router, or start it, without waiting for it. Raises HostError."""
    # the mounts are the container's, which a keeper is not to hold
    link = RouterLink(
        router_fd, paths.runtime_root, private_mounts=paths.container_runtime(container_id),
        label=paths.runtime_prefix, vips=vips_path(paths),
    )  # fmt: skip
    keeper = KeeperClient(link, become_own_process, renew=partial(_renew, paths.cache), is_starting=True)
    with translated(HostError, "cannot reach the keeper of bridge networks"):
        keeper.open()
    return Place(router_fd, paths.router, keeper, link.api_socket)


def _renew(cache: str, start: KeeperStart, title: str) -> None:
    from sandbox.network.keeper_renewal import renew_keeper  # the keeper alone is in need of it

    renew_keeper(cache, start, title)
