"""What a container's monitor mounts: the root file system, bind mounts with mapped owners, new volumes filled."""

from __future__ import annotations

from contextlib import suppress

from sandbox.container.model.transitions import MountLost
from sandbox.container.monitor.mount_servers import forget_server, note_server
from sandbox.errors import StartError, translated
from storage.drivers import driver_named
from storage.layers.store import LayerStore
from storage.mount_points import is_mounted
from storage.overlay.driver import RootOptions
from storage.private_directories import make_private_directory
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.mapped_mounts import MappedMounts
    from sandbox.paths import Paths
    from storage.overlay.driver import RootMount
    from storage.waits import Steps

ROOT_NAME = "rootfs"
OVERLAY_NAME = "overlay"


class ContainerMounts:
    """The mounts of one container, for all of its runs. Implements `monitor.roles.ServedMounts`."""

    def __init__(self, paths: Paths, container: Container) -> None:
        self._paths = paths
        self._container = container
        self._runtime_dir = paths.container_runtime(container.id)
        #: where the root is or will be mounted
        self.root = f"{self._runtime_dir}/{ROOT_NAME}"
        self._driver = driver_named(container.config.storage_driver)
        self._mount: RootMount | None = None
        self._mapped: MappedMounts | None = None

    @property
    def mount_pidfds(self) -> Sequence[int]:
        root = () if self._mount is None or self._mount.pidfd < 0 else (self._mount.pidfd,)
        return root if self._mapped is None else (*root, *self._mapped.pidfds)

    def lost_mount(self, pidfd: int) -> MountLost:
        if self._mapped is not None and pidfd in self._mapped.pidfds:
            return MountLost(*self._mapped.lost(pidfd))
        assert self._mount is not None
        return MountLost("/", self._mount.failure())

    def break_mounts(self) -> None:
        if self._mapped is not None:
            self._mapped.kill()
        if self._mount is not None:
            self._mount.kill()

    def begin(self) -> None:
        """Make the mount point, and mount at once what takes its time to get ready. Raises StartError."""
        make_private_directory(self.root)
        if self._driver.starts_slowly:
            self._mount_root()

    def finish(self) -> None:
        """Have everything mounted, and new volumes filled. Raises StartError."""
        self._mount_root()
        carry_out(self._wait_mounted())
        self._mount_mapped()
        self._mount_granted()
        self._fill_volumes()

    def mend_steps(self) -> Steps[None]:
        """Mount again what was lost. Raises StartError."""
        if self._mount is not None and (self._mount.failure() or not is_mounted(self.root)):
            yield from self._unmount_root()
            make_private_directory(self.root)
            self._mount_root()
            yield from self._wait_mounted()
        if self._mapped is not None:
            yield from self._mapped.mount_steps(self.root)
        self._mount_granted()

    def unmount_steps(self) -> Steps[None]:
        """Unmount everything; twice is safe."""
        if self._mapped is not None:
            yield from self._mapped.unmount_steps()
        if self._has_granted:
            from sandbox.container.monitor.granted_files import unmount_granted

            unmount_granted(self._paths, self._container)
        yield from self._unmount_root(discarded=self._container.config.auto_remove)

    def _mount_root(self) -> None:
        if self._mount is not None:
            return
        config = self._container.config
        upper = f"{self._paths.container_data(self._container.id)}/{OVERLAY_NAME}"
        store = LayerStore(self._paths.layers)
        with translated(StartError, f"cannot mount the root of container {self._container.name}"):
            self._driver.prepare(upper)
            layers = store.trees(config.layers)
            options = RootOptions(config.storage_size_bytes, config.trace_path)
            self._mount = self._driver.mount_root(layers, upper, self.root, options)
        if self._mount.pid:
            note_server(self.root, self._mount.pid)

    def _wait_mounted(self) -> Steps[None]:
        assert self._mount is not None
        with translated(StartError, f"cannot mount the root of container {self._container.name}"):
            yield from self._mount.ready_steps()

    def _unmount_root(self, *, discarded: bool = False) -> Steps[None]:
        if self._mount is not None:
            mount, self._mount = self._mount, None
            # a mount whose mount point was removed, by whoever cleans up, is gone already
            with suppress(OSError):
                yield from mount.unmount_steps(discarded=discarded)
            forget_server(self.root)

    def _mount_mapped(self) -> None:
        if any(mount.mapped_user for mount in self._container.config.mounts):
            from sandbox.container.monitor.mapped_mounts import MappedMounts  # only where there are some

            self._mapped = MappedMounts(self._container.config, self._runtime_dir)
            carry_out(self._mapped.mount_steps(self.root))

    def _mount_granted(self) -> None:
        if self._has_granted:
            from sandbox.container.monitor.granted_files import mount_granted  # few containers have secrets

            mount_granted(self._paths, self._container)

    @property
    def _has_granted(self) -> bool:
        return bool(self._container.config.secrets or self._container.config.configs)

    def _fill_volumes(self) -> None:
        mounts = self._container.config.mounts
        if any(mount.kind == "volume" for mount in mounts):
            from sandbox.volume.volumes import fill_new_volumes  # the store of volumes, only where there are some

            fill_new_volumes(self._paths, mounts, self.root)
