"""Push: names of images here → blobs and manifests in a registry.

1. What is pushed is settled with the store held: the images, and of each a manifest whose layers are in the form that
   leaves (`layer_blobs`). Layers that came from a registry keep their blobs, and with them the image its digest.
2. The blobs that the repository lacks go out several at once: mounted from another repository of the same registry
   where one is known to have them, else sent.
3. The manifest goes last, so that a name never leads to what is not there.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from sandbox.config import load_config
from sandbox.errors import ImageError, ImageNotFoundError, UsageError, translated
from sandbox.events import emit
from sandbox.image.copies import keep_image_copies
from sandbox.image.events import config_of, transfer_event
from sandbox.image.go_json import load_document
from sandbox.image.layer_blobs import LayerForm, add_source, form_layers, sources_of
from sandbox.image.media_types import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_MANIFEST
from sandbox.image.platforms import host_platform, require_platform
from sandbox.image.recording import content_store, images_lock
from sandbox.image.references import DEFAULT_TAG, Reference, parse_reference
from sandbox.image.registry.endpoints import endpoints_for
from sandbox.image.store import find_image, tags_of
from sandbox.image.transfer.pull_job import Job
from sandbox.image.trio_runs import run_trio
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import digest_of, parse_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from sandbox.image.registry.writing import RegistryWriter
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths
    from storage.content import ContentStore


class PushJob(NamedTuple):
    """What is pushed under one name: the manifest, and the blobs it needs as (shown name, digest, size)."""

    reference: Reference
    image_id: str
    manifest: bytes
    blobs: tuple[tuple[str, str, int], ...]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def push_image(
    paths: Paths, env: Mapping[str, str], text: str, progress: Progress, *, all_tags: bool = False,
    platform: str | None = None,
) -> tuple[PushJob, ...]:  # fmt: skip
    """Bring the image `text` names, or every tag of the repository, to its registry, and tell `progress` about it.

    Raises SandboxError with the cause: no such image here, credentials, what the registry answered.
    """
    reference = parse_reference(text)
    if reference.digest:
        raise UsageError("cannot push a digest reference", mend=f"sandbox push {reference.familiar_repository}:TAG")
    if all_tags and reference.tag:
        raise UsageError(
            "tag can't be used with --all-tags/-a", mend=f"sandbox push -a {reference.familiar_repository}"
        )
    if not all_tags and not reference.tag:
        progress.line(f"Using default tag: {DEFAULT_TAG}")
        reference = reference._replace(tag=DEFAULT_TAG)
    with images_lock(paths):
        progress.line(f"The push refers to repository [{reference.repository}]")
        jobs = _plan(paths, reference, all_tags=all_tags, platform=platform)
        push_jobs(paths, env, jobs, progress)
    return jobs


def _plan(paths: Paths, reference: Reference, *, all_tags: bool, platform: str | None) -> tuple[PushJob, ...]:
    with open_state(paths) as connection:
        names = tags_of(connection, reference.repository) if all_tags else (reference,)
        jobs = []
        for name in names:
            record = find_image(connection, name.name)
            if record is None:
                break
            require_platform(record.platform, platform, name.familiar)
            jobs.append(plan_push(connection, content_store(paths), record, name, LayerForm()))
        if jobs and len(jobs) == len(names):
            return tuple(jobs)
    raise ImageNotFoundError(
        f"An image does not exist locally with the tag: {reference.familiar_repository}"
        + (f":{reference.tag}" if reference.tag not in ("", DEFAULT_TAG) else ""),
        mend=f"sandbox tag IMAGE {reference.familiar}; sandbox images lists what is here",
    )


def plan_push(
    connection: sqlite3.Connection, content: ContentStore, record: ImageRecord, name: Reference, form: LayerForm
) -> PushJob:
    """What goes to the registry for an image; its blobs are in the store then. Raises ImageError."""
    with translated(ImageError, f"cannot read the manifest of {name.familiar}"):
        data = content.read(parse_digest(record.manifest_digest))
    diff_ids = record.config["rootfs"].get("diff_ids") or ()
    document = load_document(data)
    layers = form_layers(connection, content, diff_ids, document["layers"], form)
    if layers != document["layers"]:
        data = json.dumps({**document, "layers": layers}, separators=(",", ":")).encode()
    shown = [(diff_id, layer["digest"], layer["size"]) for diff_id, layer in zip(diff_ids, layers, strict=True)]
    config = (record.id, record.id, document["config"]["size"])
    return PushJob(name, record.id, data, (*shown, config))


def push_jobs(paths: Paths, env: Mapping[str, str], jobs: Sequence[PushJob], progress: Progress) -> None:
    """Send them, all to one repository. The caller holds the store."""
    # 300 ms of imports, for what speaks to a registry
    from sandbox.image.registry.docker_config import DockerConfig
    from sandbox.image.registry.session import Access
    from sandbox.image.registry.writing import RegistryWriter
    from sandbox.image.transfer.fetching import open_http

    job = Job(paths, env, load_config(paths), host_platform(), False, progress)
    reference = jobs[0].reference
    # the registry itself: a mirror is for reading
    endpoint = endpoints_for(reference.domain, job.config.registries)[-1]
    credentials = DockerConfig(env).find(endpoint.domain)
    mounts = _find_mounts(paths, jobs)
    access = Access("push", "pull,push", tuple(sorted(set(mounts.values()))))

    async def main() -> None:
        pusher = _Pusher(job, mounts)
        async with open_http(job) as http:
            for one in jobs:
                await pusher.push(RegistryWriter(http, endpoint, one.reference, credentials, access=access), one)

    run_trio(main)
    _remember(paths, jobs)


def _find_mounts(paths: Paths, jobs: Sequence[PushJob]) -> dict[str, str]:
    """For each blob a repository of the same registry that has it, where one is known."""
    reference = jobs[0].reference
    with open_state(paths) as connection:
        found = {}
        for digest in {digest for job in jobs for _shown, digest, _size in job.blobs}:
            places = [path for domain, path in sources_of(connection, digest) if domain == reference.domain]
            if places and reference.path not in places:
                found[digest] = places[0]
        return found


def _remember(paths: Paths, jobs: Sequence[PushJob]) -> None:
    with open_state(paths) as connection:
        for job in jobs:
            add_source(connection, job.reference, [digest for _shown, digest, _size in job.blobs])
            # the image may have been removed while it was on its way
            with transaction(connection):
                connection.execute(
                    "INSERT OR IGNORE INTO image_digest SELECT ?, ?, id FROM image WHERE id = ?",
                    (job.reference.repository, job.digest, job.image_id),
                )
                emit(connection, transfer_event("push", job.reference, config_of(connection, job.image_id)))
        keep_image_copies(connection)


class _Pusher:
    """The part that runs in trio."""

    def __init__(self, job: Job, mounts: Mapping[str, str]) -> None:
        self._progress = job.progress
        self._content = content_store(job.paths)
        self._concurrency = job.config.registries.concurrency
        self._mounts = mounts
        self._there: set[str] = set()

    async def push(self, writer: RegistryWriter, job: PushJob) -> None:
        import trio

        await writer.connect()
        waiting = [blob for blob in dict.fromkeys(job.blobs) if blob[1] not in self._there]
        for shown, _digest, _size in waiting:
            if shown != job.image_id:
                self._progress.layer(shown, "Preparing")
        # no more than the connections that are allowed: each has a blob of its own
        async with trio.open_nursery() as nursery:
            for _task in range(min(self._concurrency, len(waiting))):
                nursery.start_soon(self._push_from_queue, writer, job, waiting)
        self._there.update(digest for _shown, digest, _size in job.blobs)
        await self._put_manifest(writer, job)

    async def _push_from_queue(self, writer: RegistryWriter, job: PushJob, queue: list[tuple[str, str, int]]) -> None:
        from sandbox.image.registry.writing import Source

        # no checkpoint between the look and the pop
        while queue:
            shown, digest, size = queue.pop(0)
            quiet = shown == job.image_id
            if await writer.has_blob(digest):
                status = "Layer already exists"
            else:
                with ExitStack() as stack, translated(ImageError, f"cannot push {job.reference.familiar}"):
                    fd = stack.enter_context(self._content.open(parse_digest(digest))).fileno()
                    source = self._mounts.get(digest, "")
                    tell = _ignore if quiet else lambda count, shown=shown, size=size: self._bytes(shown, count, size)
                    mounted = await writer.push_blob(Source(digest, size, fd), source, tell)
                status = f"Mounted from {source}" if mounted else "Pushed"
            if not quiet:
                self._progress.layer(shown, status)

    def _bytes(self, shown: str, count: int, size: int) -> None:
        self._progress.layer_bytes(shown, count, size)

    async def _put_manifest(self, writer: RegistryWriter, job: PushJob) -> None:
        document = json.loads(job.manifest)
        docker = document["config"]["mediaType"] == DOCKER_CONFIG
        media_type = document.get("mediaType") or (DOCKER_MANIFEST if docker else OCI_MANIFEST)
        tag = job.reference.tag or job.digest
        await writer.put_manifest(tag, job.manifest, media_type, job.digest)
        self._progress.line(f"{tag}: digest: {job.digest} size: {len(job.manifest)}")


def _ignore(_count: int) -> None:
    pass
