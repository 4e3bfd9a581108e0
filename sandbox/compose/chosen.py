"""Which of a project's containers a verb is about: of which services, whether they run, and whether `run` made them."""

from __future__ import annotations

from sandbox.errors import NotFoundError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.compose.observe import Observed, ObservedContainer


class Choice(NamedTuple):
    """Which containers: of all services where none is named; without `all` those that run."""

    services: tuple[str, ...] = ()
    all: bool = False
    #: those that `run` made as well
    one_off: bool = False

    def takes(self, container: ObservedContainer) -> bool:
        return (
            (not self.services or container.service in self.services)
            and (self.all or container.is_running)
            and (self.one_off or not container.is_one_off)
        )


def chosen(observed: Observed, choice: Choice) -> list[ObservedContainer]:
    """The containers that the choice means, by name."""
    return sorted(filter(choice.takes, observed.containers), key=lambda container: container.name)


def the_one(observed: Observed, service: str, index: int = 0, *, all: bool = False, one_off: bool = False) -> str:
    """The id of the service's container with the number `index`, or without one of the first; those that `run` made
    come last. Raises NotFoundError in Compose's words.
    """
    choice = Choice((service,), all, one_off)
    found = [each for each in chosen(observed, choice) if index in (0, each.number)]
    if not found:
        which = f" container #{index}" if index else ""
        raise NotFoundError(f'service "{service}" is not running{which}', mend="sandbox compose ps -a")
    return min(found, key=lambda each: (each.is_one_off, each.number, each.container.created_ns)).id
