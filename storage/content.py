"""The content store: blobs as received, named by their digest.

    ROOT/sha256/<hex>     whole and verified; never written again
    ROOT/partial/<hex>    a download that stopped or goes on; its writer holds flock on it

A blob appears under its digest by rename, after its bytes were hashed, counted and synced: SIGKILL or power loss
leaves the old state or the new one. A partial outlives its writer so that a later one continues where it ended.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from storage.digests import Digest, digest_hex, digest_of, parse_digest
from storage.errors import StorageError, os_failure
from storage.locks import lock_file, lock_nowait, unlock
from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_READ_SIZE = 1 << 20
_REPAIR = "sandbox system check --repair"


class ContentStore:
    """Blobs below `root_dir`, which is made private to this user."""

    def __init__(self, root_dir: str) -> None:
        self._blobs = f"{root_dir}/sha256"
        self._partials = f"{root_dir}/partial"
        try:
            for directory in (self._blobs, self._partials):
                make_private_directory(directory)
        except OSError as error:
            raise os_failure(f"cannot make the content store {root_dir}", error) from error

    def path(self, digest: Digest) -> str:
        """Where the blob lies or would lie."""
        return f"{self._blobs}/{digest_hex(digest)}"

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there, whole."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Its size in bytes. StorageError where it is missing."""
        try:
            return os.stat(self.path(digest)).st_size
        except OSError as error:
            raise _missing(digest, error) from error

    def open(self, digest: Digest) -> BinaryIO:
        """The blob for reading; the caller closes it. StorageError where it is missing."""
        try:
            return open(self.path(digest), "rb")
        except OSError as error:
            raise _missing(digest, error) from error

    def read(self, digest: Digest, limit: int = 16 << 20) -> bytes:
        """A small blob (manifest, config) in one piece, verified again; StorageError above `limit` bytes or when
        damaged.
        """
        with self.open(digest) as blob:
            data = blob.read(limit + 1)
        if len(data) > limit:
            raise StorageError(f"blob {digest} is larger than {limit} bytes")
        if digest_of(data) != digest:
            raise StorageError(f"blob {digest} is damaged on disk", mend=_REPAIR)
        return data

    def put(self, data: bytes) -> Digest:
        """Store a small blob; its digest. Twice is safe."""
        digest = digest_of(data)
        with self.writer(digest, len(data)) as writer:
            if not writer.done:
                writer.restart()
                writer.append(data)
                writer.commit()
        return digest

    @contextmanager
    def writer(self, digest: Digest, size: int | None) -> Iterator[BlobWriter]:
        """A writer of this blob, which has `size` bytes where that is known. Waits while another process writes the
        same one; then `done` may be true.

        Left without `commit`, what was appended stays as a partial to continue from.
        """
        with BlobWriter(self, digest, size) as writer:
            yield writer

    def put_pieces(self, pieces: Iterable[bytes]) -> tuple[Digest, int]:
        """Store a blob whose digest is known only at its end; the digest and the size. Twice is safe.

        StorageError where it cannot be written, or what `pieces` raises: nothing is left then.
        """
        sha256, size = hashlib.sha256(), 0
        with self.new_blob() as blob:
            for piece in pieces:
                sha256.update(piece)
                size += len(piece)
                view = memoryview(piece)
                while view:
                    view = view[os.write(blob.fd, view) :]
            digest = Digest("sha256:" + sha256.hexdigest())
            blob.commit(digest)
        return digest, size

    @contextmanager
    def new_blob(self) -> Iterator[NewBlob]:
        """A blob whose digest its writer knows at the end. StorageError for every OSError inside.

        Left without `commit`, nothing of it stays.
        """
        try:
            blob = NewBlob(self._blobs, self._partials)
            try:
                yield blob
            finally:
                blob.close()
        except OSError as error:
            raise os_failure("cannot store a blob", error) from error

    def delete(self, digest: Digest) -> None:
        """Remove the blob; missing is fine. Raises StorageError."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise os_failure(f"cannot delete blob {digest}", error) from error

    def digests(self) -> tuple[Digest, ...]:
        """Every whole blob, sorted."""
        return tuple(parse_digest(f"sha256:{name}") for name in sorted(os.listdir(self._blobs)) if len(name) == 64)

    def sweep(self, max_age_seconds: float = 7 * 86400) -> None:
        """Remove partials that nobody writes and nobody touched for `max_age_seconds`."""
        for name in os.listdir(self._partials):
            fd = lock_nowait(f"{self._partials}/{name}")
            if fd is None:
                continue
            # what has no digest for its name is nobody's to continue
            if not name.isalnum() or time.time() - os.fstat(fd).st_mtime >= max_age_seconds:
                os.unlink(f"{self._partials}/{name}")
            unlock(fd)

    def partial_bytes(self) -> int:
        """What blobs take that are not whole, bytes."""
        total = 0
        for entry in os.scandir(self._partials):
            with suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
        return total

    def _partial(self, digest: Digest) -> str:
        return f"{self._partials}/{digest_hex(digest)}"


class BlobWriter:
    """Bytes on their way to become one blob. `offset` is how many are there; `done` that the blob exists already."""

    def __init__(self, store: ContentStore, digest: Digest, size: int | None) -> None:
        self._path, self._partial, self._digest, self._size = store.path(digest), store._partial(digest), digest, size
        self._hash = hashlib.sha256()
        self._fd = -1
        self.offset = 0
        self.done = False

    def __enter__(self) -> BlobWriter:
        try:
            self._fd = lock_file(self._partial)
            self.done = os.path.exists(self._path)
            if self.done:
                self._forget()
            else:
                self._resume()
        except OSError as error:
            self.__exit__()
            raise os_failure(f"cannot store blob {self._digest}", error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._fd >= 0:
            unlock(self._fd)
            self._fd = -1

    def append(self, data: bytes) -> None:
        """Add bytes at `offset`.

        StorageError when the disk is full or the blob grows past its size: the partial is gone then.
        """
        if self._size is not None and self.offset + len(data) > self._size:
            self._forget()
            raise StorageError(f"blob {self._digest} is larger than the {self._size} bytes it was declared with")
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._forget()
            raise os_failure(f"cannot store blob {self._digest}", error) from error
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """Throw away what was appended: the server does not continue where we ended."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.offset = 0

    def commit(self) -> None:
        """Verify size and digest, sync, and make the blob visible. StorageError and no partial when either is wrong.

        An incomplete blob (fewer bytes than declared) keeps its partial: the rest may still come.
        """
        if self._size is not None and self.offset != self._size:
            raise StorageError(f"blob {self._digest} ended after {self.offset} of {self._size} bytes")
        found = Digest("sha256:" + self._hash.hexdigest())
        if found != self._digest:
            self._forget()
            raise StorageError(
                f"blob {self._digest} does not match its digest",
                cause=f"{self.offset} bytes arrived with digest {found}",
            )
        try:
            os.fsync(self._fd)
            os.rename(self._partial, self._path)
            sync_directory(os.path.dirname(self._path))
        except OSError as error:
            self._forget()
            raise os_failure(f"cannot store blob {self._digest}", error) from error
        self.done = True

    def _resume(self) -> None:
        while chunk := os.read(self._fd, _READ_SIZE):
            self._hash.update(chunk)
            self.offset += len(chunk)
        # more than the whole cannot be a start of it, and a complete one that did not pass would never pass
        if self._size is not None and self.offset > self._size:
            self.restart()

    def _forget(self) -> None:
        if os.path.lexists(self._partial):
            os.unlink(self._partial)


