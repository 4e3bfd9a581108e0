"""A container's /etc/hosts, /etc/hostname and /etc/resolv.conf: made anew at each start, from the host's of then."""

from __future__ import annotations

import os

from net.addresses import CONTAINER_ADDRESS
from net.resolver import Resolver, container_resolver, is_followed, read_host_resolver, render_hosts, render_resolver
from sandbox.container.monitor.runtime_spec import NetworkFiles, hostname_of, uses_private_network
from sandbox.errors import SandboxError, StartError, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container


def write_etc_files(container: Container, directory: str, *, shared_from: str = "") -> NetworkFiles:
    """Write the files below `directory` and say where they are. Raises StartError.

    A container that shares another's network shares its files too: those in `shared_from`.
    """
    config = container.config
    if not os.path.isdir(directory):
        raise gone_error(container, directory, StartError)
    if shared_from:
        return NetworkFiles(f"{shared_from}/hosts", f"{shared_from}/hostname", f"{shared_from}/resolv.conf")
    files = NetworkFiles(f"{directory}/hosts", f"{directory}/hostname", f"{directory}/resolv.conf")
    private = uses_private_network(config)
    asked = Resolver(config.dns, config.dns_search, config.dns_options)
    name = hostname_of(container)
    full_name = [f"{name}.{config.domain_name}", name] if config.domain_name else [name]
    gateway = None
    if any(entry.endswith("host-gateway") for entry in config.extra_hosts):
        from net.host_ports import outgoing_address

        gateway = outgoing_address()
    with translated(StartError, f"cannot make the network files of container {container.name}"):
        hosts = render_hosts(
            (*full_name, *config.network_aliases),
            config.extra_hosts,
            address=CONTAINER_ADDRESS if private else "127.0.0.1",
            gateway=gateway,
        )
    resolver = container_resolver(read_host_resolver(), asked, private=private, followed=is_followed())
    _write(files.hosts, hosts)
    _write(files.hostname, f"{name}\n")
    _write(files.resolv_conf, render_resolver(resolver))
    return files


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
        os.write(fd, text.encode())
    finally:
        os.close(fd)
