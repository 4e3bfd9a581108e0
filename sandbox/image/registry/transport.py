"""How httpx reaches registries: for each host the right proxy and the right trust, connections kept open."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from sandbox.errors import HostError, RegistryError
from sandbox.home import expand_home
from sandbox.image.hosts.permitted_hosts import Chosen
from sandbox.image.registry.endpoints import proxy_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sandbox.image.hosts.permitted_hosts import Limit

_SYSTEM_CERTIFICATES = "/etc/docker/certs.d"


class Trust:
    """The TLS contexts: the system's authorities, `SSL_CERT_FILE`, and those configured for one registry.

    certs.d directories hold, as Docker's do, `*.crt` authorities and `*.cert` with `*.key` client certificates below
    a directory named as the registry.
    """

    def __init__(
        self, env: Mapping[str, str], config_root: str, ca_files: Mapping[str, str], insecure: frozenset[str]
    ) -> None:
        self._env = env
        self._roots = (_SYSTEM_CERTIFICATES, f"{config_root}/certs.d")
        self._ca_files = ca_files
        self._insecure = insecure
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, domain: str) -> tuple[str, ssl.SSLContext]:
        """The context for `host[:port]`, and a key that is the same for hosts that share one. Raises HostError."""
        special = self._is_special(domain)
        key = domain if special else ""
        if key not in self._contexts:
            self._contexts[key] = self._make(domain if special else None)
        return key, self._contexts[key]

    def _is_special(self, domain: str) -> bool:
        return domain in self._insecure or domain in self._ca_files or any(
            os.path.isdir(f"{root}/{domain}") for root in self._roots
        )  # fmt: skip

    def _make(self, domain: str | None) -> ssl.SSLContext:
        file, directory = self._env.get("SSL_CERT_FILE"), self._env.get("SSL_CERT_DIR")
        try:
            if not file and not directory:
                file, directory = _default_authorities()
            context = ssl.create_default_context(cafile=file, capath=directory)
            if domain is not None:
                self._add(context, domain)
        except (OSError, ssl.SSLError) as error:
            raise HostError(
                "cannot load the certificates of authorities",
                cause=f"{error.strerror or error}",
                mend=f"see SSL_CERT_FILE ({file}) and certs.d",
            ) from error
        return context

    def _add(self, context: ssl.SSLContext, domain: str) -> None:
        if domain in self._insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if domain in self._ca_files:
            context.load_verify_locations(expand_home(self._ca_files[domain], self._env))
        for root in self._roots:
            for path in _files(f"{root}/{domain}"):
                if path.endswith(".crt"):
                    context.load_verify_locations(path)
                elif path.endswith(".cert"):
                    context.load_cert_chain(path, path.removesuffix(".cert") + ".key")


class RoutedTransport(httpx.AsyncBaseTransport):
    """One transport for each pair of proxy and trust, made when first needed.

    A request goes only where its extension "reach" lets it, where `Chosen` does if it has none; with None it goes
    anywhere. `redirects` are hosts of private networks that the person trusts.
    """

    def __init__(self, env: Mapping[str, str], trust: Trust, redirects: Collection[str] = ()) -> None:
        self._env = env
        self._trust = trust
        self._redirects = redirects
        self._chosen = Chosen()
        self._transports: dict[tuple[str | None, str], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask by the transport of its proxy and trust. Raises httpx.ConnectError for what is no host name."""
        url = request.url
        proxy = proxy_for(url.scheme, url.host, self._env)
        limit: Limit | None = request.extensions.get("reach", self._chosen)
        if limit is not None:
            trace = await limit.check(url, proxied=proxy is not None, trusted=self._redirects)
            request.extensions = {**request.extensions, "trace": trace}
        key, context = "", None
        if url.scheme == "https":
            key, context = self._trust.context(url.netloc.decode())
        transport = self._transports.get((proxy, key if context else "http"))
        if transport is None:
            # verify=False without TLS: True would load every authority of the system for nothing
            transport = httpx.AsyncHTTPTransport(verify=context or False, proxy=proxy, trust_env=False)
            self._transports[proxy, key if context else "http"] = transport
        try:
            return await transport.handle_async_request(request)
        except UnicodeError as error:
            # getaddrinfo(3) is never reached: Python's own idna codec refuses a label of more than 63 letters
            unknown = socket.gaierror(socket.EAI_NONAME, str(error))
            raise httpx.ConnectError(f"{url.host[:80]} is no host name", request=request) from unknown

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


class ConnectionProblem:
    """Why a connection could not be made, probed from the exceptions below httpx's."""

    def __init__(self, error: httpx.TransportError) -> None:
        chain = list(_chain(error))
        self.untrusted = next((e for e in chain if isinstance(e, ssl.SSLCertVerificationError)), None)
        self.tls = next((e for e in chain if isinstance(e, ssl.SSLError)), None)
        self.unknown_host = next((e for e in chain if isinstance(e, socket.gaierror)), None)
        self.refused = next((e for e in chain if isinstance(e, ConnectionRefusedError)), None)
        self.text = problem_text(error)


def problem_text(error: httpx.TransportError | httpx.InvalidURL) -> str:
    """What httpx says of it; a time that ran out is said by its class alone."""
    if str(error):
        return str(error)
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection was closed"


def unreachable(domain: str, base: str, error: httpx.TransportError) -> RegistryError:
    """The error for a connection that could not be made, with its probed cause."""
    problem = ConnectionProblem(error)
    what = f"cannot reach the registry {domain}"
    if problem.unknown_host:
        host = urlsplit(base).hostname or domain
        return RegistryError(what, cause="no such host: the name does not resolve", mend=f"getent hosts {host}")
    if problem.refused:
        return RegistryError(what, cause=f"connection refused at {base}", mend=f"curl {base}/v2/")
    if problem.untrusted:
        return RegistryError(
            f"{what}: its certificate is not trusted",
            cause=problem.untrusted.verify_message,
            mend=f'in config.toml: [registries.ca] "{domain}" = "/path/of/its/ca.pem"',
        )
    if problem.tls:
        return RegistryError(
            f"{what}: no TLS connection could be made",
            cause=problem.tls.reason or str(problem.tls),
            mend=f'if it speaks plain HTTP, in config.toml: [registries] insecure = ["{domain}"]',
        )
    if isinstance(error, httpx.TimeoutException):
        return RegistryError(what, cause=f"no answer in time from {base}", mend=f"curl -v {base}/v2/")
    return RegistryError(what, cause=problem.text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def _default_authorities() -> tuple[str | None, str | None]:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        return paths.cafile, paths.capath
    # an interpreter built elsewhere (uv, pyenv, conda) may look where this system keeps nothing
    for file in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"):
        if os.path.exists(file):
            return file, None
    import certifi  # comes with httpx; the last resort

    return certifi.where(), None


def _files(directory: str) -> list[str]:
    try:
        return sorted(f"{directory}/{name}" for name in os.listdir(directory))
    except OSError:
        return []
