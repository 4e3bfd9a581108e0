"""`rmi`: a name is taken from an image, and the image goes with the last one; Docker's rules and words.

a name                                       an ID, or the beginning of one
the only one, and a container has the        several names: refused but by force
  image: refused but by force                names of one repository: they go
it goes, and with a repository's last tag          │
  its digests there                                │
  │ others are left: done                          │
  └───────────────┬────────────────────────────────┘
                  ▼
images made of it, or a container that runs: refused; after a name has gone, left without one instead
other names, or a container that does not run: refused but by force
the image goes, and with it the parents that have no name, no container and no other image made of them
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import ConflictError
from sandbox.image.copies import keep_image_copies
from sandbox.image.events import emit_untagged
from sandbox.image.platforms import require_platform
from sandbox.image.references import is_digest, is_identifier, parse_reference
from sandbox.image.removal import Removed, collect_garbage, forget_image
from sandbox.image.store import children_of, digests_of, get_image, load_image, names_of, parent_of
from sandbox.state import open_state
from sandbox.transactions import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths

_RUNNING = frozenset({"running", "paused", "restarting"})


class RemoveRequest(NamedTuple):
    """How an image is removed: `prune` takes its nameless parents too, and with a platform it must be for that."""

    force: bool = False
    prune: bool = True
    platform: str = ""


class _User(NamedTuple):
    """A container that was made from an image."""

    id: str
    running: bool


class _Conflict(NamedTuple):
    """What stands against removing an image; `used` says that a container does."""

    error: ConflictError
    used: bool = False


def remove_image(paths: Paths, text: str, request: RemoveRequest = RemoveRequest()) -> Removed:  # noqa: B008  a value
    """Remove the name `text`, and the image with its last name; an ID removes the image with all its names.

    Raises NotFoundError, and ConflictError where something stands against it.
    """
    with open_state(paths, frees=True) as connection:
        with transaction(connection):
            removal = _Removal(connection, text, request)
            removal.run()
        keep_image_copies(connection)
        removed = Removed(tuple(removal.untagged), tuple(removal.deleted))
        if not removed.deleted:
            return removed
        return removed._replace(deleted=(*removed.deleted, *collect_garbage(paths, connection)))


class _Removal:
    """One removal, within a transaction."""

    def __init__(self, connection: sqlite3.Connection, text: str, request: RemoveRequest) -> None:
        self._connection, self._text, self._request = connection, text, request
        self.untagged: list[str] = []
        self.deleted: list[str] = []

    def run(self) -> None:
        image = get_image(self._connection, self._text)
        require_platform(image.platform, self._request.platform, self._text)
        named = _as_name(self._text, image)
        references = self._references(image.id)
        if named is None:
            if _is_single(references):
                self._refuse(self._conflict(image, force=self._request.force, ignore_names=True))
                self._untag(image.id, references)
        else:
            if not self._request.force and _is_single(references):
                self._refuse_used(image)
            self._untag(image.id, [named, *_digests_with(named, references)])
            if self._references(image.id):
                return
        self._delete(image, force=self._request.force, quiet=named is not None)

    def _delete(self, image: ImageRecord, *, force: bool, quiet: bool) -> None:
        """With `quiet` what stands against it is no error, but of an image that nobody would find again."""
        while True:
            conflict = self._conflict(image, force=force)
            if conflict is not None:
                dangling = not self._references(image.id) and not children_of(self._connection, image.id)
                if not quiet or (dangling and not conflict.used):
                    raise conflict.error
                return
            parent_id = parent_of(self._connection, image.id)
            self._untag(image.id, self._references(image.id))
            forget_image(self._connection, image.id)
            self.deleted.append(image.id)
            parent = load_image(self._connection, parent_id) if parent_id and self._request.prune else None
            if parent is None:
                return
            image, force, quiet = parent, False, True

    def _references(self, image_id: str) -> list[Reference]:
        return [*names_of(self._connection, image_id), *digests_of(self._connection, image_id)]

    def _untag(self, image_id: str, references: Sequence[Reference]) -> None:
        emit_untagged(self._connection, image_id, len(references))
        for reference in references:
            if reference.digest:
                self._connection.execute(
                    "DELETE FROM image_digest WHERE image_id = ? AND repository = ? AND digest = ?",
                    (image_id, reference.repository, reference.digest),
                )
            else:
                self._connection.execute("DELETE FROM image_name WHERE name = ?", (reference.name,))
            self.untagged.append(reference.familiar)

    def _refuse(self, conflict: _Conflict | None) -> None:
        if conflict is not None:
            raise conflict.error

    def _refuse_used(self, image: ImageRecord) -> None:
        for user in _users(self._connection, image.id)[:1]:
            raise ConflictError(
                f'conflict: unable to remove repository reference "{self._text}" (must force) - container '
                f"{user.id[:12]} is using its referenced image {image.id[7:19]}",
                mend=f"sandbox rm {user.id[:12]}, or sandbox rmi -f {self._text}",
            )

    def _conflict(self, image: ImageRecord, *, force: bool, ignore_names: bool = False) -> _Conflict | None:
        short = image.id[7:19]
        children = children_of(self._connection, image.id)
        if children:
            return _Conflict(
                _conflict_error(short, "image has dependent child images", "be", f"sandbox rmi {children[0][7:19]}")
            )
        users = _users(self._connection, image.id)
        for user in users:
            if user.running:
                why = f"image is being used by running container {user.id[:12]}"
                return _Conflict(_conflict_error(short, why, "be", f"sandbox rm -f {user.id[:12]}"), used=True)
        if force:
            return None
        references = [] if ignore_names else self._references(image.id)
        if references:
            names = " ".join(reference.familiar for reference in references if not reference.digest)
            error = _conflict_error(short, "image is referenced in multiple repositories", "", f"sandbox rmi {names}")
            error.cause = names.replace(" ", ", ")
            return _Conflict(error)
        for user in users:
            why = f"image is being used by stopped container {user.id[:12]}"
            mend = f"sandbox rm {user.id[:12]}, or sandbox rmi -f {short}"
            return _Conflict(_conflict_error(short, why, "", mend), used=True)
        return None


def _conflict_error(short: str, why: str, be: str, mend: str) -> ConflictError:
    force = "cannot be forced" if be else "must be forced"
    return ConflictError(f"conflict: unable to delete {short} ({force}) - {why}", mend=mend)


def _as_name(text: str, image: ImageRecord) -> Reference | None:
    """The reference by which the image was found; None where it was found by its ID."""
    if is_identifier(text) or is_digest(text) or image.name == image.id:
        return None
    reference = parse_reference(text)
    return reference if reference.digest else parse_reference(reference.name)


def _digests_with(named: Reference, references: Sequence[Reference]) -> list[Reference]:
    """The references by digest that go with the name: those of its repository, where it was the last tag there."""
    same = [other for other in references if other != named and other.repository == named.repository]
    if named.digest or any(not other.digest for other in same):
        return []
    return same


def _is_single(references: Sequence[Reference]) -> bool:
    """Whether they are one tag at the most, with the digests of its repository."""
    tags = [reference for reference in references if not reference.digest]
    return len(tags) <= 1 and len({reference.repository for reference in references}) <= 1


def _users(connection: sqlite3.Connection, image_id: str) -> list[_User]:
    rows = connection.execute("SELECT id, state FROM container WHERE image_id = ? ORDER BY created_ns", (image_id,))
    users = []
    for container_id, state in rows:
        found = json.loads(state)
        users.append(_User(container_id, isinstance(found, dict) and found.get("status") in _RUNNING))
    return users
