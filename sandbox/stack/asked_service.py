"""One service of a file as it is read for a stack: what goes wrong with it is told with its place."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.errors import ComposeFileError
    from sandbox.stack.model import Service
    from sandbox.stack.project import Project


class AskedService(NamedTuple):
    name: str
    project: Project
    service: Service

    def error(self, key: str, what: str, *, mend: str = "") -> ComposeFileError:
        """An error about one key of the service."""
        path = f"services.{self.name}.{key}"
        return problem(place_of(self.project.places, path), path, what, mend=mend)

    def one_of(self, key: str, value: str, known: tuple[str, ...]) -> str:
        """`value`; the first of those known where nothing was said. Raises ComposeFileError for any other."""
        if value and value not in known:
            raise self.error(key, f"{value!r} is none of {', '.join(known)}")
        return value or known[0]


def scoped(project: Project, name: str) -> str:
    """What something of a stack is called beside it."""
    return f"{project.name}_{name}"
