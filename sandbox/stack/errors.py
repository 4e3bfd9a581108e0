"""What is wrong with a Compose file, and where in it."""

from __future__ import annotations

from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.stack.places import Place


class ComposeFileError(SandboxError):
    """A file that says what cannot be. `path` is the value's place in the model, "services.web.ports[1]"."""

    def __init__(self, message: str, *, cause: str = "", mend: str = "", code: str = "", path: str = "") -> None:
        super().__init__(message, cause=cause, mend=mend, code=code)
        self.path = path


def problem(place: Place | None, path: str, what: str, *, cause: str = "", mend: str = "") -> ComposeFileError:
    """An error that says file, line, column and path before `what`."""
    where = ": ".join(part for part in (str(place) if place is not None else "", path) if part)
    return ComposeFileError(f"{where}: {what}" if where else what, cause=cause, mend=mend, path=path)


def unexpected(place: Place | None, path: str, expected: str, found: str) -> ComposeFileError:
    """An error for a value of a kind that does not belong where it stands."""
    return problem(place, path, f"{found} stands where {expected} is expected")


def unknown_key(place: Place | None, path: str, key: str, owner: str, known: Iterable[str]) -> ComposeFileError:
    """An error for a key that `owner` ("a service") does not have, with the nearest of those it has."""
    from sandbox.near_names import nearest

    names = sorted(known)
    near = nearest(key, names)
    return problem(
        place,
        path,
        f"{owner} has no key {key!r}",
        cause=f"its keys are {', '.join(names)}" if not near and len(names) <= 20 else "",
        mend=f"write {near!r}" if near else f"remove it, or name it 'x-{key}' if it is for another program",
    )
