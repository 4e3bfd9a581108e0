"""What was made through the socket of one command, so that it can be removed at its end, whoever ends.

A row is written in the transaction that makes the object; the name of a session says whose it is, so that the next
command can tell that nobody is left to remove what it made.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress

from sandbox import events
from sandbox.errors import NotFoundError, SandboxError
from sandbox.live_processes import boot_id, is_alive, process_start
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.events import Event
    from sandbox.operation_context import OperationContext

#: what a new object is told by
_MADE = {
    ("service", "create"), ("container", "create"), ("network", "create"), ("volume", "create"),
    ("secret", "create"), ("config", "create"), ("image", "create"), ("image", "import"),
}  # fmt: skip
#: in the order in which they can be removed
_ORDER = ("service", "container", "network", "volume", "secret", "config", "image")


def new_session(pid: int) -> str:
    """The name of a session that lasts as long as that process."""
    return f"{pid}.{process_start(pid)}.{boot_id()}"


@contextmanager
def recorded_in(session: str) -> Iterator[None]:
    """Meanwhile what is made by this process is kept as the session's; nothing is for no session."""
    if not session:
        yield
        return

    def keep(connection: sqlite3.Connection, event: Event) -> None:
        if (event.kind, event.action) in _MADE:
            connection.execute("INSERT INTO api_session VALUES (?, ?, ?)", (session, event.kind, event.actor))

    events.observers.append(keep)
    try:
        yield
    finally:
        events.observers.remove(keep)


def remove_session(context: OperationContext, session: str) -> list[str]:
    """Remove what the session has made; what could not be removed, a sentence each. It is tried once."""
    with open_state(context.paths) as connection:
        rows = connection.execute(
            "SELECT kind, object FROM api_session WHERE session = ? ORDER BY rowid DESC", (session,)
        ).fetchall()
    failures = []
    # the latest first: an image may have been made of another
    for kind, word in sorted(rows, key=lambda row: _ORDER.index(row[0])):
        try:
            with suppress(NotFoundError):
                _remove(context, kind, word)
        except SandboxError as error:
            failures.append(f"{kind} {word}: {error.message}")
    with open_state(context.paths, frees=True) as connection:
        connection.execute("DELETE FROM api_session WHERE session = ?", (session,))
    return failures


def remove_dead_sessions(context: OperationContext) -> None:
    """Remove what is left of sessions whose process is gone."""
    with open_state(context.paths, durable=False) as connection:
        sessions = [row[0] for row in connection.execute("SELECT DISTINCT session FROM api_session").fetchall()]
    for session in sessions:
        pid, start, boot = session.split(".", 2)
        if not is_alive(int(pid), int(start), boot):
            remove_session(context, session)


def _remove(context: OperationContext, kind: str, word: str) -> None:
    if kind == "container":
        from sandbox.container.operations import remove

        remove(context, word, force=True, volumes=True)
    elif kind == "service":
        from sandbox.service.operations import remove as remove_service
        from sandbox.service.removed import wait_for_service

        wait_for_service(context, remove_service(context, word).id)
    elif kind in ("secret", "config"):
        from sandbox.secret.operations import remove as remove_object

        remove_object(context, "secret" if kind == "secret" else "config", word)
    elif kind == "network":
        from sandbox.network.operations import remove as remove_network

        remove_network(context, word)
    elif kind == "volume":
        from sandbox.volume.operations import remove as remove_volume

        remove_volume(context, word)
    else:
        from sandbox.image.deletion import RemoveRequest
        from sandbox.image.operations import remove as remove_image

        remove_image(context, word, RemoveRequest(force=True, prune=False))
