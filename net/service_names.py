"""The names of services: those that several containers have together, and only those of them that serve. No I/O."""

from __future__ import annotations

import random

from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from net.names import NamedEndpoint
    from net.vips import Vip


class Found(NamedTuple):
    """The packed addresses of a name, of 4 and of 16 octets; either may be empty, for the name is known."""

    addresses4: tuple[bytes, ...] = ()
    addresses6: tuple[bytes, ...] = ()
    #: of a service: others may be its containers in a moment
    is_of_service: bool = False


class _Task(NamedTuple):
    """One container of a service, on one network."""

    service: str
    found: Found
    #: as text, for rules
    address4: str
    serves: bool


class ServiceNames:
    """What is said of services on all networks."""

    def __init__(self, *, shuffle: Any = random.shuffle) -> None:
        self._shuffle = shuffle
        #: (network, name) -> container -> its place there
        self._tasks: dict[tuple[str, str], dict[str, _Task]] = {}
        #: (network, name) -> the one address
        self._vips: dict[tuple[str, str], Found] = {}
        self._known: tuple[Vip, ...] = ()

    def join(self, container: str, endpoint: NamedEndpoint, found: Found) -> None:
        """Know a container on one network by the names of its service; of another container nothing is known."""
        if not endpoint.service:
            return
        task = _Task(endpoint.service, found, endpoint.address4, endpoint.serves)
        for name in endpoint.service_names:
            self._tasks.setdefault((endpoint.network, name.lower()), {})[container] = task

    def leave(self, container: str, endpoint: NamedEndpoint) -> None:
        """Forget it there; one that is not known is no error."""
        for name in endpoint.service_names:
            key = endpoint.network, name.lower()
            if container in (tasks := self._tasks.get(key, {})):
                del tasks[container]
                if not tasks:
                    del self._tasks[key]

    def know_vips(self, vips: Sequence[Vip], found: Sequence[Found]) -> None:
        """Know these single addresses of services, and no other; `found` has each as it is answered."""
        self._known = tuple(vips)
        self._vips = {
            (vip.network, name.lower()): one for vip, one in zip(vips, found, strict=True) for name in vip.names
        }

    def lookup(self, network: str, name: str) -> Found | None:
        """The service's address, or those of its containers that serve; None for a name that is no service's there."""
        vip = self._vips.get((network, name))
        return vip if vip is not None else self.tasks(network, name)

    def tasks(self, network: str, name: str) -> Found | None:
        """The addresses of the containers that serve, shuffled; None for a name that is no service's there."""
        tasks = self._tasks.get((network, name))
        if tasks is None:
            # there may be some in a moment: it is no name of the world's meanwhile
            vip = self._vips.get((network, name))
            return vip._replace(addresses4=(), addresses6=()) if vip is not None else None
        several = [task.found for task in tasks.values() if task.serves]
        self._shuffle(several)
        first = next(iter(tasks.values())).found
        return first._replace(
            addresses4=tuple(address for one in several for address in one.addresses4),
            addresses6=tuple(address for one in several for address in one.addresses6),
        )

    def members(self) -> dict[str, tuple[str, ...]]:
        """Each single address, with the addresses of the containers that it leads to."""
        return {vip.address4: tuple(sorted(self._serving(vip))) for vip in self._known}

    def networks(self) -> dict[str, set[str]]:
        """The single addresses on each network."""
        found: dict[str, set[str]] = {}
        for vip in self._known:
            found.setdefault(vip.network, set()).add(vip.address4)
        return found

    def _serving(self, vip: Vip) -> Iterator[str]:
        seen: set[str] = set()
        for name in vip.names:
            for container, task in self._tasks.get((vip.network, name.lower()), {}).items():
                if container not in seen and task.service == vip.service and task.serves and task.address4:
                    seen.add(container)
                    yield task.address4
