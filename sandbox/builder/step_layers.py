"""Layers in the making: a step's overlay, its upper directory as a layer, and the cache of what steps gave.

    DATA/build/<name>/            one build at work; it holds flock on the directory, so `sweep` finds dead ones
      N/{upper,work,root,…}       one step; its upper directory is renamed into the layer store, never unpacked again

Runs as root of the outer user namespace in a mount namespace of its own: mounts go with the process.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.builder.cache.step_cache import BuildLayer, StepCache
from sandbox.builder.image_state import now
from sandbox.errors import ImageError, translated
from sandbox.image.recording import content_store
from storage.digests import Digest, chain_ids, parse_digest
from storage.drivers import driver_named
from storage.layers.store import LayerStore, make_spread_directory
from storage.locks import lock_directory, remove_unlocked, unlock
from storage.owner_book import owner_book_beside, owner_book_of
from storage.tar.diff import write_layer
from storage.trees.copy_tree import copy_metadata, copy_tree
from storage.trees.resolve import mkdir_in_root
from storage.trees.times import clamp_times
from storage.trees.tree import remove_tree
from storage.true_owners import KnownOwners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandbox.paths import Paths
    from storage.overlay.driver import RootMount
    from storage.owner_book import OwnerBook
    from storage.true_owners import TrueOwners

_MAKE_FILE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
#: places a container's own mounts need; the lowest layer of every step has them, so that no step seems to make them
MOUNT_POINTS = (
    ("proc", True), ("sys", True), ("dev", True),
    ("etc/hosts", False), ("etc/hostname", False), ("etc/resolv.conf", False),
)  # fmt: skip


class Workshop:
    """Where one build makes its layers. `close` removes all that was not committed.

    With `epoch` no file of a new layer has a later modification time (`rewrite-timestamp`).
    """

    #: whether a step can be made here
    makes = True

    def __init__(self, paths: Paths, driver: str, epoch: int | None = None) -> None:
        self._paths = paths
        self.epoch = epoch
        base = sweep(paths)
        self.directory = tempfile.mkdtemp(dir=base)
        self._lock_fd = lock_directory(self.directory)
        self.layers = LayerStore(paths.layers)
        self.content = content_store(paths)
        self._driver = driver_named(driver)
        self._steps = 0
        self.cache = StepCache(paths, self.layers, self.content)

    def close(self) -> None:
        self.cache.close()
        try:
            remove_tree(self.directory)
        finally:
            unlock(self._lock_fd)

    def new_directory(self) -> str:
        """An empty directory of this build."""
        self._steps += 1
        directory = f"{self.directory}/{self._steps}"
        os.mkdir(directory, 0o700)
        return directory

    @contextmanager
    def mounted(
        self, layers: Sequence[BuildLayer], points: Sequence[tuple[str, bool]] | None = None, *, empty: bool = False
    ) -> Iterator[MountedStep]:
        """The merged tree of `layers`, to be changed; unmounted at the end, and removed unless it was committed.

        With `points` it is for a command: the places that its container mounts over are there without being part of
        what changes; these (path, whether a directory) and those every container has. With `empty` only the root
        directory is taken of the layers: its owner and mode.
        """
        directory = self.new_directory()
        root = f"{directory}/root"
        os.mkdir(root, 0o755)
        with translated(ImageError, "cannot mount the layers below this step"):
            lowers = self.layers.trees([layer.chain_id for layer in layers])
            self._driver.prepare(directory)
            if not lowers:
                # the root directory takes after this one
                lowers = [f"{directory}/empty"]
            _copy_root(lowers[-1], f"{directory}/upper")
            if empty:
                lowers = [f"{directory}/empty"]
            if points is not None:
                lowers = [_make_points(f"{directory}/points", points), *lowers]
            mounted = self._driver.mount_root(lowers, directory, root)
            mounted.wait_ready()
        step = MountedStep(directory, mounted, partial(self._driver.true_owners, lowers, directory))
        try:
            yield step
        finally:
            step.unmount()
            remove_tree(directory)

    @contextmanager
    def overlaid(self, tree: str) -> Iterator[str]:
        """A directory under an overlay of its own, so that what is changed there is lost. StorageError where its file
        system cannot be a lower layer.
        """
        directory = self.new_directory()
        root = f"{directory}/root"
        os.mkdir(root, 0o755)
        try:
            self._driver.prepare(directory)
            mounted = self._driver.mount_root([tree], directory, root)
            try:
                mounted.wait_ready()
                yield root
            finally:
                mounted.unmount()
        finally:
            remove_tree(directory)

    def commit(self, step: MountedStep, below: Sequence[BuildLayer]) -> BuildLayer:
        """The layer that the step's changes are, stored whole. Raises ImageError."""
        if lost := step.unmount():
            raise ImageError(
                "what the step wrote may not be all there: its file system's server (FUSE) ended early", cause=lost,
                mend="build again",
            )  # fmt: skip
        return self.keep(step.directory, step.true_owners, below)

    def keep(self, directory: str, true_owners: Callable[[], TrueOwners], below: Sequence[BuildLayer]) -> BuildLayer:
        """The layer that the tree `directory`/upper is, which goes into the store. Raises ImageError."""
        upper = f"{directory}/upper"
        with translated(ImageError, "cannot store the layer"):
            upper_fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if self.epoch is not None:
                    clamp_times(upper_fd, self.epoch * 10**9)
                with (
                    self.content.new_blob() as archive,
                    true_owners() as owners,
                    closing(owner_book_beside(upper)) as book,
                ):
                    diff = write_layer(upper_fd, archive.fd, KnownOwners(owners, book))
                    archive.commit(diff.diff_id)
            finally:
                os.close(upper_fd)
            chain_id = _next_chain(below, diff.diff_id)
            with self.layers.stage(chain_id) as stage:
                if not stage.done:
                    stage.adopt(upper)
                    stage.commit({
                        "diff_id": diff.diff_id, "size_bytes": diff.size_bytes, "entries": diff.entries,
                        "notes": diff.notes,
                    })  # fmt: skip
        return BuildLayer(chain_id, diff.diff_id, _descriptor(diff.diff_id, diff.archive_bytes), now())

    def place(self, layer: BuildLayer, below: Sequence[BuildLayer]) -> BuildLayer:
        """A linked layer over other layers than those it was made over: stored once more, under its new chain id."""
        chain_id = _next_chain(below, parse_digest(layer.diff_id))
        known = parse_digest(layer.chain_id)
        with translated(ImageError, "cannot store the layer"), self.layers.stage(chain_id) as stage:
            if not stage.done:
                source_fd = os.open(self.layers.path(known), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    copy_tree(source_fd, stage.fd)
                    with closing(owner_book_of(source_fd)) as known_owners, closing(stage.owners()) as owners:
                        for path, true in known_owners.entries():
                            owners.note(path, true)
                finally:
                    os.close(source_fd)
                stage.commit(self.layers.describe(known))
        return layer._replace(chain_id=chain_id)


class NotCachedError(Exception):
    """A step must be made, and this process makes none."""


class StoredSteps(Workshop):
    """Finds what earlier builds made, with no namespace and no place of its own; whatever makes something raises
    NotCachedError.
    """

    makes = False

    def __init__(self, paths: Paths) -> None:
        self.epoch = None
        self.layers = LayerStore(paths.layers)
        self.content = content_store(paths)
        self.cache = StepCache(paths, self.layers, self.content)

    def close(self) -> None:
        self.cache.close()

    def new_directory(self) -> str:
        raise NotCachedError

    @contextmanager
    def mounted(
        self, layers: Sequence[BuildLayer], points: Sequence[tuple[str, bool]] | None = None, *, empty: bool = False
    ) -> Iterator[MountedStep]:
        raise NotCachedError
        yield

    def place(self, layer: BuildLayer, below: Sequence[BuildLayer]) -> BuildLayer:
        chain_id = _next_chain(below, parse_digest(layer.diff_id))
        if not self.layers.has(chain_id):
            raise NotCachedError
        return layer._replace(chain_id=chain_id)


class MountedStep:
    """A step's merged tree at `root`; what it changes lies in `directory`/upper."""

    def __init__(self, directory: str, mount: RootMount, true_owners: Callable[[], TrueOwners]) -> None:
        self.directory, self.root = directory, mount.target
        self.true_owners = true_owners
        self._mount: RootMount | None = mount
        self.root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def book(self) -> OwnerBook:
        """Of owners outside the map, beside the upper directory: it goes where that goes, as the layer's."""
        return owner_book_beside(f"{self.directory}/upper")

    def unmount(self) -> str:
        """As `RootMount.unmount`."""
        if self._mount is None:
            return ""
        mount, self._mount = self._mount, None
        os.close(self.root_fd)
        return mount.unmount()


def _make_points(place: str, points: Sequence[tuple[str, bool]]) -> str:
    """A lowest layer that holds nothing but the places to mount over."""
    os.mkdir(place, 0o755)
    root_fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, is_directory in (*MOUNT_POINTS, *points):
            above, name = os.path.split(os.path.normpath(f"/{path}"))
            above_fd = mkdir_in_root(root_fd, above)
            try:
                if is_directory:
                    os.close(mkdir_in_root(above_fd, name))
                else:
                    os.close(os.open(name, _MAKE_FILE, 0o644, dir_fd=above_fd))
            finally:
                os.close(above_fd)
    finally:
        os.close(root_fd)
    return place


def _copy_root(layer: str, upper: str) -> None:
    os.mkdir(upper, 0o755)
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (layer, upper)]
    try:
        copy_metadata(*fds)
    finally:
        for fd in fds:
            os.close(fd)


def sweep(paths: Paths) -> str:
    """Remove what killed builds left; the directory below which builds have their places."""
    base = f"{paths.data_root}/build"
    # the upper directory becomes the layer, where the files were made
    make_spread_directory(base)
    for name in os.listdir(base):
        remove_unlocked(f"{base}/{name}")
    return base


def _next_chain(below: Sequence[BuildLayer], diff_id: Digest) -> Digest:
    return chain_ids([*(parse_digest(layer.diff_id) for layer in below), diff_id])[-1]


def _descriptor(digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": _LAYER_TYPE, "digest": digest, "size": size}
