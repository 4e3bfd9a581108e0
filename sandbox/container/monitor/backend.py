"""What a monitor asks of kernel, storage and network, for one container: its tree, its namespaces, its way out.

    prepare   slirp4netns needs the network namespace and nothing else, and takes longest to come up: so namespaces
              first, slirp4netns started, then the tree mounted and volumes filled while it gets ready; on bridges the
              one of all was started at the monitor's birth, where there was none
    start     a process up to its gate; the first one waits for slirp4netns there
    release   it runs; start and release again and again, over one tree and one network
    close     the tree unmounted, the network left; the runtime directory goes when the record is written

Runs in the monitor, as root of the outer user namespace, in a mount namespace of its own.
"""

from __future__ import annotations

from sandbox.container.monitor.etc_files import (
    HostsPart,
    change_hosts,
    change_name_server,
    write_etc_files,
    write_host_network_files,
)
from sandbox.container.monitor.mounts import ContainerMounts
from sandbox.container.monitor.pause import CgroupFreezer, NoFreezer, SignalFreezer
from sandbox.container.monitor.plan import Limits, Started
from sandbox.container.monitor.runtime_spec import container_spec, with_variables
from sandbox.container.monitor.seccomp_filter import seccomp_program
from sandbox.errors import ConflictError
from sandbox.network.mode import is_private
from sandbox.network.record import has_local_names
from sandbox.runtime.launch import Launcher, PendingStart
from sandbox.runtime.process import Stdio
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.container.model.record import Container
    from sandbox.container.model.transitions import MountLost
    from sandbox.container.monitor.bridge_network import BridgeNetwork
    from sandbox.container.monitor.bridge_place import Place
    from sandbox.container.monitor.plan import Records
    from sandbox.container.monitor.roles import Connection, Freezer
    from sandbox.container.monitor.stdio import ContainerEnds
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths
    from sandbox.runtime.cgroups import ContainerCgroup
    from sandbox.runtime.enter import BegunExec
    from sandbox.runtime.spec import ContainerSpec
    from sandbox.runtime.terminal import WindowSize
    from sandbox.values import PublishedPort
    from storage.waits import Steps

SLIRP_SOCKET_NAME = "slirp.sock"


