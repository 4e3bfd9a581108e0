"""The part of a pull that runs in trio: which documents, which blobs, in which order, and when it is all there."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import httpx
import trio

from sandbox.errors import (
    AuthenticationError,
    ImageError,
    ImageNotFoundError,
    NotFoundError,
    RegistryError,
    SandboxError,
)
from sandbox.image.documents import (
    CONFIG_BYTES_MAX,
    FOREIGN_LAYER_TYPES,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    check_image,
    decode_config,
    decode_manifest,
)
from sandbox.image.events import transfer_event
from sandbox.image.layer_blobs import add_source
from sandbox.image.platforms import Platform, choose_platform
from sandbox.image.recording import base_lock, image_platform, make_record, plan_layers, save_record
from sandbox.image.registry.reading import Fetched, RegistryClient
from sandbox.image.registry.session import TIMEOUT
from sandbox.image.registry.transport import RoutedTransport, Trust
from sandbox.image.transfer.pull_job import Pulled
from sandbox.image.transfer.unpacking import open_pool
from sandbox.state import open_state
from sandbox.version import __version__
from storage.errors import StorageError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from sandbox.image.references import Reference
    from sandbox.image.registry.docker_config import Credentials
    from sandbox.image.registry.endpoints import Endpoint
    from sandbox.image.store import ImageRecord
    from sandbox.image.stored_layer import Layer
    from sandbox.image.transfer.pull_job import Job
    from sandbox.image.transfer.unpacking import UnpackPool
    from storage.content import BlobWriter, ContentStore
    from storage.digests import Digest
    from storage.layers.store import LayerStore


_T = TypeVar("_T")
#: how long a registry is asked, and how much of its answer is shown, for the sake of an error
_TAGS_SECONDS = 10
_TAGS_SHOWN = 8


@asynccontextmanager
async def open_http(job: Job) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with the proxies and the trust of `job`."""
    registries = job.config.registries
    trust = Trust(job.env, job.paths.config_root, registries.ca_files, frozenset(registries.insecure))
    async with httpx.AsyncClient(
        transport=RoutedTransport(job.env, trust, registries.redirects),
        headers={"User-Agent": f"sandbox/{__version__}"},
        follow_redirects=False,
        timeout=TIMEOUT,
        trust_env=False,
    ) as client:
        yield client


class _Image(NamedTuple):
    """An image resolved: its documents, verified, and where its blobs come from."""

    source: RegistryClient
    digest: str  # what the registry calls it: index or manifest
    manifest: Manifest
    manifest_data: bytes
    config: ImageConfig
    config_data: bytes


