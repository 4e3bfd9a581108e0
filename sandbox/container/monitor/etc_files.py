"""A container's /etc/hosts, /etc/hostname and /etc/resolv.conf: made anew at each start, from the host's of then."""

from __future__ import annotations

import os

from net.addresses import CONTAINER_ADDRESS
from net.namespace import kernel_has_ipv6
from net.resolver import (
    Resolver,
    bridge_resolver,
    container_resolver,
    is_followed,
    read_host_resolver,
    render_hosts,
    render_resolver,
)
from sandbox.container.model.hostname import hostname_of
from sandbox.container.monitor.runtime_spec import NetworkFiles
from sandbox.errors import SandboxError, StartError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.network.mode import is_private
from sandbox.network.record import gateways_of, has_local_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.container.model.record import Container
    from sandbox.network.record import Endpoint


_NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"


class HostsPart(NamedTuple):
    """What of a hosts file follows the networks: the container's own names, and the lines of those it is linked to."""

    endpoints: Sequence[Endpoint]
    link_lines: Sequence[str] = ()

    def lines(self, container: Container) -> list[str]:
        return [*_own_lines(container, self.endpoints), *self.link_lines]


def write_etc_files(
    container: Container, directory: str, present: HostsPart | None = None, *, shared_from: str = ""
) -> NetworkFiles:
    """Write the files below `directory` and say where they are; `present` is of a container on bridges. Raises
    StartError.

    A container that shares another's network shares its files too: those in `shared_from`.
    """
    config = container.config
    if not os.path.isdir(directory):
        raise gone_error(container, directory, StartError)
    if shared_from:
        return NetworkFiles(f"{shared_from}/hosts", f"{shared_from}/hostname", f"{shared_from}/resolv.conf")
    files = NetworkFiles(f"{directory}/hosts", f"{directory}/hostname", f"{directory}/resolv.conf")
    private = is_private(config.network)
    asked = Resolver(config.dns, config.dns_search, config.dns_options)
    gateway = None
    if any(entry.endswith("host-gateway") for entry in config.extra_hosts):
        from net.host_ports import outgoing_address

        gateway = outgoing_address()
    with translated(StartError, f"cannot make the network files of container {container.name}"):
        hosts = render_hosts(
            () if present else (*_full_name(container), *config.network_aliases),
            config.extra_hosts,
            address=CONTAINER_ADDRESS if private else "127.0.0.1",
            gateway=gateway,
            has_ipv6=kernel_has_ipv6() and dict(config.sysctls).get(_NO_IPV6, "0") == "0",
        )
    if present:
        # aliases are for others, who ask by the network
        hosts += "".join(present.lines(container))
        resolver = bridge_resolver(read_host_resolver(), asked, _name_server(present.endpoints))
    else:
        resolver = container_resolver(read_host_resolver(), asked, private=private, followed=is_followed())
    _write(files.hosts, hosts)
    _write(files.hostname, f"{hostname_of(container)}\n")
    _write(files.resolv_conf, render_resolver(resolver))
    return files


def write_host_network_files(container: Container, directory: str) -> NetworkFiles:
    """The same of a container on the host's network, which has the host's files as they are, but for what was asked to
    be otherwise. Raises StartError.
    """
    config = container.config
    written = write_etc_files(container._replace(config=config._replace(extra_hosts=())), directory)
    files = NetworkFiles("/etc/hosts", written.hostname, "/etc/resolv.conf")
    if config.dns or config.dns_search or config.dns_options:
        files = files._replace(resolv_conf=written.resolv_conf)
    if config.extra_hosts:
        with translated(StartError, f"cannot make the network files of container {container.name}"):
            with open("/etc/hosts", errors="surrogateescape") as file:
                of_host = file.read()
            gateway = "127.0.0.1"  # the host itself is there
            extra = render_hosts((), config.extra_hosts, gateway=gateway).removeprefix(render_hosts(()))
        _write(written.hosts, f"{of_host.rstrip()}\n{extra}")
        files = files._replace(hosts=written.hosts)
    return files


def change_hosts(container: Container, directory: str, before: HostsPart, after: HostsPart) -> None:
    """Have `after` in the container's hosts file in place of `before`; what else stands there stays.

    Raises StartError.
    """
    path = f"{directory}/hosts"
    with translated(StartError, f"cannot change the hosts file of container {container.name}"):
        with open(path, errors="surrogateescape") as file:
            lines = file.readlines()
        former = before.lines(container)
        kept = "".join(line for line in lines if line not in former)
        if kept and not kept.endswith("\n"):
            kept += "\n"
        _write(path, kept + "".join(after.lines(container)))


def change_name_server(container: Container, directory: str, former: set[str], after: Sequence[Endpoint]) -> None:
    """Where the container asks one of the former gateways for names, and is not on that network any more, have it ask
    that of one that it is on; what else stands in its resolv.conf stays. Raises StartError.
    """
    left = former - gateways_of(after)
    if not left or not after:
        return
    path = f"{directory}/resolv.conf"
    with translated(StartError, f"cannot change the name server of container {container.name}"):
        with open(path, errors="surrogateescape") as file:
            lines = file.readlines()
        # its own name server is there only for who was on such a network at the start; each gateway answers as well
        present = f"nameserver {_gateway(after)}\n"
        changed = [present if line.removeprefix("nameserver").strip() in left else line for line in lines]
        if changed != lines:
            _write(path, "".join(changed))


def _gateway(endpoints: Sequence[Endpoint]) -> str:
    return endpoints[0].network.gateway4 or endpoints[0].network.gateway6


def _own_lines(container: Container, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    names = " ".join(_full_name(container))
    for endpoint in endpoints:
        for address in (endpoint.address4, endpoint.address6):
            if address:
                yield f"{address}\t{names}\n"


def _full_name(container: Container) -> tuple[str, ...]:
    name, domain = hostname_of(container), container.config.domain_name
    return (f"{name}.{domain}", name) if domain else (name,)


def _name_server(endpoints: Sequence[Endpoint]) -> str:
    if has_local_names(endpoints):
        from net.container_names import CONTAINER_NAME_SERVER  # few containers have sockets of it

        return CONTAINER_NAME_SERVER
    return _gateway(endpoints)


def gone_error(container: Container, directory: str, kind: type[SandboxError]) -> SandboxError:
    """For a container whose directory somebody has removed."""
    return kind(
        f"the directory of container {container.name} is not there any more",
        cause=f"{directory} was removed, and with it what the container wrote",
        mend="sandbox system check --repair",
    )


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        # the container may be of a user without rights of its own: readable whatever our umask is
        os.fchmod(fd, 0o644)
        os.write(fd, text.encode(errors="surrogateescape"))
    finally:
        os.close(fd)