class KernelEngine:
    """Implements `monitor.roles.Engine`. `place` is where the router is, for bridges."""

    def __init__(
        self,
        paths: Paths,
        container: Container,
        records: Records,
        window_size: WindowSize | None = None,
        limits: Limits | None = None,
        place: Place | None = None,
    ) -> None:
        self._paths = paths
        self._container = container
        self._records = records
        self._place = place
        self._window_size = window_size
        self._launcher = Launcher()
        self._pending: PendingStart | None = None
        self._network: Connection | None = None
        #: what `prepare` found out, for the first start
        self._first_spec: ContainerSpec | None = None
        self._limits = limits or Limits()
        self._oom_kills = 0
        self._cgroup: ContainerCgroup | None = None
        self._mounts = ContainerMounts(paths, container)
        self._seccomp: bytes | None = None
        #: in the hosts file, of those that it is linked to
        self._link_lines: tuple[str, ...] = ()

    @property
    def cgroup(self) -> str:
        return self._cgroup.path if self._cgroup is not None else ""

    @property
    def _runtime_dir(self) -> str:
        return self._paths.container_runtime(self._container.id)

    @property
    def slirp_socket(self) -> str:
        """Of the slirp4netns that forwards the container's ports, where one does."""
        return self._place.api_socket if self._place is not None else f"{self._runtime_dir}/{SLIRP_SOCKET_NAME}"

    def prepare(self) -> None:
        """Everything that outlives one run. Raises SandboxError; `close` is due even then."""
        self._mounts.begin()
        self._seccomp = seccomp_program(self._paths, self._container)
        if self._limits.subtree:
            from sandbox.runtime.cgroups import LimitWrite, count_oom_kills, make_container_cgroup

            writes = [LimitWrite(*write) for write in self._limits.writes]
            self._cgroup = make_container_cgroup(self._limits.subtree, writes)
            # one that a killed monitor left may have counted before
            self._oom_kills = count_oom_kills(self._cgroup.path)
        if self._place is not None:
            self._prepare_on_bridges(self._place)
        else:
            self._first_spec = self._spec()
            self._launcher.prepare(self._first_spec)
            self._begin_private_network()
        self._mounts.finish()

    def _prepare_on_bridges(self, place: Place) -> None:
        if self._cgroup is not None:
            place.keeper.fork_into(self._cgroup.origin)
        endpoints = self._records.endpoints()
        self._network = network = _bridge_network(self._container, place, endpoints)
        self._first_spec = self._spec(endpoints)
        self._launcher.prepare(self._first_spec, place.router_fd)
        assert self._launcher.network_fd is not None
        assert self._launcher.wires is not None
        network.connect(self._launcher.network_fd, self._launcher.wires)

    def begin_ports(self, ports: Sequence[PublishedPort], sockets: Sequence[int]) -> None:
        """The ports are bound, by sockets of which the network becomes the owner, or by what has no need of them.

        Raises HostError.
        """
        if self._network is not None:
            self._network.begin_ports(ports, sockets)

    @property
    def network_pidfd(self) -> int:
        return self._network.pidfd if self._network is not None else -1

    def network_event(self, refused: Callable[[str], None]) -> bool:
        return self._network is None or self._network.event(refused)

    def set_healthy(self, is_healthy: bool) -> None:
        if self._network is not None:
            self._network.set_healthy(is_healthy)

    def withdraw(self) -> None:
        if self._network is not None:
            self._network.withdraw()

    def change_networks_steps(self) -> Steps[None]:
        """Have the container on those networks that the records say, while it runs.

        Raises ConflictError where it can be on none, HostError, StartError.
        """
        from sandbox.container.monitor.bridge_network import BridgeNetwork

        if not isinstance(self._network, BridgeNetwork):
            raise ConflictError("it is on no network of several containers")
        directory = self._paths.container_data(self._container.id)
        before = HostsPart(self._network.endpoints, self._link_lines)
        endpoints = yield from self._network.apply_steps(
            lambda: (self._records.endpoints(), self._records.name() or self._container.name)
        )
        self._link_lines = self._present_link_lines(endpoints)
        change_hosts(self._container, directory, before, HostsPart(endpoints, self._link_lines))
        change_name_server(self._container, directory, self._network.gateways, endpoints)

    def revive_network(self, ports: Sequence[PublishedPort]) -> Steps[None]:
        assert self._network is not None
        # its socket lies there, and somebody may have cleaned up
        make_private_directory(self._runtime_dir)
        yield from self._network.revive_steps(ports)

    def publish_steps(
        self, ports: Sequence[PublishedPort], present: Sequence[PublishedPort]
    ) -> Steps[tuple[PublishedPort, ...]]:
        return self._connection().publish_steps(ports, present)

    def unpublish_steps(self, ports: Sequence[PublishedPort], kept: Sequence[PublishedPort]) -> Steps[None]:
        return self._connection().unpublish_steps(ports, kept)

    def _connection(self) -> Connection:
        if self._network is None:
            raise ConflictError("it has no network of its own")
        return self._network

    @property
    def mount_pidfds(self) -> Sequence[int]:
        return self._mounts.mount_pidfds

    def lost_mount(self, pidfd: int) -> MountLost:
        return self._mounts.lost_mount(pidfd)

    def break_mounts(self) -> None:
        self._mounts.break_mounts()

    def start_steps(self, ends: ContainerEnds | None) -> Steps[None]:
        if ends is None:
            stdio = Stdio(window_size=self._window_size)
        else:
            stdio = Stdio(ends.stdin_fd, ends.stdout_fd, ends.stderr_fd)
        yield from self._mounts.mend_steps()
        if self._first_spec is None:
            self._first_spec = self._spec(self._records.endpoints() if self._place is not None else ())
        spec, self._first_spec = self._first_spec, None
        self._pending = yield from self._launcher.set_up_steps(spec, stdio)
        if self._network is not None:
            yield from self._network.ready_steps()

    def release_steps(self) -> Steps[Started]:
        pending, self._pending = self._pending, None
        assert pending is not None
        started = yield from pending.release_steps()
        return Started(started.pid, started.pidfd, -1 if started.terminal_fd is None else started.terminal_fd)

    def begin_probe(self, pid: int, words: tuple[str, ...], output_fd: int) -> BegunExec:
        # only where there is a health check
        from sandbox.container.monitor.runtime_spec import container_environment, process_spec
        from sandbox.runtime.enter import begin_exec

        container = self._records.linked(with_variables(self._paths, self._container))
        spec = process_spec(container, self._seccomp)._replace(
            arguments=words, environment=container_environment(container, terminal=False), terminal=False
        )
        limit = 0 if self.cgroup else max(0, self._container.config.resources.pids_limit)
        stdio = Stdio(None, output_fd, output_fd)
        return begin_exec(pid, spec, stdio, cgroup=self.cgroup, process_limit=limit)

    def abandon(self) -> None:
        if self._pending is not None:
            self._pending.abandon()
            self._pending = None

    def freezer(self, process: Started) -> Freezer:
        if self._cgroup is not None:
            return CgroupFreezer(self._cgroup.path)
        mode = self._container.config.pid_mode
        if mode:
            return NoFreezer("the host" if mode == "host" else mode.replace(":", " ", 1))
        return SignalFreezer(process)

    def after_exit(self) -> bool:
        if self._cgroup is None:
            return False
        from sandbox.runtime.cgroups import count_oom_kills

        # the cgroup stays for the next run, and its count goes on
        before, self._oom_kills = self._oom_kills, count_oom_kills(self._cgroup.path)
        return self._oom_kills > before

    def close_steps(self) -> Steps[None]:
        self.abandon()
        if self._network is not None:
            # it ends while the tree is unmounted
            self._network.kill()
        yield from self._mounts.unmount_steps()
        if self._network is not None:
            self._network.close()
            self._network = None
        self._launcher.close()
        if self._cgroup is not None:
            from sandbox.runtime.cgroups import removal_steps

            cgroup, self._cgroup = self._cgroup, None
            yield from removal_steps(cgroup)

    def _spec(self, endpoints: Sequence[Endpoint] = ()) -> ContainerSpec:
        neighbours = self._records.neighbours()
        container = self._records.linked(with_variables(self._paths, self._container))
        if neighbours.hostname:
            config = container.config._replace(hostname=neighbours.hostname, domain_name=neighbours.domain_name)
            container = container._replace(config=config)
        if neighbours.is_host_network:
            container = container._replace(config=container.config._replace(network="host"))
        directory = self._paths.container_data(self._container.id)
        if container.config.network == "host":
            files = write_host_network_files(container, directory)
        else:
            self._link_lines = self._present_link_lines(endpoints)
            present = HostsPart(endpoints, self._link_lines) if endpoints else None
            files = write_etc_files(self._container, directory, present, shared_from=neighbours.network_files)
        spec = container_spec(
            container,
            self._paths,
            root=self._mounts.root,
            files=files,
            joined=neighbours.joined,
            seccomp_program=self._seccomp,
            process_limit=self._limits.process_limit,
            cgroup=self.cgroup,
        )
        return spec._replace(local_names=has_local_names(endpoints), host_ports=self._container.config.host_ports)

    def _present_link_lines(self, endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
        return self._records.link_host_lines() if any(one.links for one in endpoints) else ()

    def _begin_private_network(self) -> None:
        if not is_private(self._container.config.network):
            return
        network_fd = self._launcher.network_fd
        assert network_fd is not None
        network: PastaNetwork | PrivateNetwork
        if self._container.config.network == "pasta":
            from sandbox.container.monitor.pasta_network import PastaNetwork

            self._network = network = PastaNetwork(self._container.name, network_fd)
        else:
            from sandbox.container.monitor.private_network import PrivateNetwork

            self._network = network = PrivateNetwork(self._container.name, network_fd, self.slirp_socket)
        network.begin()


def _bridge_network(container: Container, place: Place, endpoints: Sequence[Endpoint]) -> BridgeNetwork:
    if container.config.port_driver == "slirp4netns":
        from sandbox.container.monitor.bridge_slirp import SlirpBridgeNetwork

        return SlirpBridgeNetwork(container, place, endpoints)
    from sandbox.container.monitor.bridge_network import BridgeNetwork

    return BridgeNetwork(container, place, endpoints)