class Fetcher:
    """One pull."""

    def __init__(self, job: Job, content: ContentStore, layers: LayerStore) -> None:
        self._job = job
        self._content = content
        self._layers = layers
        self._progress = job.progress

    def sources(
        self, http: httpx.AsyncClient, reference: Reference, places: Sequence[tuple[Endpoint, Credentials | None]]
    ) -> tuple[RegistryClient, ...]:
        """A client for each place that serves the repository, best first."""
        return tuple(RegistryClient(http, endpoint, reference, credentials) for endpoint, credentials in places)

    async def pull(
        self,
        reference: Reference,
        sources: Sequence[RegistryClient],
        sockets: Sequence[socket.socket],
        *,
        all_tags: bool,
    ) -> tuple[Pulled, ...]:
        """Pull `reference`, or every tag of its repository."""
        async with open_pool(self._layers, sockets, self._progress.warning, self._progress.layer_unpacked) as pool:
            if not all_tags:
                return (await self._pull_one(reference, sources, pool),)
            tags = await _first(sources, lambda source: source.list_tags())
            return tuple([await self._pull_one(reference._replace(tag=tag), sources, pool) for tag in sorted(tags)])

    async def _pull_one(self, reference: Reference, sources: Sequence[RegistryClient], pool: UnpackPool) -> Pulled:
        self._progress.line(f"{reference.tag or reference.digest}: Pulling from {reference.path}")
        image = await self._resolve(reference, sources)
        layers = plan_layers([layer.blob for layer in image.manifest.layers], image.config, self._content,
                             reference.familiar)  # fmt: skip
        await self._bring_layers(image, layers, pool)
        record = await trio.to_thread.run_sync(self._store_documents, image, layers)
        names = [] if reference.digest else [reference]
        told = [transfer_event("pull", reference, record.config)]
        changed = save_record(self._job.paths, record, names, [(reference.repository, image.digest)], told)
        self._remember_source(reference, image)
        self._progress.line(f"Digest: {image.digest}")
        verb = "Downloaded newer image for" if changed else "Image is up to date for"
        self._progress.line(f"Status: {verb} {reference.familiar}")
        return Pulled(reference, record, image.digest, changed)

    def _remember_source(self, reference: Reference, image: _Image) -> None:
        with open_state(self._job.paths) as connection:
            blobs = (image.manifest.config, *image.manifest.layers)
            add_source(connection, reference, [descriptor.digest for descriptor in blobs])

    # --- documents

    async def _resolve(self, reference: Reference, sources: Sequence[RegistryClient]) -> _Image:
        what = reference.familiar

        async def fetch(source: RegistryClient) -> tuple[RegistryClient, Fetched]:
            return source, await source.get_manifest(reference.digest or reference.tag)

        try:
            source, fetched = await _first(sources, fetch)
        except NotFoundError as error:
            if not reference.digest:
                await _name_tags(error, reference, sources[-1])
            raise
        document = decode_manifest(fetched.data, fetched.media_type, what)
        data = fetched.data
        if isinstance(document, Index):
            chosen = self._choose(document, what)
            nested = await source.get_manifest(chosen.blob)
            if len(nested.data) != chosen.size:
                raise ImageError(f"{what}: the manifest has {len(nested.data)} bytes, its index says {chosen.size}")
            document, data = decode_manifest(nested.data, chosen.media_type, what), nested.data
            if isinstance(document, Index):
                raise ImageError(f"{what}: an index inside an index")
        check_image(document, what)
        config_data = await self._fetch_config(source, document.config, what)
        config = decode_config(config_data, what)
        self._check_platform(config, what)
        return _Image(source, fetched.digest, document, data, config, config_data)

    def _choose(self, index: Index, what: str) -> Descriptor:
        offered = [entry for entry in index.manifests if entry.platform and not _is_attestation(entry)]
        platforms = [
            Platform(p.os, p.architecture, p.variant) for entry in offered if (p := entry.platform) is not None
        ]
        position = choose_platform(self._job.platform, platforms)
        if position is not None:
            return offered[position]
        if not offered and len(index.manifests) == 1:
            return index.manifests[0]
        raise ImageNotFoundError(
            f"no matching manifest for {self._job.platform} in the manifest list of {what}",
            cause=f"it has {', '.join(map(str, platforms)) or 'no platforms'}",
            mend=f"sandbox pull --platform {platforms[0]} {what}" if platforms else "",
        )

    def _check_platform(self, config: ImageConfig, what: str) -> None:
        platform = image_platform(config)
        if choose_platform(self._job.platform, [platform]) is not None:
            return
        if self._job.platform_asked:
            raise ImageNotFoundError(
                f"image with reference {what} was found but does not provide the specified platform "
                f"({self._job.platform})",
                cause=f"it is for {platform}",
                mend=f"sandbox pull --platform {platform} {what}",
            )
        self._progress.warning(f"WARNING: {what} is for {platform}, this machine is {self._job.platform}")

    async def _fetch_config(self, source: RegistryClient, descriptor: Descriptor, what: str) -> bytes:
        if descriptor.size > CONFIG_BYTES_MAX:
            raise ImageError(f"{what}: the image config is larger than {CONFIG_BYTES_MAX >> 20} MiB")
        await self._bring_blob(source, descriptor)
        return await trio.to_thread.run_sync(self._content.read, descriptor.blob, CONFIG_BYTES_MAX)

    def _store_documents(self, image: _Image, layers: Sequence[Layer]) -> ImageRecord:
        manifest_digest = self._content.put(image.manifest_data)
        image_id = image.manifest.config.blob
        return make_record(image_id, manifest_digest, image.config, image.config_data, layers, self._layers)

    # --- layers

    async def _bring_layers(self, image: _Image, layers: Sequence[Layer], pool: UnpackPool) -> None:
        arrived = {layer.blob: trio.Event() for layer in layers}
        async with trio.open_nursery() as nursery:
            await self._start_downloads(nursery, image, arrived)
            if not all(self._layers.has(layer.chain_id) for layer in layers):
                # the downloads go on meanwhile: blobs have locks of their own
                async with base_lock(self._job.paths, layers):
                    await self._install_all(pool, layers, arrived)

    async def _install_all(self, pool: UnpackPool, layers: Sequence[Layer], arrived: dict[Digest, trio.Event]) -> None:
        async with trio.open_nursery() as nursery:
            lower_ready = trio.Event()
            lower_ready.set()
            for position in range(len(layers)):
                done = trio.Event()
                nursery.start_soon(self._install, pool, layers, position, arrived, lower_ready, done)
                lower_ready = done

    async def _install(
        self,
        pool: UnpackPool,
        layers: Sequence[Layer],
        position: int,
        arrived: dict[Digest, trio.Event],
        lower_ready: trio.Event,
        done: trio.Event,
    ) -> None:
        layer = layers[position]
        await arrived[layer.blob].wait()
        already = self._layers.has(layer.chain_id)
        await pool.install(layers, position, lower_ready, done)
        self._progress.layer(layer.blob, "Already exists" if already else "Pull complete")

    async def _start_downloads(self, nursery: trio.Nursery, image: _Image, arrived: dict[Digest, trio.Event]) -> None:
        queue: list[Descriptor] = []
        for descriptor in {layer.blob: layer for layer in image.manifest.layers}.values():
            if self._content.has(descriptor.blob):
                arrived[descriptor.blob].set()
                continue
            if descriptor.media_type in FOREIGN_LAYER_TYPES or descriptor.urls:
                self._progress.warning(
                    f"{descriptor.digest}: foreign URLs are not followed, asking the registry itself"
                )
            self._progress.layer(descriptor.blob, "Pulling fs layer")
            queue.append(descriptor)
        # the largest first: the last to arrive is unpacked alone
        queue.sort(key=lambda descriptor: -descriptor.size)
        for _task in range(min(self._job.config.registries.concurrency, len(queue))):
            nursery.start_soon(self._download_from_queue, image.source, queue, arrived)

    async def _download_from_queue(
        self, source: RegistryClient, queue: list[Descriptor], arrived: dict[Digest, trio.Event]
    ) -> None:
        # no checkpoint between the look and the pop
        while queue:
            descriptor = queue.pop(0)
            await self._bring_blob(source, descriptor)
            self._progress.layer(descriptor.blob, "Download complete")
            arrived[descriptor.blob].set()

    async def _bring_blob(self, source: RegistryClient, descriptor: Descriptor) -> None:
        """Download a blob into the content store, unless it is there or another process has brought it meanwhile."""
        blob = descriptor.blob
        if self._content.has(blob):
            return
        try:
            for may_restart in (True, False):
                if await self._download(source, descriptor, may_restart=may_restart):
                    return
        except StorageError as error:
            raise RegistryError(error.message, cause=error.cause, mend=error.mend) from error

    async def _download(self, source: RegistryClient, descriptor: Descriptor, *, may_restart: bool) -> bool:
        """False when what was resumed turned out damaged, and can be had anew."""
        writer = self._content.writer(descriptor.blob, descriptor.size)
        entered: BlobWriter = await trio.to_thread.run_sync(writer.__enter__, abandon_on_cancel=True)
        try:
            if entered.done:
                return True
            resumed = entered.offset > 0
            await source.download_blob(
                descriptor,
                entered,
                lambda count: self._progress.layer_bytes(descriptor.blob, count, descriptor.size),
            )
            try:
                await trio.to_thread.run_sync(entered.commit)
            except StorageError:
                # an old partial may be from a registry that lied, or from before a power failure
                if resumed and may_restart:
                    return False
                raise
            return True
        finally:
            writer.__exit__(None, None, None)


