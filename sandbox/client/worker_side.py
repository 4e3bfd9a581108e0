"""Operations in the shape that a client calls them in: what goes back is plain, what is told on the way are lines."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from sandbox.builder.progress.progress import Event
    from sandbox.client.build import BuildRequest
    from sandbox.container.operations import ListRequest
    from sandbox.container.request.request import ContainerRequest
    from sandbox.container.session.attach import Streams
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.operation_context import OperationContext
    from sandbox.secret.record import Kind

    Tell = Callable[[str], None]


def container_documents(context: OperationContext, request: ListRequest) -> list[dict[str, Any]]:
    """Docker's documents of the containers asked for."""
    from sandbox.container.operations import inspect_each, list_containers

    found = inspect_each(context, [container.id for container in list_containers(context, request)])
    # one may be removed meanwhile
    return [each for each in found if isinstance(each, dict)]


def create_container(context: OperationContext, request: ContainerRequest, tell: Tell) -> str:
    """The container's id; warnings are told, as is what is pulled."""
    from sandbox.container.operations import create

    created = create(_telling(context, tell), request)
    for warning in created.warnings:
        tell(f"WARNING: {warning}")
    return created.container.id


def attach_container(context: OperationContext, word: str, streams: Streams, *, stdin: bool) -> int | None:
    """The container's exit code; None where it was left. What it writes meanwhile goes to the caller's streams."""
    from sandbox.container.operations import Joining, attach, carry

    joining = Joining(streams, stdin)
    return carry(context, attach(context, word, joining), joining)


def wait_container(context: OperationContext, word: str, timeout_seconds: float | None) -> int | None:
    """The container's exit code; None where it has not ended in time."""
    from sandbox.container.operations import wait

    if timeout_seconds is None:
        return wait(context, word)
    # a worker does one thing, so its alarm is for this
    signal.signal(signal.SIGALRM, _time_is_up)
    # and again: one that comes just before a wait begins does not end it
    signal.setitimer(signal.ITIMER_REAL, max(timeout_seconds, 0.001), 1.0)
    try:
        return wait(context, word)
    except _TimeIsUpError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _TimeIsUpError(BaseException):
    """Passes through whatever waits."""


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeIsUpError


def image_ids(context: OperationContext, pattern: str, filters: tuple[str, ...]) -> list[str]:
    """Each image once."""
    from sandbox.image.listing import ListRequest
    from sandbox.image.operations import list_images

    return list(dict.fromkeys(line.image.id for line in list_images(context, ListRequest(pattern, filters))))


def pull_image(context: OperationContext, name: str, platform: str | None, tell: Tell) -> str:
    """The image's id."""
    from sandbox.image.operations import pull

    return pull(_telling(context, tell), name, platform).record.id


def push_image(context: OperationContext, name: str, tell: Tell) -> None:
    """Nothing comes back."""
    from sandbox.image.operations import push

    push(_telling(context, tell), name)


def remove_image(context: OperationContext, name: str, *, force: bool = False, noprune: bool = False) -> list[str]:
    """What went: names and digests."""
    from sandbox.image.deletion import RemoveRequest
    from sandbox.image.operations import remove

    removed = remove(context, name, RemoveRequest(force, not noprune))
    return [*removed.untagged, *removed.deleted]


def volume_names(context: OperationContext, filters: tuple[str, ...]) -> list[str]:
    """The names of the volumes that pass the filters."""
    from sandbox.volume.operations import list_all

    return [volume.name for volume in list_all(context, filters)]


def object_ids(context: OperationContext, kind: Kind, filters: tuple[str, ...]) -> list[str]:
    """The ids of the secrets, or configs, that pass the filters."""
    from sandbox.secret.operations import list_all

    return [found.id for found in list_all(context, kind, filters)]


def network_ids(context: OperationContext, filters: tuple[str, ...]) -> list[str]:
    """The ids of the networks that pass the filters."""
    from sandbox.network.operations import list_all

    return [network.id for network in list_all(context, filters)]


