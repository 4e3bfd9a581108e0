"""A client's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from net.subnets import AskedSubnet
from sandbox.client.filter_texts import filter_texts
from sandbox.client.model import Model
from sandbox.network.create import NetworkRequest
from sandbox.values import EndpointRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.client.calls import Caller
    from sandbox.client.containers import Container, ContainerCollection


class Network(Model):
    """One network. `attrs` is Docker's document of it, as of when it was looked up."""

    def __init__(self, caller: Caller, attrs: dict[str, Any], containers: ContainerCollection) -> None:
        super().__init__(caller, attrs)
        self._containers = containers

    def __repr__(self) -> str:
        return f"<Network: {self.name}>"

    @property
    def name(self) -> str:
        return str(self.attrs["Name"])

    @property
    def containers(self) -> list[Container]:
        """Those that run and are on it, as of the last look."""
        return [self._containers.get(container_id) for container_id in self.attrs["Containers"]]

    def reload(self) -> None:
        """Look `attrs` up anew. Raises NotFound."""
        self.attrs = self._caller.call("network.inspect", self.id)

    def connect(
        self,
        container: Container | str,
        *,
        aliases: Sequence[str] = (),
        links: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        ipv4_address: str = "",
        ipv6_address: str = "",
        driver_opt: Mapping[str, str] | None = None,
        mac_address: str = "",
    ) -> None:
        """Put a container on it, whether it runs or not; `links` has an alias for each name. Raises NotFound,
        InvalidArgument, Conflict where it is there already.
        """
        pairs = dict(links or ()).items()
        request = EndpointRequest(
            self.id, tuple(aliases), tuple((driver_opt or {}).items()),
            tuple(f"{name}:{alias}" for name, alias in pairs), ipv4_address, ipv6_address, mac_address=mac_address,
        )  # fmt: skip
        self._caller.call("network.connect", _word_of(container), request)

    def disconnect(self, container: Container | str, force: bool = False) -> None:
        """Take a container off it, whether it runs or not. Raises NotFound, Conflict where it is not on it."""
        self._caller.call("network.disconnect", _word_of(container), self.id, force=force)

    def remove(self) -> None:
        """Remove the network. Raises Conflict where a container that runs is on it, NotFound."""
        self._caller.call("network.remove", self.id)


def _word_of(container: Container | str) -> str:
    return container if isinstance(container, str) else container.id


class NetworkCollection:
    """The networks of a client: `client.networks`."""

    def __init__(self, caller: Caller, containers: ContainerCollection, created: Callable[[Network], None]) -> None:
        self._caller = caller
        self._containers = containers
        self._created = created

    def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        options: Mapping[str, str] | None = None,
        ipam: Mapping[str, Any] | None = None,
        internal: bool = False,
        labels: Mapping[str, str] | None = None,
        enable_ipv6: bool | None = None,
        attachable: bool = False,
    ) -> Network:
        """Make a network; `ipam` is Docker's document: {"Config": [{"Subnet": …, "IPRange": …, "Gateway": …}]}. Raises
        InvalidArgument; Conflict for a name or a subnet that is taken; NotSupported.
        """
        ipam = ipam or {}
        request = NetworkRequest(
            name, driver, tuple(_subnet(pool) for pool in ipam.get("Config") or ()), None, enable_ipv6, internal,
            attachable, tuple((options or {}).items()), tuple((labels or {}).items()), ipam.get("Driver") or "default",
        )  # fmt: skip
        made = self.get(self._caller.call("network.create", request).id)
        self._created(made)
        return made

    def get(self, network_id: str) -> Network:
        """The network of a name, an id or the begin of one. Raises NotFound."""
        return Network(self._caller, self._caller.call("network.inspect", network_id), self._containers)

    def list(
        self,
        names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        filters: Mapping[str, object] | None = None,
    ) -> list[Network]:
        """The networks that pass the filters (dangling, driver, id, label, name, scope, type), by name. Raises
        InvalidArgument.
        """
        texts = (*(f"name={name}" for name in names or ()), *(f"id={one}" for one in ids or ()), *filter_texts(filters))
        return [self.get(network_id) for network_id in self._caller.call("network.ids", texts)]

    def prune(self, filters: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove the networks that no container is on and that pass the filters (until, label, label!):
        "NetworksDeleted". Raises InvalidArgument.
        """
        return {"NetworksDeleted": list(self._caller.call("network.prune", filter_texts(filters)))}


def _subnet(pool: Mapping[str, Any]) -> AskedSubnet:
    kept = pool.get("AuxiliaryAddresses") or pool.get("AuxAddress") or {}
    return AskedSubnet(
        pool.get("Subnet") or "", pool.get("Gateway") or "", pool.get("IPRange") or "", tuple(kept.items())
    )
