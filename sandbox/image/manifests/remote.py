"""One repository of a registry, asked for documents or given some: what `manifest` and `imagetools` speak with."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from sandbox.config import load_config
from sandbox.errors import AuthenticationError, ImageError, NotFoundError, RegistryError
from sandbox.image.documents import CONFIG_BYTES_MAX, Descriptor, Index, Manifest, decode_manifest
from sandbox.image.platforms import host_platform
from sandbox.image.registry.endpoints import endpoints_for
from sandbox.image.transfer.progress import QuietProgress
from sandbox.image.transfer.pull_job import Job
from sandbox.image.trio_runs import run_trio
from storage.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sandbox.image.references import Reference
    from sandbox.image.registry.reading import Fetched, RegistryClient
    from sandbox.image.registry.writing import RegistryWriter
    from sandbox.operation_context import OperationContext

    _T = TypeVar("_T")


class Place:
    """Where the documents of `reference` are: its registry, reached as the settings say; with `insecure` also without
    TLS, or with a certificate that nobody has signed. `host` is another one that stands for it; with `mirrors` those
    are asked first that stand before it.
    """

    def __init__(
        self,
        context: OperationContext,
        reference: Reference,
        *,
        insecure: bool = False,
        host: str = "",
        mirrors: bool = False,
    ) -> None:
        config = load_config(context.paths)
        registries = config.registries
        if insecure:
            registries = registries._replace(insecure=(*registries.insecure, reference.domain))
        job_config = config._replace(registries=registries)
        self._job = Job(context.paths, context.env, job_config, host_platform(), False, QuietProgress())
        self._reference = reference
        self._host = host
        self._mirrors = mirrors

    def ask(self, talk: Callable[[RegistryClient], Awaitable[_T]]) -> _T:
        """What `talk` finds out. Raises RegistryError, AuthenticationError, NotFoundError."""

        async def main() -> _T:
            async with self._readers() as clients:
                for client in clients[:-1]:
                    # as a pull does: whatever ails a mirror, the next one is asked
                    with suppress(NotFoundError, AuthenticationError, RegistryError):
                        return await talk(client)
                return await talk(clients[-1])

        return run_trio(main)

    def give(self, talk: Callable[[RegistryWriter], Awaitable[_T]], sources: tuple[str, ...] = ()) -> _T:
        """What comes of it when something is written; blobs may be mounted from the repositories `sources`. Raises as
        `ask`.
        """
        from sandbox.image.registry.docker_config import DockerConfig
        from sandbox.image.registry.session import Access
        from sandbox.image.registry.writing import RegistryWriter
        from sandbox.image.transfer.fetching import open_http

        async def main() -> _T:
            endpoint = endpoints_for(self._reference.domain, self._job.config.registries)[-1]
            credentials = DockerConfig(self._job.env).find(endpoint.domain)
            async with open_http(self._job) as http:
                access = Access("push", "pull,push", sources)
                return await talk(RegistryWriter(http, endpoint, self._reference, credentials, access=access))

        return run_trio(main)

    @asynccontextmanager
    async def _readers(self) -> AsyncIterator[list[RegistryClient]]:
        # 300 ms of imports, for what speaks to a registry
        from sandbox.image.registry.docker_config import DockerConfig
        from sandbox.image.registry.reading import RegistryClient
        from sandbox.image.transfer.fetching import open_http

        *mirrors, endpoint = endpoints_for(self._reference.domain, self._job.config.registries)
        if self._host:
            endpoint = endpoint._replace(location=self._host)
        # the registry itself, where what is made of it goes there: a mirror may be behind
        endpoints = [*(mirrors if self._mirrors else ()), endpoint]
        config = DockerConfig(self._job.env)
        async with open_http(self._job) as http:
            yield [RegistryClient(http, one, self._reference, config.find(one.domain)) for one in endpoints]


async def fetch_document(client: RegistryClient) -> Fetched:
    """The manifest or index that the reference of `client` names."""
    return await client.get_manifest(client.reference.digest or client.reference.tag or "latest")


def decoded(fetched: Fetched, what: str) -> Manifest | Index:
    """The document that was fetched. Raises ImageError."""
    return decode_manifest(fetched.data, fetched.media_type, what)


async def fetch_config(client: RegistryClient, descriptor: Descriptor, what: str) -> bytes:
    """The configuration that a manifest names, verified. Raises ImageError, RegistryError."""
    return await fetch_blob(client, descriptor, f"{what}: the image config")


async def fetch_blob(client: RegistryClient, descriptor: Descriptor, what: str) -> bytes:
    """A small blob, verified; `what` is it called in errors. Raises ImageError, RegistryError."""
    if descriptor.size > CONFIG_BYTES_MAX:
        raise ImageError(f"{what} is larger than {CONFIG_BYTES_MAX >> 20} MiB")
    kept = _Memory()
    await client.download_blob(descriptor, kept)
    data = bytes(kept.data)
    if digest_of(data) != descriptor.digest:
        raise ImageError(f"{what} does not match its digest {descriptor.digest}")
    return data


class _Memory:
    """A blob in memory."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.offset = 0

    def append(self, data: bytes) -> None:
        self.data += data
        self.offset = len(self.data)

    def restart(self) -> None:
        self.data.clear()
        self.offset = 0
