"""`login` and `logout`: credentials tried at the registry, then kept where Docker keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.config import load_config
from sandbox.errors import UsageError
from sandbox.image.platforms import host_platform
from sandbox.image.references import DEFAULT_DOMAIN, Reference, is_domain
from sandbox.image.registry.docker_config import Credentials, DockerConfig
from sandbox.image.registry.endpoints import endpoints_for
from sandbox.image.transfer.progress import QuietProgress
from sandbox.image.transfer.pull_job import Job
from sandbox.image.trio_runs import run_trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.paths import Paths


class LoggedIn(NamedTuple):
    """Where the credentials are now."""

    kept_in: str
    #: in a plain file, not in a helper's keeping
    plain: bool


def registry_domain(text: str) -> str:
    """The domain of what people type for a registry: a host, a URL, or nothing for Docker Hub. Raises UsageError."""
    domain = text.partition("://")[2] if "://" in text else text
    domain = domain.partition("/")[0]
    if domain in ("", "docker.io", "index.docker.io", "registry-1.docker.io"):
        return DEFAULT_DOMAIN
    if not is_domain(domain):
        raise UsageError(f"{text!r} is not a registry", cause="a registry is host or host:port")
    return domain


def log_in(paths: Paths, env: Mapping[str, str], domain: str, credentials: Credentials) -> LoggedIn:
    """Try the credentials at the registry and keep them. Raises AuthenticationError when they are refused."""
    config = DockerConfig(env)
    check_login(paths, env, domain, credentials)
    kept_in = config.store(domain, credentials)
    return LoggedIn(kept_in, kept_in == config.path)


def check_login(paths: Paths, env: Mapping[str, str], domain: str, credentials: Credentials) -> None:
    """Try the credentials at the registry. Raises AuthenticationError when they are refused, RegistryError."""
    job = Job(paths, env, load_config(paths), host_platform(), False, QuietProgress())

    async def check() -> None:
        from sandbox.image.registry.reading import RegistryClient
        from sandbox.image.transfer.fetching import open_http

        # the registry itself, not its mirrors
        endpoint = endpoints_for(domain, job.config.registries)[-1]
        async with open_http(job) as http:
            await RegistryClient(http, endpoint, Reference(domain, ""), credentials).check_login()

    run_trio(check)


def log_out(env: Mapping[str, str], domain: str) -> bool:
    """Forget the credentials for a registry; whether there were any."""
    return DockerConfig(env).erase(domain)
