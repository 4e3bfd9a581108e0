"""Operations in the shape that the server calls them in, done by workers: what goes back is plain, or a descriptor."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.api.buildkit.frontend_request import FrontendBuild
    from sandbox.api.documents.classic_request import ClassicBuild
    from sandbox.api.glances import Brief
    from sandbox.api.log_frames import LogForm
    from sandbox.container.monitor.plan import Attachment
    from sandbox.container.operations import ListRequest
    from sandbox.container.request.request import ContainerRequest
    from sandbox.container.session.attach import ClientStreams
    from sandbox.container.session.exec_request import ExecRequest
    from sandbox.container.view.logs import LogSelection
    from sandbox.events import Happened
    from sandbox.network.create import NetworkRequest
    from sandbox.operation_context import OperationContext
    from sandbox.protocol.channel import Channel
    from sandbox.volume.operations import VolumeRequest
    from sandbox.warm.values import Descriptor

    Document = dict[str, Any]


class Joined(NamedTuple):
    """The way to a container's monitor, the caller's now; None where it has ended. `early` came already."""

    channel: Descriptor | None
    early: bytes = b""


def is_socket_mounted(context: OperationContext, path: str) -> bool:
    """Whether a container that runs has the socket at `path`."""
    from sandbox.container.operations import ListRequest, list_containers

    running = list_containers(context, ListRequest()) if path else []
    return any(mount.source == path for container in running for mount in container.config.mounts)


def brief(context: OperationContext, word: str) -> Brief:
    """The container that `word` names. Raises NotFoundError."""
    from sandbox.api.glances import brief_of
    from sandbox.container.operations import look_up

    return brief_of(look_up(context, word))


def summaries(context: OperationContext, request: ListRequest, *, with_size: bool) -> list[Document]:
    """Docker's short documents of the containers asked for."""
    from sandbox.container.operations import list_containers
    from sandbox.container.view.summaries import summarise

    return summarise(context.paths, list_containers(context, request), with_size=with_size)


def create_container(context: OperationContext, request: ContainerRequest, session: str) -> tuple[str, list[str]]:
    """The container's id, and what is to be known of it. Raises UsageError for what it asks for and is not there."""
    from sandbox.api.session import recorded_in
    from sandbox.container.operations import create
    from sandbox.errors import ImageNotFoundError, NotFoundError, UsageError

    with recorded_in(session):
        try:
            created = create(context, request)
        except ImageNotFoundError:
            raise
        except NotFoundError as error:
            # by "not found" clients know that the image is to be pulled, and do so
            raise UsageError(error.message, cause=error.cause) from error
    return created.container.id, list(created.warnings)


def create_network(context: OperationContext, request: NetworkRequest, session: str) -> tuple[str, list[str]]:
    """The network's id, and what is to be known of it."""
    from sandbox.api.session import recorded_in
    from sandbox.network.operations import create

    with recorded_in(session):
        made = create(context, request)
    return made.id, list(made.notes)


def start_container(context: OperationContext, word: str, attachment: Attachment) -> Joined | None:
    """Start the container with those streams joined, none of them for nobody; None where it runs already."""
    from sandbox.container.sessions import start_attached

    started = start_attached(context, word, attachment)
    if started is None:
        return None
    if not attachment.wanted:
        started.spawned.channel.close()
        return Joined(None)
    return _handed_over(started.spawned.channel)


def discard_container(context: OperationContext, word: str) -> None:
    """Remove a container that was to be removed at its end, and could not be started."""
    from sandbox.container.operations import look_up, remove
    from sandbox.errors import NotFoundError

    try:
        container = look_up(context, word)
        if container.config.auto_remove and container.state.status == "created" and not container.state.monitor_pid:
            remove(context, container.id, volumes=True)
    except NotFoundError:
        return


def attach_container(context: OperationContext, word: str, attachment: Attachment) -> Joined:
    """Join a running container."""
    from sandbox.container.sessions import open_attached

    channel = open_attached(context, word, attachment)
    return Joined(None) if channel is None else _handed_over(channel)


def _handed_over(channel: Channel) -> Joined:
    from sandbox.warm.values import Descriptor

    # the copy that is sent goes on to be the caller's when this worker ends
    return Joined(Descriptor(channel.connection.detach()), channel.take_bytes())


