"""`commit`, for whoever asks: values in, values out, as with containers and images."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from sandbox.builder.cache.step_cache import BuildLayer
from sandbox.commit.changed_layer import keep_changes
from sandbox.commit.committed_image import Story, find_base, image_config, image_document, keep_documents
from sandbox.commit.holding import held_still
from sandbox.commit.request import CommitRequest
from sandbox.container.files.unwritten import hand_over
from sandbox.container.model.events import Tell
from sandbox.container.model.events import emit_of as emit_of_container
from sandbox.container.operations import inspect, look_up
from sandbox.errors import ConflictError, UsageError
from sandbox.events import emit
from sandbox.humane import rfc3339
from sandbox.image.copies import keep_image_copies
from sandbox.image.events import image_event
from sandbox.image.recording import content_store, images_lock
from sandbox.image.store import record_image, set_parent
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from sandbox.transactions import transaction

if TYPE_CHECKING:
    from sandbox.commit.committed_image import Base
    from sandbox.container.model.record import Container
    from sandbox.image.store import ImageRecord
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths


def commit(context: OperationContext, word: str, request: CommitRequest = CommitRequest()) -> str:  # noqa: B008  a value
    """Make an image of a container, which may run; the image's id. Volumes and other mounts are no part of it.

    Raises NotFoundError, UsageError for a change that is none, ConflictError while the container is being removed,
    ImageNotFoundError where its image is gone.
    """
    paths = context.paths
    if request.name is not None and request.name.digest:
        raise UsageError("refusing to create a tag with a digest reference", mend="leave @sha256:… out")
    container = look_up(context, word)
    _refuse_removed(container)
    # nothing that the new image will stand on is collected meanwhile
    with images_lock(paths):
        content = content_store(paths)
        with open_state(paths) as connection:
            base = find_base(connection, content, container)
        document = inspect(context, container.id)
        config = image_config(document["Config"], base.record.config.get("config") or {})
        if request.changes:
            from sandbox.builder.changes import apply_changes  # the language of Dockerfiles comes with it

            config = apply_changes(config, request.changes)
        with held_still(context, container) if request.pause else nullcontext():
            hand_over(paths, container)
            layer, size_bytes = _keep_layer(paths, container, base)
        now_ns = time.time_ns()
        story = Story(request.author, request.comment, rfc3339(now_ns), " ".join(document["Config"]["Cmd"] or ()))
        made = image_document(base.record.config, config, story, layer)
        record = keep_documents(content, base, made, layer, size_bytes, now_ns)
        _record(paths, container, record, request)
    return record.id


def _refuse_removed(container: Container) -> None:
    if container.state.status in ("removing", "dead"):
        what = "being removed" if container.state.status == "removing" else "Dead"
        raise ConflictError(f"You cannot commit container {container.id} which is {what}")


def _keep_layer(paths: Paths, container: Container, base: Base) -> tuple[BuildLayer | None, int]:
    diff_ids = (base.record.config.get("rootfs") or {}).get("diff_ids") or ()
    below = [
        [chain_id, diff_id, descriptor]
        for chain_id, diff_id, descriptor in zip(base.record.layers, diff_ids, base.layers, strict=True)
    ]
    kept = call_in_user_namespace(_keep_changes, paths, container, below)
    if kept is None:
        return None, 0
    assert isinstance(kept, list)
    *layer, size_bytes = kept
    return BuildLayer(*layer), size_bytes


def _keep_changes(paths: Paths, container: Container, below: list[list[Any]]) -> object:  # Any: JSON
    return keep_changes(paths, container, [BuildLayer(*layer) for layer in below])


def _record(paths: Paths, container: Container, record: ImageRecord, request: CommitRequest) -> None:
    name = request.name
    told = {"comment": request.comment, "imageID": record.id, "imageRef": name.name if name is not None else ""}
    with open_state(paths) as connection:
        with transaction(connection):
            record_image(connection, record, [name] if name is not None else [], [])
            set_parent(connection, record.id, container.config.image_id)
            emit(connection, image_event("create", record.id, record.config))
            if name is not None:
                emit(connection, image_event("tag", record.id, record.config, name.familiar))
            emit_of_container(connection, container.id, Tell("commit", told))
        keep_image_copies(connection)
