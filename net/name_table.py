"""Which names and addresses a container may see: those of the networks that it is on. Values only, no I/O."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from net.dns_wire import address_of_pointer
from net.service_names import Found, ServiceNames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from net.names import ContainerNames
    from net.vips import Vip


class NameTable:
    """The names of all containers; each container asks with its own eyes."""

    def __init__(self, *, shuffle: Any = random.shuffle) -> None:
        self._shuffle = shuffle
        self.services = ServiceNames(shuffle=shuffle)
        self._containers: dict[str, ContainerNames] = {}
        self._own: dict[str, dict[str, list[Found]]] = {}
        #: network -> name -> container -> addresses
        self._networks: dict[str, dict[str, dict[str, Found]]] = {}
        #: packed address -> (container, network, name)
        self._addresses: dict[bytes, tuple[str, str, str]] = {}

    def join(self, container: str, names: ContainerNames) -> None:
        """Know `container` by `names` from now on, and by nothing that was said of it before.

        Raises ValueError for an address that is none, and then knows what it knew.
        """
        found = [_found((endpoint.address4, endpoint.address6)) for endpoint in names.endpoints]
        own: dict[str, list[Found]] = {}
        for name, address in names.own:
            own.setdefault(name.lower(), []).append(_found((address,)))
        self.leave(container)
        self._containers[container] = names
        self._own[container] = own
        for endpoint, addresses in zip(names.endpoints, found, strict=True):
            of_network = self._networks.setdefault(endpoint.network, {})
            for name in endpoint.names:
                of_network.setdefault(name.lower(), {})[container] = addresses
            self.services.join(container, endpoint, addresses._replace(is_of_service=True))
            called = f"{endpoint.names[0]}.{endpoint.network_name}" if endpoint.names else ""
            for packed in (*addresses.addresses4, *addresses.addresses6):
                self._addresses[packed] = (container, endpoint.network, called)

    def leave(self, container: str) -> None:
        """Forget a container; one that is not known is no error."""
        names = self._containers.pop(container, None)
        self._own.pop(container, None)
        for endpoint in names.endpoints if names else ():
            of_network = self._networks.get(endpoint.network, {})
            for name in {name.lower() for name in endpoint.names}:
                if container in (of_name := of_network.get(name, {})):
                    del of_name[container]
                    if not of_name:
                        del of_network[name]
            self.services.leave(container, endpoint)
            if not of_network:
                self._networks.pop(endpoint.network, None)
        for address in [address for address, (who, _, _) in self._addresses.items() if who == container]:
            del self._addresses[address]

    def know_vips(self, vips: Sequence[Vip]) -> None:
        """Know these single addresses of services, and no other. One that is no address is passed over."""
        known = []
        for vip in vips:
            with suppress(ValueError):
                known.append((vip, _found((vip.address4,))._replace(is_of_service=True)))
        self.services.know_vips([vip for vip, _ in known], [found for _, found in known])

    def names_of(self, container: str) -> ContainerNames | None:
        """What was said at `join`."""
        return self._containers.get(container)

    def containers(self) -> Iterable[str]:
        """The ids of all that joined."""
        return self._containers.keys()

    def asker_of(self, address: str) -> str | None:
        """The container with that address, an IPv6 one with or without its scope."""
        try:
            known = self._addresses.get(_packed(address.partition("%")[0]))
        except ValueError:
            return None
        return known[0] if known else None

    def lookup(self, asker: str, name: str) -> Found | None:
        """The addresses of `name`, in lower case, as `asker` sees it; None for a name that is none of ours.

        The first of the asker's networks that has the name answers, with all its containers of that name, shuffled.
        """
        names = self._containers.get(asker)
        if names is None:
            return None
        if own := self._own[asker].get(name):
            return self._joined(own)
        called = next((target.lower() for alias, target in names.links if alias.lower() == name), name)
        for endpoint in names.endpoints:
            if (found := self._on(endpoint.network, called)) is not None:
                return found
        head, dot, _ = name.partition(".")
        if not dot:
            return None
        for endpoint in names.endpoints:
            suffix = "." + endpoint.network_name.lower()
            if name.endswith(suffix) and (found := self._on(endpoint.network, name[: -len(suffix)])) is not None:
                return found
        if head != "tasks":
            return None
        # Swarm's name for all tasks of a service, whatever address it has itself
        rest = name[len("tasks.") :]
        for endpoint in names.endpoints:
            if (found := self.services.tasks(endpoint.network, rest)) is not None:
                return found
        return self.lookup(asker, rest)

    def _on(self, network: str, name: str) -> Found | None:
        """Of containers first: a service's name is not to hide one."""
        if of_name := self._networks.get(network, {}).get(name):
            return self._joined(of_name.values())
        return self.services.lookup(network, name)

    def pointer(self, asker: str, name: str) -> str | None:
        """What the address behind `name`, of in-addr.arpa or ip6.arpa, is called on a network of `asker`.

        "" for an address of those networks that nobody has, None for one that is none of theirs.
        """
        address = address_of_pointer(name)
        names = self._containers.get(asker)
        if not address or names is None:
            return None
        packed = _packed(address)
        container, network, called = self._addresses.get(packed, ("", "", ""))
        for endpoint in names.endpoints:
            if container and endpoint.network == network:
                return called
            if _is_within(packed, endpoint.subnet6 if len(packed) == 16 else endpoint.subnet4):
                return ""
        return None

    def _joined(self, found: Iterable[Found]) -> Found:
        several = list(found)
        if len(several) == 1:
            return several[0]
        self._shuffle(several)
        return Found(
            tuple(address for one in several for address in one.addresses4),
            tuple(address for one in several for address in one.addresses6),
        )


def _found(addresses: Iterable[str]) -> Found:
    packed = [_packed(address) for address in addresses if address]
    return Found(
        tuple(address for address in packed if len(address) == 4),
        tuple(address for address in packed if len(address) == 16),
    )


def _packed(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError as error:
        raise ValueError(f"{address!r} is not an address") from error


def _is_within(packed: bytes, subnet: str) -> bool:
    address, slash, prefix = subnet.partition("/")
    if not slash:
        return False
    first, bits = _packed(address), len(packed) * 8 - int(prefix)
    return len(first) == len(packed) and int.from_bytes(first, "big") >> bits == int.from_bytes(packed, "big") >> bits
