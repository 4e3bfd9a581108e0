"""Writing to a registry: blobs and manifests (distribution-spec §Push).

    HEAD blob ── there ───────────────────────────────────────────────▶ exists
      │ POST uploads/?mount=…&from=… ── 201 ──────────────────────────▶ mounted, no byte was sent
      └ 202, a place ─▶ small: PUT all of it
                        else: PATCH what is left, then PUT ───────────▶ pushed

A connection that breaks on the way is asked how far it came (GET of the place) and goes on from there; a registry that
cannot say (distribution 2 cannot) gets the blob anew. One that refuses large requests (413) gets pieces.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

import httpx
import trio

from sandbox.errors import RegistryError
from sandbox.image.registry.answers import error_text, received_bytes
from sandbox.image.registry.session import ERROR_BYTES_MAX, Body, RegistrySession, Transient, read_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_SIZE = 1 << 20
#: sent in the request that closes the upload, which saves one
_SMALL = 8 << 20
#: for a registry, or a proxy before it, that refuses more at once
_PIECE = 16 << 20
#: so much more of a blob is progress, after which failures are counted anew
_PROGRESS_BYTES = 1 << 20
_OCTETS = "application/octet-stream"


class Source(NamedTuple):
    """A blob of `size` bytes to send; `fd` is open on it, for reading at any place, until it is there."""

    digest: str
    size: int
    fd: int


class _Upload:
    """A blob on its way: the `place` the registry named, and how much is there."""

    def __init__(self) -> None:
        self.place = ""
        self.offset = 0
        self.piece: int | None = None


class RegistryWriter(RegistrySession):
    """Writes to the repository of `reference`."""

    async def has_blob(self, digest: str) -> bool:
        """Whether the repository has the blob already."""
        await self.connect()
        return await self.retrying(lambda: self._has_blob(digest))

    async def push_blob(
        self, source: Source, mount_from: str = "", on_bytes: Callable[[int], None] = lambda _count: None
    ) -> bool:
        """Bring the blob there, or mount it from the repository `mount_from`, which is true; `on_bytes` hears how much
        of it is there. Raises RegistryError, AuthenticationError.
        """
        await self.connect()
        failures = 0
        upload = _Upload()
        while True:
            before = upload.offset
            try:
                return await self._push_blob(source, mount_from, upload, on_bytes)
            except Transient as transient:
                failures = 1 if upload.offset - before >= _PROGRESS_BYTES else failures + 1
                if failures >= self.retries.attempts:
                    await self._cancel(upload)
                    raise transient.failure from transient
                await self.wait(failures, transient)
            except RegistryError:
                await self._cancel(upload)
                raise

    async def mount_blob(self, digest: str, mount_from: str) -> bool:
        """Have the blob here that the repository `mount_from` of the registry has; whether the registry does that."""
        await self.connect()
        upload = _Upload()
        if await self.retrying(lambda: self._start(Source(digest, 0, -1), mount_from, upload)):
            return True
        await self._cancel(upload)
        return False

    async def put_manifest(self, which: str, data: bytes, media_type: str, digest: str) -> None:
        """Let the tag or digest `which` name the manifest."""
        await self.connect()
        await self.retrying(lambda: self._put_manifest(which, data, media_type, digest))

    async def _has_blob(self, digest: str) -> bool:
        async with self.open(f"/v2/{self.reference.path}/blobs/{digest}", {}, "HEAD") as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return False
            await self.raise_for_status(response)
            return True

    async def _push_blob(
        self, source: Source, mount_from: str, upload: _Upload, on_bytes: Callable[[int], None]
    ) -> bool:
        if upload.place and not await self._resume(upload, source):
            # what broke may have been the answer alone
            if await self._has_blob(source.digest):
                return False
            upload.place = ""
        if not upload.place and await self._start(source, mount_from, upload):
            return True
        while source.size - upload.offset > (_SMALL if not upload.offset and upload.piece is None else 0):
            await self._patch(source, upload, on_bytes)
        await self._finish(source, upload, on_bytes)
        return False

    async def _start(self, source: Source, mount_from: str, upload: _Upload) -> bool:
        """True when the blob was mounted instead."""
        upload.offset = 0
        path = f"/v2/{self.reference.path}/blobs/uploads/"
        asked = f"?{urlencode({'mount': source.digest, 'from': mount_from})}" if mount_from else ""
        async with self.open(path + asked, {}, "POST") as response:
            if mount_from and response.is_client_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                # a registry that knows no mounting, or does not let us read there
                return await self._start(source, "", upload)
            await self.raise_for_status(response)
            if response.status_code == httpx.codes.CREATED and mount_from:
                return True
            self._take_place(response, upload)
            return False

    async def _patch(self, source: Source, upload: _Upload, on_bytes: Callable[[int], None]) -> None:
        size = min(source.size - upload.offset, upload.piece or source.size)
        whole = size == source.size
        end = upload.offset + size
        headers = {"Content-Type": _OCTETS}
        if not whole:
            headers["Content-Range"] = f"{upload.offset}-{end - 1}"
        body = _body(source, upload.offset, size, on_bytes)
        async with self.open(upload.place, headers, "PATCH", body) as response:
            if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and upload.piece is None:
                upload.piece = _PIECE
                raise Transient(await self._refused(response, "the registry takes no request that large"), 0.0)
            await self._raise_for_upload(response)
            upload.offset = end
            self._take_place(response, upload)

    async def _finish(self, source: Source, upload: _Upload, on_bytes: Callable[[int], None]) -> None:
        left = source.size - upload.offset
        body = _body(source, upload.offset, left, on_bytes)
        place = f"{upload.place}{'&' if '?' in upload.place else '?'}digest={quote(source.digest, safe='')}"
        async with self.open(place, {"Content-Type": _OCTETS}, "PUT", body) as response:
            if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and upload.piece is None and left:
                upload.piece = 1 << 20
                raise Transient(await self._refused(response, "the registry takes no request that large"), 0.0)
            await self._raise_for_upload(response)
            self._check_digest(response.headers, source.digest)
        on_bytes(source.size)

    async def _resume(self, upload: _Upload, source: Source) -> bool:
        """How far the upload came, asked of the registry; false where it must begin again."""
        async with self.open(upload.place, {}, "GET") as response:
            received = received_bytes(response.headers.get("Range", ""))
            if response.status_code != httpx.codes.NO_CONTENT or not 0 < received <= source.size:
                return False
            if "Location" in response.headers:
                self._take_place(response, upload)
            upload.offset = received
            return True

    async def _cancel(self, upload: _Upload) -> None:
        """Let the registry throw away what came; it does so itself after days."""
        if not upload.place:
            return
        with trio.move_on_after(2, shield=True):
            try:
                async with self.open(upload.place, {}, "DELETE"):
                    pass
            except (Transient, RegistryError):
                pass

    async def _put_manifest(self, which: str, data: bytes, media_type: str, digest: str) -> None:
        path = f"/v2/{self.reference.path}/manifests/{which}"
        async with self.open(path, {"Content-Type": media_type}, "PUT", data) as response:
            await self.raise_for_status(response)
            self._check_digest(response.headers, digest)

    def _take_place(self, response: httpx.Response, upload: _Upload) -> None:
        if "Location" not in response.headers:
            raise RegistryError(f"{self.what}: the registry names no place for the upload", cause="no Location header")
        upload.place = str(self.redirect_target(response))

    async def _raise_for_upload(self, response: httpx.Response) -> None:
        if response.status_code in (
            httpx.codes.NOT_FOUND, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE, httpx.codes.BAD_REQUEST
        ):  # fmt: skip
            # the upload has gone, or came to another point than we think: what a break before this leaves
            raise Transient(await self._refused(response, "the registry lost the upload"))
        await self.raise_for_status(response)

    async def _refused(self, response: httpx.Response, why: str) -> RegistryError:
        text = error_text(await read_limited(response, ERROR_BYTES_MAX))
        return RegistryError(
            f"{self.what}: {why}", cause=text or f"it answered {response.status_code} {response.reason_phrase}"
        )

    def _check_digest(self, headers: Mapping[str, str], digest: str) -> None:
        stored = headers.get("Docker-Content-Digest", digest)
        if stored != digest and stored.startswith("sha256:"):
            raise RegistryError(
                f"{self.what}: the registry stored something else", cause=f"sent {digest}, it says {stored[:80]}"
            )


class _Chunks:
    """The bytes of a part of a blob, read as they are sent. No generator: one that is left half-way must be closed."""

    def __init__(self, source: Source, offset: int, size: int, on_bytes: Callable[[int], None]) -> None:
        self._source, self._offset, self._end, self._on_bytes = source, offset, offset + size, on_bytes

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        self._on_bytes(self._offset)
        if self._offset == self._end:
            raise StopAsyncIteration
        data = await trio.to_thread.run_sync(
            os.pread, self._source.fd, min(self._end - self._offset, _READ_SIZE), self._offset
        )
        if not data:
            raise RegistryError(
                f"blob {self._source.digest} is shorter on disk than its {self._source.size} bytes",
                mend="remove the image, and pull or build it again",
            )
        self._offset += len(data)
        return data


def _body(source: Source, offset: int, size: int, on_bytes: Callable[[int], None]) -> Body:
    return Body(size, lambda: _Chunks(source, offset, size, on_bytes))
