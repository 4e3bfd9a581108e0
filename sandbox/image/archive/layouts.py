"""OCI image layouts as directories (image-spec image-layout.md): read where they are, nothing followed out of them."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from sandbox.errors import ImageError, translated
from storage.digests import Digest
from storage.trees.resolve import open_in_root

if TYPE_CHECKING:
    from storage.content import ContentStore

_READ_SIZE = 1 << 20
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class LayoutDirectory:
    """The files of a layout, as `spool.Spool` has those of an archive; use it in a `with`. Raises ImageError."""

    def __init__(self, path: str, what: str) -> None:
        self._what = what
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ImageError(f"cannot read {what}", cause=f"{path}: {error.strerror}") from error

    def __enter__(self) -> LayoutDirectory:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)

    def has(self, name: str) -> bool:
        try:
            os.close(open_in_root(self._fd, name, _FILE))
        except OSError:
            return False
        return True

    def size(self, name: str) -> int:
        """Of a file that is there, in bytes. Raises ImageError."""
        fd = self._open(name)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def read(self, name: str, limit: int) -> bytes:
        """A small file in one piece; ImageError where it is missing or larger than `limit` bytes."""
        with os.fdopen(self._open(name), "rb") as file, translated(ImageError, f"{self._what}: {name[:200]}"):
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ImageError(f"{self._what}: {name[:200]} is larger than {limit} bytes")
        return data

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of a file."""
        with os.fdopen(self._open(name), "rb") as file:
            return file.read(count)

    def digest(self, name: str) -> Digest:
        sha256 = hashlib.sha256()
        with os.fdopen(self._open(name), "rb") as file:
            while piece := file.read(_READ_SIZE):
                sha256.update(piece)
        return Digest("sha256:" + sha256.hexdigest())

    def store(self, name: str, digest: Digest, content: ContentStore) -> None:
        """Bring a file into the content store, which verifies that it is `digest`."""
        with (
            os.fdopen(self._open(name), "rb") as file, translated(ImageError, f"{self._what}: {name[:200]}"),
            content.writer(digest, self.size(name)) as writer,
        ):  # fmt: skip
            if writer.done:
                return
            writer.restart()
            while piece := file.read(_READ_SIZE):
                writer.append(piece)
            writer.commit()

    def _open(self, name: str) -> int:
        try:
            return open_in_root(self._fd, name, _FILE)
        except OSError as error:
            raise ImageError(
                f"{self._what} is damaged: it has no {name[:200]!r}", cause=error.strerror or ""
            ) from error
