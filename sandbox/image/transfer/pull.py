"""Pull: a reference → index → manifest → config and layers → a row in the database.

Parties: this process (trio: downloads, order), and workers forked before trio starts, which unpack. Order:

1. what could fail on this machine is tried first: subordinate ids, configuration, credentials;
2. manifests are fetched, the config first of all blobs, for it says what layers must unpack to;
3. layers are downloaded several at once, each unpacked as soon as it is there;
4. the row is written when all is there, in one transaction. Until then nothing shows; what was downloaded and
   unpacked stays, so that the next pull goes on from it, also after SIGKILL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sandbox.config import load_config
from sandbox.errors import (
    ImageError,
    UsageError,
    translated,
)
from sandbox.image.platforms import host_platform, parse_platform
from sandbox.image.references import DEFAULT_TAG, Reference, parse_reference
from sandbox.image.registry.endpoints import endpoints_for
from sandbox.image.transfer.pull_job import Job, Pulled
from sandbox.image.trio_runs import run_trio
from sandbox.runtime.id_maps import find_id_map
from sandbox.runtime.user_namespace import UserNamespaceWorkers
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths

_T = TypeVar("_T")
#: unpacking is bound by the processor and by the file system's own locks
_WORKERS_MAX = 4


def pull_image(
    paths: Paths, env: Mapping[str, str], reference_text: str, platform: str | None, progress: Progress
) -> Pulled:
    """Bring the image `reference_text` names here, and tell `progress` about it.

    Raises SandboxError with the cause: unknown image or registry, credentials, a registry that lies, no space.
    """
    reference = parse_reference(reference_text)
    if not reference.tag and not reference.digest:
        progress.line(f"Using default tag: {DEFAULT_TAG}")
        reference = reference._replace(tag=DEFAULT_TAG)
    (pulled,) = _pull(paths, env, platform, progress, reference, all_tags=False)
    return pulled


def pull_all_tags(
    paths: Paths, env: Mapping[str, str], reference_text: str, platform: str | None, progress: Progress
) -> tuple[Pulled, ...]:
    """Bring every tag of a repository here; errors as pull_image. Raises UsageError for a reference with a tag."""
    reference = parse_reference(reference_text)
    if reference.tag or reference.digest:
        raise UsageError(
            "tag can't be used with --all-tags/-a", mend=f"sandbox pull -a {reference.familiar_repository}"
        )
    return _pull(paths, env, platform, progress, reference, all_tags=True)


def _pull(
    paths: Paths,
    env: Mapping[str, str],
    platform: str | None,
    progress: Progress,
    reference: Reference,
    *,
    all_tags: bool,
) -> tuple[Pulled, ...]:
    platform = platform or env.get("DOCKER_DEFAULT_PLATFORM")
    wanted = parse_platform(platform) if platform else host_platform()
    job = Job(paths, env, load_config(paths), wanted, bool(platform), progress)
    return with_workers(paths, lambda workers: _pull_in_trio(job, reference, workers, all_tags=all_tags))


def with_workers(paths: Paths, action: Callable[[UserNamespaceWorkers], _T]) -> _T:
    """Do `action` with workers to unpack, the store held against removal; errors of storage become ImageErrors."""
    import os

    from sandbox.image.recording import images_lock
    from sandbox.image.transfer.unpacking import serve_unpacking

    with translated(ImageError, "cannot store the image"):
        # before anything is downloaded: an image cannot be unpacked without
        id_map = find_id_map()
        LayerStore(paths.layers)
        count = min(_WORKERS_MAX, max(2, os.cpu_count() or 2))
        with images_lock(paths):
            workers = UserNamespaceWorkers(count, serve_unpacking(paths.layers), id_map)
            try:
                return action(workers)
            finally:
                workers.close()


def _pull_in_trio(
    job: Job, reference: Reference, workers: UserNamespaceWorkers, *, all_tags: bool
) -> tuple[Pulled, ...]:
    # 300 ms of imports, after the fork: the workers need none of it
    from sandbox.image.recording import content_store
    from sandbox.image.registry.docker_config import DockerConfig
    from sandbox.image.transfer.fetching import Fetcher, open_http

    docker = DockerConfig(job.env)
    endpoints = endpoints_for(reference.domain, job.config.registries)
    credentials = [docker.find(endpoint.domain) for endpoint in endpoints]
    fetcher = Fetcher(job, content_store(job.paths), LayerStore(job.paths.layers))

    async def main() -> tuple[Pulled, ...]:
        async with open_http(job) as http:
            sources = fetcher.sources(http, reference, tuple(zip(endpoints, credentials, strict=True)))
            return await fetcher.pull(reference, sources, workers.sockets, all_tags=all_tags)

    return run_trio(main)