async def _name_tags(error: NotFoundError, reference: Reference, source: RegistryClient) -> None:
    """Let `error`, of a tag that is not there, say which are, where the registry tells."""
    tags: tuple[str, ...] = ()
    with trio.move_on_after(_TAGS_SECONDS), suppress(SandboxError):
        tags = tuple(sorted(await source.list_tags()))
    if not tags:
        return
    from sandbox.near_names import nearest  # only an error pays for it

    more = f" and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
    near = nearest(reference.tag, tags) or ("latest" if "latest" in tags else tags[-1])
    error.cause = f"its tags are {', '.join(tags[:_TAGS_SHOWN])}{more}"
    error.mend = f"sandbox pull {reference._replace(tag=near).familiar}"


async def _first(sources: Sequence[RegistryClient], action: Callable[[RegistryClient], Awaitable[_T]]) -> _T:
    """What the first place answers that has it. The last one's error, with what the mirrors before it said."""
    refusals: list[str] = []
    for source in sources[:-1]:
        try:
            return await action(source)
        except (NotFoundError, AuthenticationError, RegistryError) as error:
            refusals.append(f"mirror {source.domain}: {error.cause or error.message}")
    try:
        return await action(sources[-1])
    except SandboxError as error:
        if refusals:
            error.cause = "; ".join(filter(None, [error.cause, *refusals]))
        raise


def _is_attestation(entry: Descriptor) -> bool:
    # BuildKit's provenance and SBOM, listed with a platform that is none
    return bool(entry.platform and entry.platform.os == "unknown")
