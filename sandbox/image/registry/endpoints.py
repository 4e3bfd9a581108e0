"""Where a registry is reached: mirrors first, then itself; with which schemes and which trust. Decisions, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from sandbox.image.hosts.addresses import is_loopback
from sandbox.image.references import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.config import RegistrySettings

_DOCKER_HUB_HOST = "registry-1.docker.io"


class Endpoint(NamedTuple):
    """One place that serves a registry's repositories."""

    #: host[:port] of the place; credentials and certificates are looked up under it
    domain: str
    #: below which /v2/ lies, without scheme; a mirror's may begin with credentials
    location: str
    #: in the order to try
    schemes: tuple[str, ...]
    #: TLS is not verified
    insecure: bool = False
    mirror: bool = False


def endpoints_for(domain: str, settings: RegistrySettings) -> tuple[Endpoint, ...]:
    """The places to ask for the repositories of `domain`, best first.

    Plain HTTP is among the schemes only of loopback addresses, of registries configured as insecure, and of mirrors
    written with http://.
    """
    own_host = _DOCKER_HUB_HOST if domain == DEFAULT_DOMAIN else domain
    own = Endpoint(domain, own_host, ("https",))
    if domain in settings.insecure:
        own = own._replace(schemes=("https", "http"), insecure=True)
    elif is_loopback(host_of(domain)):
        # plain first: it is what a registry on this machine nearly always speaks, and nobody else listens
        own = own._replace(schemes=("http", "https"))
    return (*(_mirror(url, settings) for url in settings.mirrors.get(domain, ())), own)


def host_of(domain: str) -> str:
    """The host without its port; an IPv6 address without its brackets."""
    if domain.startswith("["):
        return domain[1:].partition("]")[0]
    return domain.partition(":")[0]


def proxy_for(scheme: str, host: str, env: Mapping[str, str]) -> str | None:
    """The proxy through which a request goes, None for none: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY less NO_PROXY.

    Loopback never goes through a proxy, as in Go's ProxyFromEnvironment and so in Docker.
    """
    if is_loopback(host) or _is_exempt(host, _variable(env, "no_proxy")):
        return None
    proxy = _variable(env, f"{scheme}_proxy") or _variable(env, "all_proxy")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _mirror(url: str, settings: RegistrySettings) -> Endpoint:
    parts = urlsplit(url)
    location = (parts.netloc + parts.path).rstrip("/")
    domain = parts.netloc.rpartition("@")[2]
    return Endpoint(domain, location, (parts.scheme,), domain in settings.insecure, mirror=True)


def _variable(env: Mapping[str, str], name: str) -> str:
    # lower case first, as curl does: CGI lets a client set HTTP_PROXY
    return env.get(name) or env.get(name.upper()) or ""


def _is_exempt(host: str, no_proxy: str) -> bool:
    host = host.lower().strip("[]")
    for entry in no_proxy.lower().replace(" ", ",").split(","):
        suffix = entry.removeprefix("*").lstrip(".")
        if entry == "*" or (suffix and (host == suffix or host.endswith(f".{suffix}"))):
            return True
        if "/" in entry and _in_network(host, entry):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    # imported here: networks in NO_PROXY are rare
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
