"""The addresses by which services are reached inside their networks: one for all members, which the router spreads.

    client ─▶ 172.18.0.9 (of the bridge, /32) ─ dnat: the next of the members' addresses ─▶ member
                                              ─ snat: 172.18.0.9, or the answer would not come back by here

A file says which there are; who the members are is what their monitors tell. Values and texts, no I/O but of the file.
"""

from __future__ import annotations

import json
import os

from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: the table of the rules; the set of the router's own table that keeps such packets from being passed by untracked
TABLE, TRACKED = "sandbox_services", "inet sandbox_router sandbox_vips"


class Vip(NamedTuple):
    """One service on one network: its address there, and its names."""

    service: str
    #: the network's id
    network: str
    address4: str
    names: tuple[str, ...]


def write_vips(path: str, vips: Sequence[Vip]) -> bool:
    """Have the file say this, by rename; False where it says so already. Raises OSError."""
    text = json.dumps(sorted(vips))
    try:
        with open(path) as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        if not vips:
            return False
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.rename(f"{path}.new", path)
    return True


def read_vips(path: str) -> tuple[Vip, ...]:
    """What the file says; nothing where there is none, or it makes no sense."""
    try:
        with open(path) as file:
            rows = json.load(file)
        return tuple(Vip(str(a), str(b), str(c), tuple(str(name) for name in names)) for a, b, c, names in rows)
    except (OSError, ValueError, TypeError):
        return ()


def vip_rules(members: Mapping[str, Sequence[str]]) -> str:
    """The commands of nft that make it so, in one transaction: each address, and the members that it leads to.

    One without members is the router's own, where nobody listens: a connection is refused.
    """
    lines = [f"table ip {TABLE}", f"delete table ip {TABLE}", f"flush set {TRACKED}"]
    if members:
        lines.append(f"add element {TRACKED} {{ {', '.join(members)} }}")
    leads = [f"ip daddr {vip} dnat to {_spread(to)}" for vip, to in members.items() if to]
    backs = [f"ct original ip daddr {vip} snat to {vip}" for vip, to in members.items() if to]
    if leads:
        lines += [
            f"table ip {TABLE} {{",
            "chain sandbox_vips { type nat hook prerouting priority -100; policy accept;", *leads, "}",
            "chain sandbox_members { type nat hook postrouting priority 100; policy accept;", *backs, "}",
            "}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _spread(to: Sequence[str]) -> str:
    if len(to) == 1:
        return to[0]
    pairs = ", ".join(f"{number} : {address}" for number, address in enumerate(to))
    return f"numgen inc mod {len(to)} map {{ {pairs} }}"
