"""What the keeper is told of a container: its places on networks, its names, its rules for the way out. Values only.

A monitor imports this, and not the table that is made of it.
"""

from __future__ import annotations

from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class NamedEndpoint(NamedTuple):
    """A container on one network. Addresses are texts, "" for none; subnets are in the form "172.18.0.0/16"."""

    #: the network's id, and its name, for `web.<network>`
    network: str
    network_name: str
    address4: str = ""
    address6: str = ""
    subnet4: str = ""
    subnet6: str = ""
    #: the first is what the address is called; several containers of a network may have the same one
    names: tuple[str, ...] = ()
    internal: bool = False
    #: the name of the veth's end beside the bridge
    interface: str = ""
    #: of a container of a service: the service's id, and names that all its containers have together, of which those
    #: that serve are answered
    service: str = ""
    service_names: tuple[str, ...] = ()
    serves: bool = True


class ContainerNames(NamedTuple):
    """What the name server knows of one container."""

    #: in the container's order, eth0 first
    endpoints: tuple[NamedEndpoint, ...]
    #: of `--dns`: asked instead of the host's
    servers: tuple[str, ...] = ()
    #: (name, address) that this container alone sees
    own: tuple[tuple[str, str], ...] = ()
    #: texts of `--egress`, of the container and of each of its networks that has any; none is no restriction
    egress: tuple[tuple[str, ...], ...] = ()
    #: (alias, name): what this container alone calls others, of `--link`
    links: tuple[tuple[str, str], ...] = ()


def names_to_plain(names: ContainerNames) -> dict[str, Any]:
    """`names` as objects of JSON."""
    return {
        "endpoints": [endpoint._asdict() for endpoint in names.endpoints],
        "servers": list(names.servers),
        "own": [list(pair) for pair in names.own],
        "egress": [list(texts) for texts in names.egress],
        "links": [list(pair) for pair in names.links],
    }


def names_from_plain(plain: Mapping[str, Any]) -> ContainerNames:
    """What `names_to_plain` made, of any version: fields that are not known are passed over.

    Raises ValueError for objects of another form.
    """
    try:
        return ContainerNames(
            tuple(_endpoint_from_plain(endpoint) for endpoint in plain["endpoints"]),
            _texts(plain.get("servers", ())),
            tuple((str(name), str(address)) for name, address in plain.get("own", ())),
            tuple(_texts(texts) for texts in plain.get("egress", ())),
            tuple((str(alias), str(name)) for alias, name in plain.get("links", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the names of a container: {error}") from error


def _endpoint_from_plain(plain: Mapping[str, Any]) -> NamedEndpoint:
    known = {field: value for field, value in plain.items() if field in NamedEndpoint._fields}
    lists = {field: _texts(known.get(field, ())) for field in ("names", "service_names")}
    return NamedEndpoint(**{**known, **lists})


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ValueError("a text is wanted")
    return tuple(values)
