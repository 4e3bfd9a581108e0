"""What the server reads itself, in a millisecond and with no process forked for it: containers whose records say how it
is. None where a record has to be mended first, or somebody holds the database: a worker does it then, and may wait.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple
from sandbox.state import DatabaseError, connect_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.container.session.exec_request import ExecRequest
    from sandbox.operation_context import OperationContext

#: containers in one list: more take longer than all who are served may wait
_MOST = 200


class Brief(NamedTuple):
    """What the server must know of a container before it does something with it."""

    id: str
    name: str
    status: str
    exit_code: int
    terminal: bool
    open_stdin: bool
    stdin_once: bool
    #: 0 where it does not run
    monitor_pid: int
    keeps_log: bool


def brief_of(container: Container) -> Brief:
    """What is to be known of a container."""
    config, state = container.config, container.state
    return Brief(
        container.id, container.name, state.status, state.exit_code, config.terminal, config.open_stdin,
        config.stdin_once, state.monitor_pid, config.log.driver != "none",
    )  # fmt: skip


def glance(context: OperationContext, word: str) -> Brief | None:
    """The container that `word` names. Raises NotFoundError."""
    with _opened(context) as connection:
        found = _found(connection, word) if connection is not None else None
        return brief_of(found) if found is not None else None
    return None


def glance_all(context: OperationContext, *, all: bool) -> list[dict[str, Any]] | None:
    """Docker's short documents of the containers that run, or of all."""
    from sandbox.container.life.reconcile import is_stale
    from sandbox.container.model.store import all_containers
    from sandbox.container.view.summaries import summarise

    with _opened(context) as connection:
        if connection is None:
            return None
        containers = all_containers(connection)
        if len(containers) > _MOST or any(is_stale(each.state) for each in containers):
            return None
        shown = [each for each in containers if all or each.state.status in ("running", "paused", "restarting")]
        return summarise(context.paths, shown, with_size=False)
    return None


def make_exec_at_once(context: OperationContext, word: str, request: ExecRequest) -> tuple[str, str] | None:
    """The ids of the exec and of its container. Raises NotFoundError, ConflictError where it does not run."""
    from sandbox.container.model.events import tell_exec_made
    from sandbox.container.session.exec_request import refuse_exec

    with _opened(context) as connection:
        found = _found(connection, word) if connection is not None else None
        if connection is None or found is None:
            return None
        refuse_exec(found)
        return tell_exec_made(connection, found.id, request.arguments), found.id
    return None


@contextmanager
def _opened(context: OperationContext) -> Iterator[sqlite3.Connection | None]:
    """The database; None where that is not to be had at once, or services are to be seen to. A block that meets
    somebody who holds it ends there.
    """
    try:
        connection = connect_state(context.paths, durable=False, patience_seconds=0)
    except HostError:
        yield None
        return
    try:
        due = connection.execute("SELECT 1 FROM service WHERE due_ns > 0 LIMIT 1").fetchone()
        yield connection if due is None else None
    except DatabaseError:
        return
    finally:
        connection.close()


def _found(connection: sqlite3.Connection, word: str) -> Container | None:
    from sandbox.container.life.reconcile import is_stale
    from sandbox.container.model.store import find_container

    found = find_container(connection, word)
    return None if is_stale(found.state) else found
