"""Files of the host brought into a service's containers as they are now: written, or removed."""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from contextlib import suppress

from sandbox.errors import NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from sandbox.compose.observe import ObservedContainer
    from sandbox.operation_context import OperationContext


def sync_files(
    context: OperationContext, containers: Sequence[ObservedContainer], files: Iterable[tuple[str, str]]
) -> None:
    """Have each of `files`, a path here and one there, in the containers as it is here; what is not here is removed
    there. Raises SandboxError.
    """
    present: list[tuple[str, str]] = []
    gone: list[str] = []
    for path, target in files:
        if os.path.lexists(path):
            present.append((path, target))
        else:
            gone.append(target)
    for container in containers:
        if gone and container.is_running:
            _remove(context, container.id, gone)
        if present:
            _copy(context, container.id, list(_beside_links(context, container.id, present)))


def _remove(context: OperationContext, container: str, targets: Sequence[str]) -> None:
    """By the container's own rm, as Compose does: it is the container's tree."""
    from sandbox.container.operations import execute
    from sandbox.container.session.attach import ClientStreams, Streams
    from sandbox.container.session.exec_request import ExecRequest

    fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        streams = ClientStreams(Streams(fd, fd, 2), False, False)
        code = execute(context, container, ExecRequest(("rm", "-rf", *targets), user="0"), streams)
    finally:
        os.close(fd)
    if code:
        raise SandboxError(f"deleting paths in {container[:12]}: exit code {code}")


def _beside_links(
    context: OperationContext, container: str, files: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Without directories where the container has a link: what is in them goes where the link leads."""
    from sandbox.container.file_operations import stat_path

    for path, target in files:
        if os.path.isdir(path) and not os.path.islink(path):
            with suppress(NotFoundError):
                if stat.S_ISLNK(stat_path(context, container, target).mode):
                    continue
        yield path, target


def _copy(context: OperationContext, container: str, files: Sequence[tuple[str, str]]) -> None:
    from sandbox.container.file_operations import put_archive
    from sandbox.container.files.archives import ArchiveIn

    with tempfile.TemporaryFile() as stream:
        _write_archive(stream, files)
        stream.seek(0)
        put_archive(context, container, ArchiveIn("/"), stream.fileno())


def _write_archive(stream: BinaryIO, files: Sequence[tuple[str, str]]) -> None:
    """An archive of the files as root's; one that goes away meanwhile is left out."""
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, target in files:
            try:
                entry = archive.gettarinfo(path, target.lstrip("/"))
                if entry is None:
                    continue  # a socket, say
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                if entry.isreg():
                    with open(path, "rb") as content:
                        archive.addfile(entry, content)
                else:
                    archive.addfile(entry)
            except FileNotFoundError:
                continue
