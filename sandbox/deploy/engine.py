"""A place where stacks run, as who deploys them sees it."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.deploy.plan import Plan
    from sandbox.deploy.stack_spec import StackSpec
    from sandbox.service.looking import ServiceCount, TaskRow

    #: told what is being done, a line each, as Docker's client says it
    Tell = Callable[[str], None]

    class Engine(Protocol):
        """Each call stands by itself; one that fails half way is finished by planning and applying again."""

        def alone(self, name: str) -> AbstractContextManager[object]:
            """Meanwhile nobody else plans for the stack, or changes it."""
            ...

        def plan(self, stack: StackSpec, *, prunes: bool = False) -> Plan:
            """What would be changed; only reads."""
            ...

        def apply(self, plan: Plan, tell: Tell) -> list[str]:
            """Change it; the ids of the plan's services. Raises SandboxError for a plan with refusals."""
            ...

        def services(self, name: str, filters: Sequence[str] = ()) -> list[ServiceCount]:
            """The services of a stack that pass the filters (id, label, mode, name)."""
            ...

        def tasks(self, name: str, filters: Sequence[str] = ()) -> list[TaskRow]:
            """The tasks of a stack that pass the filters (desired-state, id, name, node)."""
            ...

        def stacks(self) -> list[StackSummary]:
            """All stacks there are, by name."""
            ...

        def remove(self, name: str, tell: Tell) -> Removed:
            """Remove all of a stack."""
            ...

        def logs(self, word: str, selection: LogSelection) -> Iterator[tuple[TaskRow, LogEntry]]:
            """What a service or a task wrote."""
            ...


class StackSummary(NamedTuple):
    name: str
    services: int


class Removed(NamedTuple):
    """How many things of a stack there were, and what of them could not be removed, a sentence each."""

    found: int = 0
    failures: tuple[str, ...] = ()
