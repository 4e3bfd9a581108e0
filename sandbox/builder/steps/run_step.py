"""RUN: a step's command in the same runtime as `sandbox run`: namespaces, default capabilities, seccomp, slirp4netns.

One set of namespaces for each kind of network serves all RUNs of a build, so that slirp4netns is started once. Mount
points that the container needs are in the lowest layer of the step's overlay: nothing is made in the tree for them,
and nothing is cleaned out of it afterwards (CVE-2024-23652).
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from net.addresses import CONTAINER_ADDRESS
from net.host_ports import outgoing_address
from net.resolver import (
    Resolver,
    container_resolver,
    is_followed,
    read_host_resolver,
    render_hosts,
    render_resolver,
    split_extra_host,
)
from net.slirp import SlirpPlan, SlirpProcess, assume_features, end_slirp, spawn_slirp, wait_ready
from sandbox.builder.sources.copy_sources import StepError
from sandbox.errors import HostError, NotSupportedError, translated
from sandbox.runtime.capabilities import resolve_capabilities
from sandbox.runtime.kernel_paths import DEFAULT_READ_ONLY_PATHS, default_masked_paths
from sandbox.runtime.launch import Launcher
from sandbox.runtime.process import Stdio
from sandbox.runtime.seccomp import find_program
from sandbox.runtime.spec import BindMount, ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.builder.request import JoinedNetwork, RunSettings
    from sandbox.paths import Paths
    from sandbox.runtime.launch import Started
    from sandbox.runtime.spec import Mount

_HOSTNAME = "buildkitsandbox"
_SHM_BYTES = 64 << 20

NetworkName = Literal["default", "none", "host", "joined"]


class RunRequest(NamedTuple):
    """One command: what to run, as whom and where, in the tree mounted at `root`."""

    root: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    directory: str
    user: str
    network: NetworkName
    mounts: tuple[Mount, ...] = ()


class _Network(NamedTuple):
    launcher: Launcher
    slirp: SlirpProcess | None
    files: tuple[BindMount, ...]


def check_lengths(request: RunRequest) -> None:
    """Raises StepError for a word or a variable that the kernel takes in no program: MAX_ARG_STRLEN, execve(2)."""
    most = 32 * os.sysconf("SC_PAGE_SIZE") - 1
    longest = max(len(os.fsencode(word)) for word in request.arguments)
    if longest > most:
        raise StepError(
            f"this command is {longest} bytes long, and the kernel takes {most} in one word",
            mend='COPY it as a script and RUN sh SCRIPT; or RUN <<EOF with "#!/bin/sh" as the first line is one',
        )
    for variable in request.environment:
        length = len(os.fsencode(variable))
        if length > most:
            name = variable.partition("=")[0]
            raise StepError(
                f"the variable {name} is {length} bytes long with its name, and the kernel takes {most}",
                mend="COPY its value as a file and read it from there",
            )


class RunRoom:
    """Runs commands for one build; `directory` is the build's own, and `apart` is whether their standard error is told
    apart from their output. `close` ends what serves them.
    """

    def __init__(
        self,
        paths: Paths,
        directory: str,
        settings: RunSettings,
        *,
        joined: JoinedNetwork | None = None,
        apart: bool = False,
    ) -> None:
        self._joined = joined
        self._settings = settings
        self._apart = apart
        self._directory = directory
        self._networks: dict[str, _Network] = {}
        self._capabilities = resolve_capabilities((), ())
        self._seccomp = find_program("", self._capabilities, paths.cache)

    def run(self, request: RunRequest, show: Callable[[bytes, int], None]) -> int:
        """Run to the end, giving `show` the output as it comes, and whether it is that, 1, or standard error, 2; the
        exit code, 128 and the signal's number for one that was killed. Raises SandboxError where it cannot be started.
        """
        check_lengths(request)
        network = self._network(request)
        spec = self._spec(request, network.files)
        # one pipe for both keeps their order
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2 if self._apart else 1)]
        try:
            try:
                started = network.launcher.start(spec, Stdio(None, pipes[0][1], pipes[-1][1]))
            finally:
                for _, writing in pipes:
                    os.close(writing)
            try:
                _show_all([reading for reading, _ in pipes], show)
                _pid, status = os.waitpid(started.pid, 0)
            except BaseException:
                _end(started)
                raise
            finally:
                os.close(started.pidfd)
        finally:
            for reading, _ in pipes:
                os.close(reading)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def shell(self, request: RunRequest) -> None:
        """Run a command on a terminal of its own, which this process's streams are carried to, until it ends. Raises
        SandboxError where it cannot be started.
        """
        # few builds come here
        from sandbox.container.session.attach import ClientStreams, Streams
        from sandbox.container.session.exec_session import relay_terminal
        from sandbox.runtime.terminal import get_window_size

        network = self._network(request)
        spec = self._spec(request, network.files)
        spec = spec._replace(process=spec.process._replace(terminal=True))
        started = network.launcher.start(spec, Stdio(window_size=get_window_size(0)))
        try:
            relay_terminal(started, ClientStreams(Streams(0, 1, 2), stdin=True, detach_keys=b""))
        except BaseException:
            _end(started)
            raise

    def close(self) -> None:
        for network in self._networks.values():
            if network.slirp is not None:
                end_slirp(network.slirp)
            network.launcher.close()
        self._networks.clear()

    def _network(self, request: RunRequest) -> _Network:
        return self._networks.get(request.network) or self._open_network(request)

    def _open_network(self, request: RunRequest) -> _Network:
        if request.network == "joined" and self._joined is None:
            raise NotSupportedError(
                "a build of no image cannot be on a network of yours",
                cause="a container of its base is on the network meanwhile, and there is no base",
                mend="sandbox run -d --network NETWORK --name NAME IMAGE, and --network container:NAME",
            )
        launcher = Launcher()
        files = self._write_files(request.network)
        launcher.prepare(self._spec(request, files))
        slirp = None
        if request.network == "default":
            assert launcher.network_fd is not None
            with translated(HostError, "cannot set up the network of RUN"):
                plan = SlirpPlan(assume_features(), launcher.network_fd, f"{self._directory}/slirp.sock")
                slirp = wait_ready(plan, spawn_slirp(plan))
        self._networks[request.network] = _Network(launcher, slirp, files)
        return self._networks[request.network]

    def _spec(self, request: RunRequest, files: tuple[BindMount, ...]) -> ContainerSpec:
        joined = self._joined if request.network == "joined" else None
        network: Literal["private", "host", "join"] = "host" if request.network == "host" else "private"
        if joined is not None:
            network = "host" if joined.is_host else "join"
        return ContainerSpec(
            container_id="",
            process=ProcessSpec(
                arguments=request.arguments,
                environment=request.environment,
                working_directory=request.directory,
                user=request.user,
                capabilities=self._capabilities,
                seccomp_program=self._seccomp,
                resource_limits=self._settings.limits,
            ),
            root=request.root,
            hostname=joined.hostname if joined else _HOSTNAME,
            mounts=(*files, *request.mounts),
            network=network,
            join_network_pid=joined.pid if joined and network == "join" else 0,
            masked_paths=default_masked_paths(),
            read_only_paths=DEFAULT_READ_ONLY_PATHS,
            shm_size_bytes=self._settings.shm_size_bytes or _SHM_BYTES,
        )

    def _write_files(self, network: NetworkName) -> tuple[BindMount, ...]:
        private = network == "default"
        place = f"{self._directory}/network-{network}"
        os.mkdir(place, 0o755)
        extra = self._settings.extra_hosts
        if network == "joined" and self._joined is not None:
            return _write_joined_files(self._joined, place, extra)
        gateway = outgoing_address() if private and any(host.endswith("host-gateway") for host in extra) else None
        with translated(HostError, "cannot set up the hosts file of RUN"):
            address = CONTAINER_ADDRESS if private else "127.0.0.1"
            hosts = render_hosts((_HOSTNAME,), extra, address=address, gateway=gateway)
        resolver = container_resolver(
            read_host_resolver(), Resolver((), (), ()), private=private, followed=is_followed()
        )
        texts = {"hosts": hosts, "hostname": f"{_HOSTNAME}\n", "resolv.conf": render_resolver(resolver)}
        return tuple(_write_file(place, name, text) for name, text in texts.items())


def _write_joined_files(joined: JoinedNetwork, place: str, extra_hosts: Sequence[str]) -> tuple[BindMount, ...]:
    """Copies of what lies below /etc of the container whose network it is: a step must not write them."""
    found = []
    for name in ("hosts", "hostname", "resolv.conf"):
        try:
            text = Path(joined.files, name).read_text()
        except OSError as error:
            raise HostError(
                "cannot be in the network of the container: it has ended", cause=error.strerror or str(error)
            ) from error
        if name == "hosts":
            text += "".join(f"{target}\t{host}\n" for host, target in map(split_extra_host, extra_hosts))
        found.append(_write_file(place, name, text))
    return tuple(found)


def _write_file(place: str, name: str, text: str) -> BindMount:
    with open(f"{place}/{name}", "w") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    return BindMount(f"{place}/{name}", f"/etc/{name}", recursive=False)


def _show_all(outputs: list[int], show: Callable[[bytes, int], None]) -> None:
    with select.epoll() as waiting:
        for fd in outputs:
            waiting.register(fd, select.EPOLLIN)
        left = len(outputs)
        while left:
            for fd, _events in waiting.poll():
                data = os.read(fd, 1 << 16)
                if data:
                    show(data, 1 + outputs.index(fd))
                else:
                    waiting.unregister(fd)
                    left -= 1


def _end(started: Started) -> None:
    with suppress(ProcessLookupError, OSError):
        signal.pidfd_send_signal(started.pidfd, signal.SIGKILL)
    # its tree can be taken away only when the last of its processes is gone
    with suppress(ChildProcessError):
        os.waitpid(started.pid, 0)