def create_exec(context: OperationContext, word: str, request: ExecRequest) -> tuple[str, str]:
    """The ids of the exec and of its container."""
    from sandbox.container.sessions import make_exec

    return make_exec(context, word, request)


def run_exec(
    context: OperationContext, container_id: str, exec_id: str, request: ExecRequest, client: ClientStreams | None
) -> int:
    """The command's exit code, 0 where nobody waits for it."""
    from sandbox.container.sessions import run_exec as run

    return run(context, container_id, exec_id, request, client)


def write_logs(context: OperationContext, word: str, selection: LogSelection, form: LogForm, output_fd: int) -> None:
    """What the container wrote goes to a descriptor, in frames where it has no terminal."""
    import os
    from contextlib import suppress

    from sandbox.api.log_frames import LogWriter
    from sandbox.container.operations import log_batches, look_up
    from sandbox.container.view.log_details import log_details

    container = look_up(context, word)
    details = log_details(container.config) if form.details else ""
    terminal = container.config.terminal
    with suppress(BrokenPipeError), os.fdopen(os.dup(output_fd), "wb", buffering=0) as output:
        # what is there at once goes together, also where it is followed
        writer = LogWriter(form._replace(follow=False), output.write)
        for batch in log_batches(context, container.id, selection, follow=form.follow):
            for block in batch:
                writer.add_block(block, details, terminal=terminal)
            writer.flush()


def image_summaries(context: OperationContext, filters: tuple[str, ...], *, all: bool) -> list[Document]:
    """Docker's short documents of the images."""
    from sandbox.image.summaries import image_summaries as summarise

    return summarise(context, filters, all=all)


def list_networks(context: OperationContext, filters: tuple[str, ...]) -> list[Document]:
    """Docker's documents of the networks that pass the filters, without the containers on them."""
    from sandbox.network.document import describe_network
    from sandbox.network.operations import list_all

    return [describe_network(network, (), {}) for network in list_all(context, filters)]


def remove_image(context: OperationContext, name: str, *, force: bool, noprune: bool) -> list[Document]:
    """What went, as Docker tells it."""
    from sandbox.image.deletion import RemoveRequest
    from sandbox.image.operations import remove

    removed = remove(context, name, RemoveRequest(force, not noprune))
    return [*({"Untagged": name} for name in removed.untagged), *({"Deleted": digest} for digest in removed.deleted)]


def pull_image(
    context: OperationContext, name: str, platform: str | None, all_tags: bool, tell: Callable[[Document], None]
) -> None:
    """What happens on the way is told in Docker's messages."""
    from sandbox.api.documents.transfer import ToldProgress
    from sandbox.image.operations import pull, pull_all_tags

    context = context._replace(open_progress=lambda: ToldProgress(tell))
    if all_tags:
        pull_all_tags(context, name, platform)
    else:
        pull(context, name, platform)


def remove_session(context: OperationContext, session: str) -> list[str]:
    """What could not be removed, a sentence each."""
    from sandbox.api.session import remove_session as remove

    return remove(context, session)


def exec_end(context: OperationContext, container_id: str, exec_id: str) -> int | None:
    """How an exec that was left to itself ended; None while it runs."""
    from sandbox.container.sessions import exec_end as find_end

    return find_end(context, container_id, exec_id)


def past_events(context: OperationContext, since_ns: int) -> list[Happened]:
    """What has happened since a time, ns since 1970, as far as it is kept."""
    from sandbox.events import read_events
    from sandbox.state import open_state

    with open_state(context.paths, durable=False) as connection:
        return list(read_events(connection, since_ns=since_ns))


def list_volumes(context: OperationContext, filters: tuple[str, ...]) -> list[Document]:
    """Docker's documents of the volumes that pass the filters."""
    from sandbox.volume.document import describe_volume
    from sandbox.volume.operations import list_all

    return [describe_volume(context.paths, volume) for volume in list_all(context, filters)]


def create_volume(context: OperationContext, request: VolumeRequest, session: str) -> Document:
    """Docker's document of the volume."""
    from sandbox.api.session import recorded_in
    from sandbox.volume.operations import create, inspect

    with recorded_in(session):
        made = create(context, request)
    return inspect(context, made.name)


