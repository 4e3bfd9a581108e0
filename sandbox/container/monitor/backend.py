"""What a monitor asks of kernel, storage and network, for one container: its tree, its namespaces, its way out.

    prepare   slirp4netns needs the network namespace and nothing else, and takes longest to come up: so namespaces
              first, slirp4netns started, then the tree mounted and volumes filled while it gets ready
    start     a process up to its gate; the first one waits for slirp4netns there
    release   it runs; start and release again and again, over one tree and one network
    close     the tree unmounted, slirp4netns ended; the runtime directory goes when the record is written

Runs in the monitor, as root of the outer user namespace, in a mount namespace of its own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.container.model.transitions import MountLost
from sandbox.container.monitor.etc_files import write_etc_files
from sandbox.container.monitor.limits import Limits
from sandbox.container.monitor.monitor import Started
from sandbox.container.monitor.mount_servers import forget_server, note_server
from sandbox.container.monitor.runtime_spec import (
    NetworkFiles,
    container_spec,
    uses_private_network,
)
from sandbox.container.monitor.seccomp_filter import seccomp_program
from sandbox.errors import StartError, translated
from sandbox.runtime.launch import Launcher, PendingStart
from sandbox.runtime.process import Stdio
from storage.drivers import driver_named
from storage.layers.store import LayerStore
from storage.overlay.driver import RootOptions
from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.mapped_mounts import MappedMounts
    from sandbox.container.monitor.neighbours import Neighbours
    from sandbox.container.monitor.private_network import PrivateNetwork
    from sandbox.container.monitor.stdio import ContainerEnds
    from sandbox.paths import Paths
    from sandbox.runtime.cgroups import ContainerCgroup
    from sandbox.runtime.spec import ContainerSpec
    from sandbox.runtime.terminal import WindowSize
    from sandbox.values import PublishedPort
    from storage.overlay.driver import RootMount

ROOT_NAME = "rootfs"
SLIRP_SOCKET_NAME = "slirp.sock"
OVERLAY_NAME = "overlay"


class KernelEngine:
    """Implements `monitor.Engine`. `find_neighbours` is asked at each start: they may have been restarted."""

    def __init__(
        self,
        paths: Paths,
        container: Container,
        find_neighbours: Callable[[], Neighbours],
        window_size: WindowSize | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._paths = paths
        self._container = container
        self._find_neighbours = find_neighbours
        self._window_size = window_size
        self._runtime_dir = paths.container_runtime(container.id)
        self._root = f"{self._runtime_dir}/{ROOT_NAME}"
        self._launcher = Launcher()
        self._pending: PendingStart | None = None
        self._network: PrivateNetwork | None = None
        #: what `prepare` found out, for the first start
        self._first_spec: ContainerSpec | None = None
        self._limits = limits or Limits()
        self._oom_kills = 0
        self._cgroup: ContainerCgroup | None = None
        self._driver = driver_named(container.config.storage_driver)
        self._mount: RootMount | None = None
        self._mapped: MappedMounts | None = None
        self._seccomp: bytes | None = None

    @property
    def cgroup(self) -> str:
        return self._cgroup.path if self._cgroup is not None else ""

    @property
    def slirp_socket(self) -> str:
        return f"{self._runtime_dir}/{SLIRP_SOCKET_NAME}"

    def prepare(self) -> None:
        """Everything that outlives one run. Raises SandboxError; `close` is due even then."""
        make_private_directory(self._root)
        if self._driver.starts_slowly:
            self._mount_root()
        self._seccomp = seccomp_program(self._paths, self._container)
        if self._limits.subtree:
            from sandbox.runtime.cgroups import LimitWrite, count_oom_kills, make_container_cgroup

            writes = [LimitWrite(*write) for write in self._limits.writes]
            self._cgroup = make_container_cgroup(self._limits.subtree, writes)
            # one that a killed monitor left may have counted before
            self._oom_kills = count_oom_kills(self._cgroup.path)
        self._first_spec = self._spec()
        self._launcher.prepare(self._first_spec)
        self._begin_network()
        self._mount_root()
        self._wait_mounted()
        self._mount_mapped()
        self._fill_volumes()

    def serve_udp_loopback(self, ports: Sequence[PublishedPort]) -> None:
        """Answer on the host's loopback for the udp ones of the bound `ports`. Raises HostError."""
        if self._network is not None:
            self._network.serve_udp_loopback(ports)

    @property
    def network_pidfd(self) -> int:
        return self._network.pidfd if self._network is not None else -1

    def revive_network(self, ports: Sequence[PublishedPort]) -> int:
        assert self._network is not None
        # its socket lies there, and somebody may have cleaned up
        make_private_directory(self._runtime_dir)
        return self._network.revive(ports)

    def finish_revival(self, ports: Sequence[PublishedPort]) -> None:
        assert self._network is not None
        self._network.finish_revival(ports)

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

    def start(self, ends: ContainerEnds | None) -> None:
        if ends is None:
            stdio = Stdio(window_size=self._window_size)
        else:
            stdio = Stdio(ends.stdin_fd, ends.stdout_fd, ends.stderr_fd)
        self._mend_mounts()
        spec, self._first_spec = self._first_spec or self._spec(), None
        self._pending = self._launcher.set_up(spec, stdio)
        if self._network is not None:
            self._network.finish()

    def release(self) -> Started:
        pending, self._pending = self._pending, None
        assert pending is not None
        started = pending.release()
        return Started(started.pid, started.pidfd, -1 if started.terminal_fd is None else started.terminal_fd)

    def abandon(self) -> None:
        if self._pending is not None:
            self._pending.abandon()
            self._pending = None

    def after_exit(self) -> bool:
        if self._cgroup is None:
            return False
        from sandbox.runtime.cgroups import count_oom_kills

        # the cgroup stays for the next run, and its count goes on
        before, self._oom_kills = self._oom_kills, count_oom_kills(self._cgroup.path)
        return self._oom_kills > before

    def close(self) -> None:
        self.abandon()
        if self._network is not None:
            self._network.close()
            self._network = None
        if self._mapped is not None:
            self._mapped.unmount()
        self._unmount_root()
        self._launcher.close()
        if self._cgroup is not None:
            from sandbox.runtime.cgroups import remove_container_cgroup

            remove_container_cgroup(self._cgroup)
            self._cgroup = None

    def _spec(self) -> ContainerSpec:
        neighbours = self._find_neighbours()
        container = self._container
        if neighbours.hostname:
            config = container.config._replace(hostname=neighbours.hostname, domain_name=neighbours.domain_name)
            container = container._replace(config=config)
        directory = self._paths.container_data(self._container.id)
        if self._container.config.network == "host":
            files = NetworkFiles("/etc/hosts", write_etc_files(self._container, directory).hostname, "/etc/resolv.conf")
        else:
            files = write_etc_files(self._container, directory, shared_from=neighbours.network_files)
        return container_spec(
            container,
            self._paths,
            root=self._root,
            files=files,
            joined=neighbours.joined,
            seccomp_program=self._seccomp,
            process_limit=self._limits.process_limit,
            cgroup=self.cgroup,
        )

    def _begin_network(self) -> None:
        if not uses_private_network(self._container.config):
            return
        from sandbox.container.monitor.private_network import PrivateNetwork

        network_fd = self._launcher.network_fd
        assert network_fd is not None
        self._network = PrivateNetwork(self._container.name, network_fd, self.slirp_socket)
        self._network.begin()

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
            self._mount = self._driver.mount_root(layers, upper, self._root, options)
        if self._mount.pid:
            note_server(self._root, self._mount.pid)

    def _wait_mounted(self) -> None:
        assert self._mount is not None
        with translated(StartError, f"cannot mount the root of container {self._container.name}"):
            self._mount.wait_ready()

    def _unmount_root(self) -> None:
        if self._mount is not None:
            mount, self._mount = self._mount, None
            # a mount whose mount point was removed, by whoever cleans up, is gone already
            with suppress(OSError):
                mount.unmount()
            forget_server(self._root)

    def _mend_mounts(self) -> None:
        if self._mount is not None and (self._mount.failure() or not os.path.ismount(self._root)):
            self._unmount_root()
            make_private_directory(self._root)
            self._mount_root()
            self._wait_mounted()
        if self._mapped is not None:
            self._mapped.mount(self._root)

    def _mount_mapped(self) -> None:
        if any(mount.mapped_user for mount in self._container.config.mounts):
            from sandbox.container.monitor.mapped_mounts import MappedMounts  # only where there are some

            self._mapped = MappedMounts(self._container.config, self._runtime_dir)
            self._mapped.mount(self._root)

    def _fill_volumes(self) -> None:
        mounts = self._container.config.mounts
        if any(mount.kind == "volume" for mount in mounts):
            from sandbox.volume.volumes import fill_new_volumes  # the store of volumes, only where there are some

            fill_new_volumes(self._paths, mounts, self._root)
