"""A client of the OCI distribution API (and Docker's Registry v2, which it grew out of), on httpx and trio: reading.

One `RegistryClient` speaks to one place about one repository. It tries again what may succeed the second time, and
believes no length and no digest it has not counted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

import httpx
import trio

from sandbox.errors import RegistryError
from sandbox.image.documents import (
    INDEX_TYPES,
    MANIFEST_BYTES_MAX,
    MANIFEST_TYPES,
    SCHEMA_1_TYPES,
)
from sandbox.image.media_types import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
)
from sandbox.image.registry.answers import continues, next_page, read_tags
from sandbox.image.registry.session import RegistrySession, Transient, read_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.image.documents import Descriptor

_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
#: what a manifest is sent as; the last ones are what servers that know no better call any document
_MANIFEST_TYPES = (
    INDEX_TYPES | MANIFEST_TYPES | SCHEMA_1_TYPES
    | {"", "application/json", "application/octet-stream", "binary/octet-stream", "text/plain"}
)  # fmt: skip
_TAGS_BYTES_MAX = 8 << 20
_TAG_PAGES_MAX = 1000
#: written at once: large enough that handing it to a thread costs little
_CHUNK_SIZE = 1 << 20
#: so much more of a blob is progress, after which failures are counted anew
_PROGRESS_BYTES = 1 << 20


class Fetched(NamedTuple):
    """A manifest or index as received, verified against `digest`."""

    data: bytes
    media_type: str
    digest: str


class BlobSink(Protocol):
    """What a blob is written to: storage's BlobWriter."""

    #: the bytes that are there
    offset: int

    def append(self, data: bytes) -> None: ...

    def restart(self) -> None: ...


class RegistryClient(RegistrySession):
    """Reads the repository of `reference` at one place."""

    async def check_login(self) -> None:
        """Make sure the credentials are accepted. Raises AuthenticationError."""
        await self.connect()
        await self.retrying(self._check_login)

    async def get_manifest(self, which: str) -> Fetched:
        """The manifest or index under a tag or digest. Raises NotFoundError, AuthenticationError, RegistryError."""
        await self.connect()
        return await self.retrying(lambda: self._get_manifest(which))

    async def list_tags(self) -> tuple[str, ...]:
        """Every tag of the repository. Raises RegistryError."""
        await self.connect()
        tags: list[str] = []
        path = f"/v2/{self.reference.path}/tags/list?n=1000"
        for _page in range(_TAG_PAGES_MAX):
            body, headers = await self.retrying(lambda path=path: self._get(path, {}, _TAGS_BYTES_MAX))  # type: ignore[misc]
            tags += read_tags(body, self.what)
            following = next_page(headers.get("Link", ""))
            if following is None:
                return tuple(tags)
            path = following
        raise RegistryError(f"{self.what} lists more than {_TAG_PAGES_MAX} pages of tags")

    async def get_page(self, path: str, limit: int) -> tuple[bytes, str | None]:
        """What a path of the registry answers, of `limit` bytes at the most, and the path of the page that follows.
        Raises as `get_manifest`.
        """
        await self.connect()
        body, headers = await self.retrying(lambda: self._get(path, {}, limit))
        return body, next_page(headers.get("Link", ""))

    async def download_blob(
        self, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None] = lambda _count: None
    ) -> None:
        """Append the blob to `sink` from `sink.offset` on, going on after breaks; `on_bytes` hears of each chunk.

        Never more than the descriptor's size is written. The digest is the sink's to verify. Raises RegistryError;
        what was written stays in the sink.
        """
        await self.connect()
        failures = 0
        while True:
            before = sink.offset
            try:
                return await self._download_rest(descriptor, sink, on_bytes)
            except Transient as transient:
                failures = 1 if sink.offset - before >= _PROGRESS_BYTES else failures + 1
                if failures >= self.retries.attempts:
                    raise transient.failure from transient
                await self.wait(failures, transient)

    async def _check_login(self) -> None:
        async with self.open("/v2/", {}) as response:
            await self.raise_for_status(response)

    async def _get_manifest(self, which: str) -> Fetched:
        path = f"/v2/{self.reference.path}/manifests/{which}"
        data, headers = await self._get(path, {"Accept": _ACCEPT}, MANIFEST_BYTES_MAX)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        promised = which if which.startswith("sha256:") else headers.get("Docker-Content-Digest", digest)
        if promised.startswith("sha256:") and promised != digest:
            raise RegistryError(
                f"the manifest of {self.what} does not match its digest",
                cause=f"wanted {promised}, received {digest}",
            )
        media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type not in _MANIFEST_TYPES:
            raise RegistryError(
                f"what came as the manifest of {self.what} is {media_type[:80]!r}, which no manifest is",
                cause="a proxy, a login page or another server may have answered in the registry's place",
            )
        return Fetched(data, media_type, digest)

    async def _get(self, path: str, headers: Mapping[str, str], limit: int) -> tuple[bytes, httpx.Headers]:
        async with self.open(path, headers) as response:
            await self.raise_for_status(response)
            body = await read_limited(response, limit)
            if len(body) > limit:
                raise RegistryError(f"{self.what}: the answer is larger than {limit >> 20} MiB")
            return body, response.headers

    async def _download_rest(self, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None]) -> None:
        if sink.offset == descriptor.size and descriptor.size:
            return
        headers = {"Range": f"bytes={sink.offset}-"} if sink.offset else {}
        path = f"/v2/{self.reference.path}/blobs/{descriptor.blob}"
        async with self.open(path, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and sink.offset:
                await trio.to_thread.run_sync(sink.restart)
                raise Transient(RegistryError(f"{self.what}: the registry cannot continue blob {descriptor.digest}"))
            await self.raise_for_status(response)
            if sink.offset and not continues(
                response.status_code, response.headers.get("Content-Range", ""), sink.offset
            ):
                await trio.to_thread.run_sync(sink.restart)
            await self._copy(response, descriptor, sink, on_bytes)

    async def _copy(
        self, response: httpx.Response, descriptor: Descriptor, sink: BlobSink, on_bytes: Callable[[int], None]
    ) -> None:
        pending = bytearray()
        remaining = descriptor.size - sink.offset
        try:
            async for chunk in response.aiter_raw(_CHUNK_SIZE):
                remaining -= len(chunk)
                if remaining < 0:
                    raise RegistryError(
                        f"{self.what}: the registry sends more of blob {descriptor.digest} than its "
                        f"{descriptor.size} bytes"
                    )
                pending += chunk
                if len(pending) >= _CHUNK_SIZE:
                    data, pending = bytes(pending), bytearray()
                    await trio.to_thread.run_sync(sink.append, data)
                    on_bytes(sink.offset)
        finally:
            # what came before a break is kept, and so is what came before a cancellation
            if pending and remaining >= 0:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(sink.append, bytes(pending))
                    on_bytes(sink.offset)
        if remaining:
            raise Transient(
                RegistryError(
                    f"{self.what}: blob {descriptor.digest} ended after {sink.offset} of {descriptor.size} bytes",
                    mend="pull again: it goes on from there",
                )
            )