def commit_container(
    context: OperationContext,
    word: str,
    name: str,
    story: tuple[str, str],
    changes: tuple[str, ...],
    session: str,
    *,
    pause: bool,
) -> str:
    """The new image's id; `story` is author and comment."""
    from sandbox.api.session import recorded_in
    from sandbox.commit.operations import commit
    from sandbox.commit.request import CommitRequest
    from sandbox.image.references import parse_reference

    reference = parse_reference(name) if name else None
    with recorded_in(session):
        return commit(context, word, CommitRequest(reference, *story, changes, pause))


def push_image(context: OperationContext, name: str, all_tags: bool, tell: Callable[[Document], None]) -> None:
    """What happens on the way is told in Docker's messages, the digest last."""
    from sandbox.api.documents.transfer import ToldProgress
    from sandbox.image.operations import push

    context = context._replace(open_progress=lambda: ToldProgress(tell))
    for job in push(context, name, all_tags=all_tags):
        tell({"progressDetail": {}, "aux": {"Tag": job.reference.tag, "Digest": job.digest, "Size": len(job.manifest)}})


def load_images(context: OperationContext, archive_fd: int, tell: Callable[[Document], None]) -> None:
    """Each image is told of as Docker does."""
    from sandbox.image.operations import Archive, load

    def loaded(names: tuple[Any, ...], record: Any) -> None:
        for name in names:
            tell({"stream": f"Loaded image: {name.familiar}\n"})
        if not names:
            tell({"stream": f"Loaded image ID: {record.id}\n"})

    with open(archive_fd, "rb", closefd=False) as stream:
        load(context, Archive(stream, "the archive"), None, loaded)


def import_image(
    context: OperationContext,
    source: str,
    name: str,
    message: str,
    platform: str,
    changes: tuple[str, ...],
    session: str,
    archive_fd: int,
    tell: Callable[[Document], None],
) -> None:
    """The new image's id is told. `source` is a URL, or "-" for the archive."""
    from datetime import UTC, datetime

    from sandbox.api.session import recorded_in
    from sandbox.builder.changes import apply_changes
    from sandbox.image.archive.importing import ImportRequest, download
    from sandbox.image.operations import Archive, import_tree
    from sandbox.image.platforms import host_platform, parse_platform
    from sandbox.image.references import parse_reference

    request = ImportRequest(
        parse_reference(name) if name else None,
        apply_changes({}, changes),
        message,
        parse_platform(platform) if platform else host_platform(),
        datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        source,
    )
    if source == "-":
        with open(archive_fd, "rb", closefd=False) as stream, recorded_in(session):
            record = import_tree(context, Archive(stream, "the archive"), request)
    else:
        with download(source, context.paths, context.env) as stream, recorded_in(session):
            record = import_tree(context, Archive(stream, source), request)
    tell({"status": record.id})


def distribution(context: OperationContext, name: str) -> Document:
    """What a registry has under the name, as Docker's document."""
    from sandbox.image.manifests.operations import distributed

    found, platforms = distributed(context, name)
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": len(found.data)}
    return {"Descriptor": descriptor, "Platforms": platforms}


def authenticate(context: OperationContext, registry: str, credentials: tuple[str, str, str]) -> None:
    """Raises AuthenticationError for credentials that the registry refuses; nothing is kept."""
    from sandbox.image.registry.docker_config import Credentials
    from sandbox.image.transfer.login import check_login, registry_domain

    check_login(context.paths, context.env, registry_domain(registry), Credentials(*credentials))


def build_image(
    context: OperationContext, request: ClassicBuild, session: str, archive_fd: int, tell: Callable[[Document], None]
) -> None:
    """What happens is told in the classic builder's messages, its failure too."""
    from sandbox.api.classic_build import build

    build(context, request, session, archive_fd, tell)


def build_for_buildkit(
    context: OperationContext, request: FrontendBuild, session: str, line_fd: int, tell: Callable[[Any], None]
) -> None:
    """What happens is told, its failure too; what the build takes comes by the line."""
    from sandbox.api.buildkit.worker_side import build

    build(context, request, session, line_fd, tell)
