"""Driver `fuse`: the overlay of this package, mounted for a container and served by a process of its own.

UPPER_DIR is laid out as the kernel driver's, and what lies in it means the same: a container may change between them.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager, suppress

from storage.errors import StorageError, os_failure
from storage.layers.store import index_path
from storage.overlay.driver import RootOptions, visible_layers
from storage.overlay.fuse.config import OverlayConfig
from storage.overlay.fuse.serving.installing import INSTALL
from storage.overlay.fuse.serving.server_process import serve_mount
from storage.overlay.kernel import make_upper, prepare_parts, remove_parts, true_owners_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storage.overlay.driver import RootMount
    from storage.true_owners import TrueOwners


class FuseDriver:
    """Driver `fuse`. Preparing and mounting raise StorageError."""

    name = "fuse"
    starts_slowly = True

    def preload(self) -> None:
        # a server is a fork of the process that mounts; what cannot be imported, it will report
        with suppress(ImportError), _uncollected():
            import storage.overlay.fuse.server  # noqa: F401  # for sys.modules
        # nor need the collector of each server look at what all of them share
        gc.freeze()

    def prepare(self, upper_dir: str) -> None:
        prepare_parts(upper_dir)

    def mount_root(
        self, layers: Sequence[str], upper_dir: str, target: str, options: RootOptions | None = None
    ) -> RootMount:
        try:
            layers = visible_layers(layers) or (f"{upper_dir}/empty",)
            make_upper(layers[-1], upper_dir)
        except OSError as error:
            raise os_failure(f"cannot mount an overlay at {target}", error) from error
        options = options or RootOptions()
        config = OverlayConfig(
            lower=tuple(layers),
            upper=f"{upper_dir}/upper",
            work=f"{upper_dir}/work",
            indexes=tuple(index_path(layer) for layer in layers),
            # a write that only the cache has seen cannot be refused
            writeback=not options.quota_bytes,
            quota_bytes=options.quota_bytes,
            trace_path=options.trace_path,
        )

        def serve_overlay(device_fd: int, on_ready: Callable[[], None]) -> None:
            # in the server: a process that mounts once has no use for pyfuse3 and trio
            with _uncollected():
                from storage.overlay.fuse.server import serve

            serve(config, f"/dev/fd/{device_fd}", on_ready)

        return serve_mount(target, serve_overlay)

    def true_owners(self, layers: Sequence[str], upper_dir: str) -> TrueOwners:
        return true_owners_over(layers, upper_dir)

    def remove(self, upper_dir: str) -> None:
        remove_parts(upper_dir)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Imports make thousands of objects and no garbage: looking for that takes a quarter of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_pyfuse3() -> None:
    """StorageError where pyfuse3 is not installed; does not import it."""
    from importlib.util import find_spec

    if find_spec("pyfuse3") is None:
        raise StorageError("the FUSE overlay does not work here", cause="pyfuse3 is not installed", mend=INSTALL)


def probe_fuse_overlay(place: str) -> None:
    """Mount one below the directory `place` and look whether it does what layers need. StorageError where it does not.

    As `probe_kernel_overlay`, and where that runs.
    """
    from storage.overlay.probe import probe_driver

    check_pyfuse3()
    probe_driver(FuseDriver(), place)


def is_installed() -> bool:
    """Whether pyfuse3 can be imported, without importing it."""
    try:
        check_pyfuse3()
    except StorageError:
        return False
    return os.path.exists("/dev/fuse")
