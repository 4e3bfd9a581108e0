"""How what `exec -d` has started ended, written down once nobody else is there who would: a program of its own, for the
process that waited is no interpreter (`wait_stub`).
"""

from __future__ import annotations

from sandbox.container.model.events import tell_exec_left
from sandbox.named_tuple import NamedTuple
from sandbox.paths import Paths
from sandbox.state import open_state


class ExecEnd(NamedTuple):
    """Whose end it is, and where that is told."""

    paths: Paths
    container_id: str
    exec_id: str

    def tell(self, code: int | None) -> None:
        """Keep the exit code; or without one, that nobody waits any more. Raises SandboxError, DatabaseError."""
        with open_state(self.paths, durable=False) as connection:
            tell_exec_left(connection, self.container_id, self.exec_id, code)

    def words(self) -> tuple[str, ...]:
        """The command that does so, with the exit code as one more argument; () where no interpreter is known."""
        import json
        import os
        import sys

        import sandbox

        if not sys.executable:
            return ()
        packages = os.path.dirname(os.path.dirname(os.path.abspath(sandbox.__file__)))
        # ASCII, whatever bytes a path has
        roots = (self.paths.data_root, self.paths.runtime_root, self.paths.config_root)
        told = json.dumps([packages, roots, self.container_id, self.exec_id])
        return (sys.executable, "-ISc", _PROGRAM, told)


_PROGRAM = """\
import json, sys
packages, *told = json.loads(sys.argv[1])
sys.path.append(packages)
from sandbox.container.session.exec_end import main
main(*told, int(sys.argv[2]))
"""


def main(roots: tuple[str, str, str], container_id: str, exec_id: str, code: int) -> None:
    """Tell of the end; the container, and all that is known of it, may be gone."""
    from contextlib import suppress

    with suppress(Exception):
        ExecEnd(Paths(*roots), container_id, exec_id).tell(code)
