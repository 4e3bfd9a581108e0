"""The images a build starts or copies from: found here, else pulled, several at the same time.

An image is known by its name and the platform that is wanted of it; one that is here for another platform is not it.
Where nobody asked for a platform, whatever the name stands for here is taken, as `run` does.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.builder.progress.progress import Vertex, begin_step, reported_step, vertex_id
from sandbox.builder.progress.transfer_reports import ReportedProgress
from sandbox.builder.request import BaseImage, image_key
from sandbox.builder.sources.named_contexts import context_name, read_layout
from sandbox.builder.stages.stage_messages import decode_failure, encode_failure
from sandbox.dockerfile.errors import DockerfileError
from sandbox.errors import ConflictError, ImageError, NotFoundError, SandboxError, translated
from sandbox.image.go_json import load_document
from sandbox.image.platforms import parse_platform
from sandbox.image.recording import content_store
from sandbox.image.store import ImageRecord, find_image, find_named_image, is_full_id
from sandbox.image.transfer.progress import QuietProgress
from sandbox.state import open_state
from storage.digests import parse_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.builder.progress.progress import EventSink, StepReport
    from sandbox.caller_directory import CallerDirectory
    from sandbox.dockerfile.parser import Node
    from sandbox.image.platforms import Platform
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths


#: as listings show it; fewer digits could be a word
_SHORT_ID = 12
_HEXADECIMAL = frozenset("0123456789abcdef")


class ImageNeed(NamedTuple):
    """An image by the name in the file; `platform` is None where nobody asked for one."""

    name: str
    platform: Platform | None
    node: Node

    @property
    def key(self) -> str:
        return image_key(self.name, self.platform)


class BaseImages:
    """Finds the images of one build; `found` has them by `image_key`.

    `contexts` are the named contexts, of which some are images; with `pull` a registry is always asked. With
    `short_ids` the beginning of an ID, as listings show it, stands for an image too, as for the classic builder.
    """

    def __init__(
        self, paths: Paths, env: Mapping[str, str], events: EventSink, contexts: Mapping[str, str],
        cwd: CallerDirectory, *, pull: bool, short_ids: bool = False,
    ) -> None:  # fmt: skip
        self._paths = paths
        self._env = env
        self._events = events
        self._contexts = contexts
        self._cwd = cwd
        self._pull = pull
        self._short_ids = short_ids
        self._pulled: set[str] = set()
        self.found: dict[str, BaseImage] = {}

    def pull_missing(self, needs: Iterable[ImageNeed]) -> None:
        """Pull what is not here, all at once, each in a process of its own. Raises the first one's DockerfileError."""
        missing = {need.key: need for need in needs if self._is_missing(need)}
        if len(missing) < 2:
            return  # `find` does it
        running: list[tuple[ImageNeed, int, int]] = []
        reports: dict[str, StepReport] = {}
        try:
            for need in missing.values():
                running.append((need, *self._fork_pull(need)))
                reports[need.key] = begin_step(self._events, _vertex(need))
            while running:
                need, pid, fd = running[0]
                with os.fdopen(fd, "rb", closefd=False) as pipe:
                    answer = pipe.read()
                report = reports.pop(need.key)
                if answer:
                    failure = decode_failure(json.loads(answer))
                    report.failed(failure.message)
                    raise _located(need, failure)
                report.finished()
                self._pulled.add(need.key)
                os.close(fd)
                os.waitpid(pid, 0)
                running.pop(0)
        finally:
            for report in reports.values():
                report.cancelled()
            for _need, pid, fd in running:
                # each holds the writing end of a pipe that nobody reads then; what it has begun it may leave: a pull
                # goes on from there
                os.close(fd)
                _end(pid)

    def find(self, need: ImageNeed, native: Platform) -> BaseImage:
        """The image, pulled where it is not here. Raises DockerfileError."""
        if need.key not in self.found:
            try:
                self.found[need.key] = self._find(need, native)
            except SandboxError as error:
                raise _located(need, error) from error
        return self.found[need.key]

    def _find(self, need: ImageNeed, native: Platform) -> BaseImage:
        value = self._contexts.get(context_name(need.name), "")
        record = None
        if value.startswith("oci-layout://"):
            layout = read_layout(value)
            # msgspec and trio come with this
            from sandbox.image.archive.archives import load_layout

            path = self._cwd.absolute(layout.path)
            record = load_layout(self._paths, path, layout.wanted, need.platform or native, QuietProgress())
        name = self._name(need)
        if record is None and (not self._pull or need.key in self._pulled or is_full_id(name)):
            record = self._look_up(name, need.platform)
        if record is None and is_full_id(name):
            raise NotFoundError(
                "no image of this ID and platform is here, and a registry knows images by their names",
                mend="sandbox images --no-trunc; FROM NAME, or NAME@sha256:DIGEST",
            )
        if record is None:
            with reported_step(self._events, _vertex(need)) as report:
                self._pull_one(need, ReportedProgress(report))
            record = self._look_up(name, need.platform)
        if record is None:
            raise ConflictError(f"{need.name} was removed as soon as it was pulled")
        with translated(ImageError, f"cannot read the manifest of {need.name}"):
            content = content_store(self._paths)
            manifest: dict[str, Any] = load_document(content.read(parse_digest(record.manifest_digest)))
        diff_ids = record.config["rootfs"].get("diff_ids") or ()
        return BaseImage(record.config, tuple(zip(record.layers, diff_ids, manifest["layers"], strict=True)))

    def _name(self, need: ImageNeed) -> str:
        return self._contexts.get(context_name(need.name), need.name).removeprefix("docker-image://")

    def _is_missing(self, need: ImageNeed) -> bool:
        if self._contexts.get(context_name(need.name), "").startswith("oci-layout://"):
            return False
        try:
            # what has no name is nowhere else
            return not is_full_id(self._name(need)) and (
                self._pull or self._look_up(self._name(need), need.platform) is None
            )
        except SandboxError:
            return False  # no name: `find` says so, at its line

    def _look_up(self, name: str, platform: Platform | None) -> ImageRecord | None:
        # closed again at once: no connection may be open where a process is forked that opens one too
        with open_state(self._paths) as connection:
            record = find_named_image(connection, name)
            if record is None and self._short_ids and len(name) >= _SHORT_ID and set(name) <= _HEXADECIMAL:
                record = find_image(connection, name)
        if record is None or platform is None:
            return record
        return record if parse_platform(record.platform).normalised() == platform.normalised() else None

    def _pull_one(self, need: ImageNeed, progress: Progress) -> None:
        # trio, httpx and msgspec come with this: only where there is something to pull
        from sandbox.image.transfer.pull import pull_image

        platform = str(need.platform) if need.platform else None
        pull_image(self._paths, self._env, self._name(need), platform, progress)

    def _fork_pull(self, need: ImageNeed) -> tuple[int, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid:
            os.close(writing)
            return pid, reading
        try:
            os.close(reading)
            try:
                # one process shows what happens: this one's own view is a copy of it
                self._pull_one(need, QuietProgress())
            except Exception as error:  # noqa: BLE001  # a process boundary: every failure is told to the parent
                os.write(writing, json.dumps(encode_failure(error)).encode())
        finally:
            os._exit(0)


def _vertex(need: ImageNeed) -> Vertex:
    wanted = f" ({need.platform})" if need.platform else ""
    return Vertex(vertex_id("pull", need.key), f"[internal] pull {need.name}{wanted}")


def _located(need: ImageNeed, error: SandboxError) -> SandboxError:
    if isinstance(error, DockerfileError):
        return error
    cause = f": {error.cause}" if error.cause else ""
    return need.node.error(f"{need.name}: {error.message}{cause}", mend=error.mend)


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