def events(
    context: OperationContext, times: tuple[str, str], since_ns: int, filters: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Docker's documents of events; `times` are `since` and `until` as typed, `since_ns` is for no `since`."""
    import time

    from sandbox.event_documents import event_document, event_fields
    from sandbox.event_stream import Selection, check_times, read_event_filters, stream_events
    from sandbox.grammar.filters import parse_time

    now_ns = time.time_ns()
    since, until = ((text, parse_time(text, now_ns)) if text else None for text in times)
    check_times(since, until)
    begin_ns = since_ns if since is None else since[1]
    selection = Selection(begin_ns, None if until is None else until[1], read_event_filters(filters))
    for happened in stream_events(context.paths, selection):
        for one in happened:
            yield event_document(event_fields(one))


def save_images(context: OperationContext, names: list[str], output_fd: int) -> None:
    """An archive of them goes to the descriptor."""
    from sandbox.image.operations import save

    with open(output_fd, "wb") as stream:
        save(context, names, stream)


def image_history(context: OperationContext, name: str) -> list[dict[str, Any]]:
    """The steps as Docker's documents."""
    from sandbox.image.operations import history

    return [step.document() for step in history(context, name)]


def search_images(
    context: OperationContext, term: str, limit: int, filters: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """What was found, as Docker Hub says it."""
    from sandbox.image.operations import search
    from sandbox.image.searching import SearchRequest

    return [
        {
            "name": result.name, "description": result.description, "star_count": result.stars,
            "is_official": result.official, "is_automated": result.automated,
        }
        for result in search(context, SearchRequest(term, limit, filters))
    ]  # fmt: skip


def load_images(context: OperationContext, archive_fd: int) -> list[str]:
    """The ids of the images in an archive."""
    from sandbox.image.operations import Archive, load

    ids: list[str] = []

    def loaded(_names: tuple[Reference, ...], record: ImageRecord) -> None:
        ids.append(record.id)

    with open(archive_fd, "rb") as stream:
        load(context, Archive(stream, "the archive"), None, loaded)
    return ids


def build_image(context: OperationContext, request: BuildRequest, tell: Tell) -> str:
    """The image's id; the lines told are those of `--progress plain`."""
    from functools import partial

    from sandbox.builder.build_image import BuildOptions
    from sandbox.builder.build_image import build_image as build
    from sandbox.builder.results.exporting import ExportRequest
    from sandbox.builder.results.outputs import read_outputs
    from sandbox.caller_directory import CallerDirectory
    from sandbox.container.network_holding import held_network
    from sandbox.docker_proxies import find_proxies
    from sandbox.image.references import parse_reference

    directory = CallerDirectory(request.directory)
    names = tuple(parse_reference(name) for name in request.tags)
    options = BuildOptions(
        request.directory,
        directory.absolute(request.file) if request.file else "",
        directory,
        request.arguments,
        request.target,
        no_cache=request.no_cache,
        pull=request.pull,
        labels=request.labels,
        proxies=find_proxies(context.env, tell),
        network=request.network,
        hold=partial(held_network, context),
        platform=request.platform,
        export=ExportRequest(read_outputs((), names, (), push=False, load=False), directory),
        events=_event_teller(tell),
    )
    return build(context.paths, context.env, options).image_id


def _event_teller(tell: Tell) -> Callable[[Event], None]:
    from sandbox.builder.progress.plain_progress import PlainProgress

    class Lines(PlainProgress):
        """Plain lines, told."""

        def _write(self, *lines: str) -> None:
            for line in lines:
                tell(line)

    return Lines()


def _telling(context: OperationContext, tell: Tell) -> OperationContext:
    from sandbox.image.transfer.progress import PlainProgress

    class Lines(PlainProgress):
        """Plain lines, told."""

        def __init__(self) -> None:
            """No stream is written to."""

        def line(self, text: str) -> None:
            tell(text)

        warning = line

    def open_progress() -> Progress:
        return Lines()

    return context._replace(open_progress=open_progress)