class NewBlob:
    """A blob being written to `fd`. It has no name before `commit` where the file system can (O_TMPFILE), so that a
    killed writer leaves nothing; elsewhere one that `ContentStore.sweep` knows.
    """

    def __init__(self, blobs: str, partials: str) -> None:
        self._blobs = blobs
        self._aside = ""
        try:
            self.fd = os.open(partials, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            # EISDIR: a kernel or a file system that does not know the flag
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
            self.fd, self._aside = tempfile.mkstemp(dir=partials, prefix="new-")
            # held, so that `sweep` knows a living writer's from a dead one's
            fcntl.flock(self.fd, fcntl.LOCK_EX)

    def commit(self, digest: Digest) -> None:
        """Sync, and make the blob visible under `digest`, which must be that of all that was written. OSError."""
        os.fsync(self.fd)
        blobs_fd = os.open(self._blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._aside:
                os.rename(self._aside, digest_hex(digest), dst_dir_fd=blobs_fd)
                self._aside = ""
            else:
                # where it is there already it is the same
                with suppress(FileExistsError):
                    os.link(f"/proc/self/fd/{self.fd}", digest_hex(digest), dst_dir_fd=blobs_fd, follow_symlinks=True)
            os.fsync(blobs_fd)
        finally:
            os.close(blobs_fd)

    def close(self) -> None:
        """Let go of it; what was not committed is gone."""
        os.close(self.fd)
        if self._aside:
            os.unlink(self._aside)


def _missing(digest: Digest, error: OSError) -> StorageError:
    failure = os_failure(f"no blob {digest}", error)
    if isinstance(error, FileNotFoundError):
        failure.mend = _REPAIR
    return failure


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
