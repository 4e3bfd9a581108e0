"""Indexes that are being put together, each in a file of its own until it is pushed or removed.

DATA/manifests/<hex of the name's digest>.json      {"name": …, "entries": [{"reference", "descriptor", "data"}, …]}
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.image.media_types import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST
from storage.digests import digest_of
from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.image.references import Reference
    from sandbox.paths import Paths


class ListEntry(NamedTuple):
    """An image of an index: the name it was added by, its descriptor with its platform, and its manifest."""

    reference: str
    descriptor: dict[str, Any]  # Any: JSON
    data: str


class ManifestList(NamedTuple):
    """An index in the making."""

    name: str
    entries: tuple[ListEntry, ...]

    def document(self) -> dict[str, Any]:
        """The index as it will be pushed: OCI's where every image is, else Docker's."""
        is_oci = all(entry.descriptor["mediaType"] == OCI_MANIFEST for entry in self.entries)
        return {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX if is_oci else DOCKER_INDEX,
            "manifests": [entry.descriptor for entry in self.entries],
        }


def find_list(paths: Paths, reference: Reference) -> ManifestList | None:
    """The index of this name; None where there is none. Raises SandboxError for a file that is damaged."""
    path = _path(paths, reference)
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        entries = tuple(ListEntry(*map(entry.__getitem__, ListEntry._fields)) for entry in document["entries"])
        return ManifestList(str(document["name"]), entries)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        mend = f"sandbox manifest rm {reference.familiar}"
        raise SandboxError(
            f"the manifest list {reference.familiar} cannot be read", cause=str(error), mend=mend
        ) from error


def get_list(paths: Paths, reference: Reference) -> ManifestList:
    """As `find_list`. Raises NotFoundError."""
    found = find_list(paths, reference)
    if found is None:
        raise NotFoundError(
            f"No such manifest: {reference.familiar}", mend=f"sandbox manifest create {reference.familiar} IMAGE"
        )
    return found


def keep_list(paths: Paths, made: ManifestList, reference: Reference) -> None:
    """Write it, whole or not at all. Raises SandboxError."""
    path = _path(paths, reference)
    text = json.dumps({"name": made.name, "entries": [entry._asdict() for entry in made.entries]})
    try:
        make_private_directory(os.path.dirname(path))
        aside = f"{path}.{os.getpid()}"
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(aside, path)
    except OSError as error:
        raise SandboxError(f"cannot keep the manifest list {made.name}", cause=error.strerror or "") from error


def remove_list(paths: Paths, reference: Reference) -> None:
    """Forget it. Raises NotFoundError."""
    try:
        os.unlink(_path(paths, reference))
    except FileNotFoundError:
        raise NotFoundError(f"No such manifest: {reference.familiar}") from None


def with_entries(known: ManifestList, added: Sequence[ListEntry], *, amend: bool, exists: bool) -> ManifestList:
    """With further images, those of the same name anew. Raises ConflictError where one is there that stays as it is."""
    if exists and not amend:
        raise ConflictError(
            "refusing to amend an existing manifest list with no --amend flag",
            mend=f"sandbox manifest create --amend {known.name} …, or sandbox manifest rm {known.name}",
        )
    entries = {entry.reference: entry for entry in (*known.entries, *added)}
    return known._replace(entries=tuple(entries.values()))


def _path(paths: Paths, reference: Reference) -> str:
    return f"{paths.data_root}/manifests/{digest_of(reference.name.encode())[7:]}.json"
