"""An image archive read once, front to back, so that it may come through a pipe; its members kept in a nameless file.

No member's name ever becomes a path of ours: names are keys of a table, symlinks are looked up in it. The file has no
name, so a killed `load` leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tempfile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sandbox.errors import ImageError, translated
from storage.digests import Digest
from storage.errors import os_failure
from storage.private_directories import make_private_directory
from storage.tar.reader import HARD_LINK, REGULAR, SYMLINK, TarReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.content import ContentStore

_MEMBERS_MAX = 100_000
_LINKS_MAX = 8
_READ_SIZE = 1 << 20


class _Member(NamedTuple):
    offset: int
    size: int


class Spool:
    """The members of an archive; use it in a `with`."""

    def __init__(self, stream: BinaryIO, directory: str, what: str) -> None:
        self._what = what
        self._members: dict[str, _Member] = {}
        self._links: dict[str, str] = {}
        make_private_directory(directory)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  closed by __exit__
        try:
            with translated(ImageError, f"cannot read {what}"):
                self._read(TarReader(stream))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def has(self, name: str) -> bool:
        """Whether there is a file under this name, directly or through links."""
        return self._find(name) is not None

    def read(self, name: str, limit: int) -> bytes:
        """A small member in one piece. Raises ImageError where it is missing or larger than `limit` bytes."""
        member = self._get(name)
        if member.size > limit:
            raise ImageError(f"{self._what}: {name[:200]} is larger than {limit} bytes")
        return os.pread(self._file.fileno(), member.size, member.offset)

    def size(self, name: str) -> int:
        """Of a member, in bytes. Raises ImageError where it is missing."""
        return self._get(name).size

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of a member."""
        member = self._get(name)
        return os.pread(self._file.fileno(), min(count, member.size), member.offset)

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member in pieces."""
        offset, size = self._get(name)
        end = offset + size
        while offset < end and (piece := os.pread(self._file.fileno(), min(_READ_SIZE, end - offset), offset)):
            yield piece
            offset += len(piece)

    def digest(self, name: str) -> Digest:
        """The digest of a member, counted here."""
        sha256 = hashlib.sha256()
        for piece in self.pieces(name):
            sha256.update(piece)
        return Digest("sha256:" + sha256.hexdigest())

    def store(self, name: str, digest: Digest, content: ContentStore) -> None:
        """Bring a member into the content store, which verifies that it is `digest`. Raises ImageError."""
        with (
            translated(ImageError, f"{self._what}: {name[:200]}"),
            content.writer(digest, self.size(name)) as writer,
        ):
            if writer.done:
                return
            # what an earlier attempt left may be another's
            writer.restart()
            for piece in self.pieces(name):
                writer.append(piece)
            writer.commit()

    def _read(self, reader: TarReader) -> None:
        while (entry := reader.next_entry()) is not None:
            if len(self._members) + len(self._links) >= _MEMBERS_MAX:
                raise ImageError(f"{self._what} has more than {_MEMBERS_MAX} members", cause="refused as a bomb")
            name = _clean(entry.name)
            if entry.kind == REGULAR and entry.segments is None:
                self._keep(reader, name, entry.size)
            elif entry.kind in (SYMLINK, HARD_LINK):
                link = os.fsdecode(entry.link_name)
                if entry.kind == SYMLINK:
                    link = posixpath.join(posixpath.dirname(name), link)
                self._links[name] = posixpath.normpath(link)

    def _keep(self, reader: TarReader, name: str, size: int) -> None:
        offset = os.lseek(self._file.fileno(), 0, os.SEEK_END)
        try:
            reader.copy_data(self._file.fileno())
        except OSError as error:
            raise os_failure(f"cannot keep {name[:200]}", error) from error
        self._members[name] = _Member(offset, size)

    def _find(self, name: str) -> _Member | None:
        name = posixpath.normpath(name)
        for _hop in range(_LINKS_MAX):
            if name in self._members:
                return self._members[name]
            if name not in self._links:
                return None
            name = self._links[name]
        return None

    def _get(self, name: str) -> _Member:
        member = self._find(name)
        if member is None:
            raise ImageError(f"{self._what} is damaged: it has no {name[:200]!r}")
        return member


def _clean(name: bytes) -> str:
    return posixpath.normpath(os.fsdecode(name))
