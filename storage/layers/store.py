"""The layer store: each unpacked layer in a directory named by its chain id.

    ROOT/<hex>/diff          the tree, in overlay form
    ROOT/<hex>/owners        owners that the namespace has no number for, where the layer has such (`owner_book`)
    ROOT/<hex>/layer.json    what was unpacked: diff id, size, notes
    ROOT/<hex>/fuse.index    names and attributes of the tree, made by the FUSE overlay when it first mounts it
    ROOT/.stage/<hex>/       a layer being unpacked; its maker holds flock on the directory
    ROOT/.stage/<hex>.gone   a removed layer being deleted
    ROOT/.stage/<hex>.check  a layer unpacked a second time, to be compared

A layer is there whole or not there: it is made in the stage, synced and renamed. The lock is the kernel's, so a stage
whose maker was killed is free for the next maker, or for `sweep`. Everything that removes or unpacks runs as uid 0 of
the mapped user namespace, for the files belong to subordinate ids.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from contextlib import contextmanager, suppress

from storage.digests import Digest, digest_hex, parse_digest
from storage.errors import StorageError, os_failure
from storage.locks import is_unlocked, lock_directory, remove_unlocked, unlock
from storage.owner_book import BOOK_NAME, owner_book_beside
from storage.private_directories import make_private_directory
from storage.syscalls import syncfs
from storage.trees.tree import remove_content, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storage.owner_book import OwnerBook

_HEX_LENGTH = 64
_REPAIR = "sandbox system check --repair"
# linux/fs.h
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_TOPDIR_FL = 0x00020000


def index_path(layer: str) -> str | None:
    """Where the FUSE overlay keeps its index of the layer whose tree is `layer`; None for a tree that is no layer's,
    and may change.
    """
    directory, name = os.path.split(layer)
    return f"{directory}/fuse.index" if name == "diff" and os.path.exists(f"{directory}/layer.json") else None


class LayerStore:
    """Unpacked layers below `root_dir`, which is made private to this user."""

    def __init__(self, root_dir: str) -> None:
        self._root = root_dir
        self._stages = f"{root_dir}/.stage"
        try:
            make_spread_directory(self._stages)
        except OSError as error:
            raise os_failure(f"cannot make the layer store {root_dir}", error) from error

    def path(self, chain_id: Digest) -> str:
        """The layer's tree: a lower directory for a driver."""
        return f"{self._root}/{digest_hex(chain_id)}/diff"

    def trees(self, chain_ids: Sequence[str]) -> list[str]:
        """The tree of each, in the same order. StorageError where somebody has removed one."""
        places = [self.path(parse_digest(chain_id)) for chain_id in chain_ids]
        for chain_id, place in zip(chain_ids, places, strict=True):
            if not os.path.isdir(place):
                raise StorageError(
                    f"layer {chain_id} is not there any more",
                    cause=f"{place} was removed",
                    mend=_REPAIR,
                )
        return places

    def has(self, chain_id: Digest) -> bool:
        """Whether the layer is there, whole."""
        return os.path.isdir(self.path(chain_id))

    def describe(self, chain_id: Digest) -> Mapping[str, object]:
        """What `Stage.commit` was given. StorageError where the layer is missing."""
        try:
            with open(f"{self._root}/{digest_hex(chain_id)}/layer.json", encoding="utf-8") as file:
                described = json.load(file)
        except (OSError, ValueError) as error:
            raise StorageError(f"no layer {chain_id}", cause=str(error), mend=_REPAIR) from error
        if not isinstance(described, dict):
            raise StorageError(f"the description of layer {chain_id} is damaged", mend=_REPAIR)
        return described

    def chain_ids(self) -> tuple[Digest, ...]:
        """Every whole layer, sorted."""
        names = sorted(os.listdir(self._root))
        return tuple(parse_digest(f"sha256:{name}") for name in names if len(name) == _HEX_LENGTH)

    @contextmanager
    def stage(self, chain_id: Digest) -> Iterator[Stage]:
        """A place to unpack this layer. Waits while another process unpacks the same one; then `done` is true.

        Left without `commit`, what was unpacked is removed.
        """
        stage = Stage(f"{self._stages}/{digest_hex(chain_id)}", f"{self._root}/{digest_hex(chain_id)}")
        stage.begin()
        try:
            yield stage
        finally:
            stage.end()

    def remove(self, chain_id: Digest) -> None:
        """Remove the layer; missing is fine. No container may be using it. Raises StorageError."""
        gone = f"{self._stages}/{digest_hex(chain_id)}.gone"
        remove_tree(gone)
        try:
            os.rename(f"{self._root}/{digest_hex(chain_id)}", gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_failure(f"cannot remove layer {chain_id}", error) from error
        remove_tree(gone)

    @contextmanager
    def scratch(self, chain_id: Digest) -> Iterator[int]:
        """A descriptor of an empty directory beside the layer, removed at the end."""
        place = f"{self._stages}/{digest_hex(chain_id)}.check"
        lock_fd = lock_directory(place)
        try:
            remove_content(lock_fd)
            yield lock_fd
        finally:
            try:
                remove_tree(place)
            finally:
                unlock(lock_fd)

    def leftovers(self) -> tuple[str, ...]:
        """What killed processes left in the stage, by name, sorted."""
        return tuple(sorted(name for name in os.listdir(self._stages) if is_unlocked(f"{self._stages}/{name}")))

    def sweep(self) -> None:
        """Remove what killed processes left in the stage; what a living one works on stays."""
        for name in os.listdir(self._stages):
            remove_unlocked(f"{self._stages}/{name}")


class Stage:
    """A layer being made. `fd` is its empty tree; `done` that the layer exists already and there is nothing to do."""

    def __init__(self, place: str, final: str) -> None:
        self._place, self._final = place, final
        self._lock_fd = -1
        self.fd = -1
        self.done = False
        self._committed = False

    def begin(self) -> None:
        """Take the lock, clear what a killed maker left, open the tree. Raises StorageError."""
        try:
            self._lock_fd = lock_directory(self._place)
            self.done = os.path.isdir(self._final)
            if not self.done:
                remove_content(self._lock_fd)
                # 0755: it is the root directory of the container where the archive does not describe one
                os.mkdir("diff", 0o755, dir_fd=self._lock_fd)
                os.chmod("diff", 0o755, dir_fd=self._lock_fd)
                self.fd = os.open("diff", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._lock_fd)
        except OSError as error:
            self.end()
            raise os_failure("cannot prepare a place to unpack the layer", error) from error

    def owners(self) -> OwnerBook:
        """The layer's book of owners; to be closed before `commit`."""
        return owner_book_beside(f"{self._place}/diff")

    def adopt(self, tree: str) -> None:
        """Take the directory `tree`, of the same file system, as the layer's tree in place of the empty one, and the
        book of owners beside it. Raises StorageError.
        """
        try:
            os.rename(tree, "diff", dst_dir_fd=self._lock_fd)
            with suppress(FileNotFoundError):
                os.rename(f"{os.path.dirname(tree)}/{BOOK_NAME}", BOOK_NAME, dst_dir_fd=self._lock_fd)
            os.close(self.fd)
            self.fd = -1
            self.fd = os.open("diff", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._lock_fd)
        except OSError as error:
            raise os_failure("cannot store the layer", error) from error

    def commit(self, description: Mapping[str, object]) -> None:
        """Make the layer visible, synced to disk. StorageError where that fails; nothing is visible then."""
        try:
            self._write_description(json.dumps(description).encode())
            # one syncfs instead of an fsync for each of thousands of files
            syncfs(self._lock_fd)
            os.rename(self._place, self._final)
            parent_fd = os.open(os.path.dirname(self._final), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(parent_fd)
            finally:
                os.close(parent_fd)
        except OSError as error:
            raise os_failure("cannot store the unpacked layer", error) from error
        self.done = self._committed = True

    def end(self) -> None:
        """Remove what was not committed and let go of the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._lock_fd >= 0:
            try:
                # after a commit this name is free, and may be another maker's already
                if not self._committed:
                    remove_tree(self._place)
            finally:
                unlock(self._lock_fd)
                self._lock_fd = -1

    def _write_description(self, data: bytes) -> None:
        fd = os.open("layer.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._lock_fd)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)


def make_spread_directory(directory: str) -> None:
    """Make a private directory, where it is not there yet, of which ext4 places each subdirectory away from the others
    (chattr(1) +T); other file systems know nothing of it. Raises OSError.

    Layers that are made in it at once then do not search the same inode tables, nor those of layers just removed: for a
    while ext4 steps over every inode that was deleted, at each file it makes.
    """
    if os.path.isdir(directory):
        return
    make_private_directory(directory)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = int.from_bytes(fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8)), sys.byteorder)
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, (flags | _FS_TOPDIR_FL).to_bytes(8, sys.byteorder))
    except OSError:
        pass  # a hint, and only to a file system that takes it
    finally:
        os.close(fd)
