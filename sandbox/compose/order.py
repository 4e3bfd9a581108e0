"""Which service depends on which, by a file and, of what no file has, by the labels of containers. Pure."""

from __future__ import annotations

from sandbox.compose.names import DEPENDS_ON
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sandbox.compose.observe import ObservedContainer
    from sandbox.stack.project import Project


class Dependence(NamedTuple):
    """One service that another waits for."""

    service: str
    condition: str = "service_started"
    #: whether the other one is restarted with it
    restart: bool = False
    required: bool = True


def dependences(project: Project | None, containers: Iterable[ObservedContainer]) -> dict[str, tuple[Dependence, ...]]:
    """For each service what it depends on."""
    found: dict[str, tuple[Dependence, ...]] = {}
    for each in containers:
        found.setdefault(each.service, tuple(_labelled(each.labels.get(DEPENDS_ON, ""))))
    for name, service in project.all_services if project is not None else ():
        found[name] = tuple(
            Dependence(other, each.condition, each.restart, each.required) for other, each in service.depends_on
        )
    return found


def _labelled(text: str) -> Iterable[Dependence]:
    for part in text.split(","):
        service, _, rest = part.partition(":")
        condition, _, restart = rest.partition(":")
        if service:
            yield Dependence(service, condition or "service_started", restart == "true")


def with_dependents(names: Iterable[str], graph: Mapping[str, tuple[Dependence, ...]]) -> tuple[str, ...]:
    """`names` and all that depend on one of them."""
    found = dict.fromkeys(names)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for other, needed in graph.items():
            if other not in found and any(each.service == name for each in needed):
                found[other] = None
                waiting.append(other)
    return tuple(found)


def in_order_of(names: Collection[str], graph: Mapping[str, tuple[Dependence, ...]]) -> tuple[str, ...]:
    """`names`, each behind those it depends on; what labels say in a circle comes in any order."""
    found: dict[str, None] = {}
    begun: set[str] = set()
    waiting = [(name, False) for name in sorted(names, reverse=True)]
    while waiting:
        name, is_ready = waiting.pop()
        if is_ready:
            found[name] = None
        elif name not in begun:
            begun.add(name)
            waiting.append((name, True))
            waiting += [(each.service, False) for each in graph.get(name, ())]
    return tuple(name for name in found if name in names)
