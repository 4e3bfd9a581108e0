"""`sandbox build`: from a context and a Dockerfile to an image with its names.

Everything that can be known before anything is made is looked at first, in the calling process: the file, its target,
the images it needs (pulled where they are missing). Then `builder` works in the user namespace, and what it made is
recorded here in one transaction. The store is held against removal from the first look to the record.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.build.arguments import PROXIES, platform_arguments, read_globals
from sandbox.build.builder import build_in_namespace, read_triggers
from sandbox.build.dockerignore import ignore_file_names, read_ignore_file
from sandbox.build.errors import DockerfileError, Place, did_you_mean
from sandbox.build.instructions import Copy, Run
from sandbox.build.outline import reachable_stages
from sandbox.build.plain_progress import PlainProgress
from sandbox.build.request import BaseImage, BuildPlan, BuildResult
from sandbox.build.stages import read_dockerfile
from sandbox.errors import ConflictError, ImageError, NotFoundError, SandboxError, translated
from sandbox.image.archives import make_manifest
from sandbox.image.documents import decode_config
from sandbox.image.platforms import host_platform, parse_platform
from sandbox.image.recording import content_store, image_platform, images_lock, parse_time_ns, save_record
from sandbox.image.store import ImageRecord, find_image
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from storage.digests import parse_digest
from storage.layers import LayerStore
from storage.resolve import open_in_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.build.arguments import Globals
    from sandbox.build.dockerignore import IgnoreRules
    from sandbox.build.instructions import Instruction
    from sandbox.build.parser import Node
    from sandbox.build.progress import EventSink
    from sandbox.build.stages import Program
    from sandbox.image.progress import Progress
    from sandbox.image.references import Reference
    from sandbox.paths import Paths

_FILE_MOST = 16 << 20


class BuildOptions(NamedTuple):
    """What the command line says. `context` is a directory, or "" for none; `file` the Dockerfile's path, "-" for
    standard input, "" for the one in the context.
    """

    context: str
    file: str = ""
    names: tuple[Reference, ...] = ()
    arguments: Mapping[str, str] = {}
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    labels: Mapping[str, str] = {}
    network: str = "default"
    secrets: Mapping[str, bytes] = {}
    #: who shows what happens
    events: EventSink = PlainProgress()


def build_image(paths: Paths, env: Mapping[str, str], options: BuildOptions, progress: Progress) -> ImageRecord:
    """The image, recorded. Raises DockerfileError with the place for what is wrong with the file, else SandboxError."""
    context_fd = _open_context(options.context) if options.context else -1
    try:
        with images_lock(paths):
            plan = _Planner(paths, env, options, progress, context_fd).plan()
            result = _call_builder(paths, plan)
            return _record(paths, result, options.names)
    finally:
        if context_fd >= 0:
            os.close(context_fd)


def _call_builder(paths: Paths, plan: BuildPlan) -> BuildResult:
    answer = call_in_user_namespace(build_in_namespace, paths, plan)
    assert isinstance(answer, dict)
    if "error" in answer:
        message, place, expected, mend = answer["error"]
        raise DockerfileError(message, Place(*place), expected=expected, mend=mend)
    return BuildResult(*answer["result"])


def _record(paths: Paths, result: BuildResult, names: Sequence[Reference]) -> ImageRecord:
    content = content_store(paths)
    with translated(ImageError, "cannot store the image"):
        data = json.dumps(result.config, separators=(",", ":")).encode()
        config = decode_config(data, "the built image")
        image_id = content.put(data)
        manifest = content.put(make_manifest(data, [dict(layer) for layer in result.layers]))
        store = LayerStore(paths.layers)
        size = 0
        for chain_id in result.chain_ids:
            described = store.describe(parse_digest(chain_id)).get("size_bytes")
            size += described if isinstance(described, int) else 0
    created_ns = parse_time_ns(config.created)
    record = ImageRecord(
        image_id, "", tuple(result.chain_ids), result.config, str(image_platform(config)), manifest, created_ns,
        created_ns, size,
    )  # fmt: skip
    save_record(paths, record, names, [])
    return record


class _Planner:
    """The look at everything before anything is made."""

    def __init__(
        self, paths: Paths, env: Mapping[str, str], options: BuildOptions, progress: Progress, context_fd: int
    ) -> None:
        self._paths = paths
        self._env = env
        self._options = options
        self._progress = progress
        self._context_fd = context_fd
        self._platform = host_platform()
        self._images: dict[str, BaseImage] = {}

    def plan(self) -> BuildPlan:
        name, data = self._read_dockerfile()
        program = read_dockerfile(data, name)
        if not program.stages:
            raise program.dockerfile.nodes[0].error("no build stage in the file", expected="a FROM instruction")
        target = self._find_target(program)
        given = self._options.arguments
        predefined = platform_arguments(self._platform, self._platform, program.stages[target].name, given)
        globals_ = read_globals(program, given, predefined)
        stages = reachable_stages(program, target, globals_)
        for number in stages:
            self._find_images(program, number, globals_)
        return BuildPlan(
            program, globals_, stages, target, self._images, self._context_fd, self._read_rules(name),
            self._platform, self._options.network, self._options.no_cache, dict(self._options.labels),
            {key: value for key, value in given.items() if key in PROXIES}, self._options.secrets, self._env, {},
            self._options.events,
        )  # fmt: skip

    def _read_dockerfile(self) -> tuple[str, bytes]:
        file = self._options.file
        if file == "-" or self._context_fd < 0:
            return "<stdin>", sys.stdin.buffer.read(_FILE_MOST)
        if file:
            try:
                with open(file, "rb") as opened:
                    return os.path.relpath(file), opened.read(_FILE_MOST)
            except OSError as error:
                raise NotFoundError(f"cannot read {file}: {error.strerror}", mend=f"ls -l {file}") from error
        data = self._read_beneath("Dockerfile")
        if data is None:
            raise NotFoundError(
                f"no Dockerfile in {self._options.context}", mend="sandbox build -f FILE PATH names another file"
            )
        return "Dockerfile", data

    def _read_rules(self, name: str) -> IgnoreRules | None:
        if self._context_fd < 0:
            return None
        special, common = ignore_file_names(name)
        data, found = None, special
        if self._options.file not in ("", "-"):
            try:
                with open(f"{self._options.file}.dockerignore", "rb") as opened:
                    data = opened.read(_FILE_MOST)
            except FileNotFoundError:
                pass
        else:
            data = self._read_beneath(special)
        if data is None:
            data, found = self._read_beneath(common), common
        return None if data is None else read_ignore_file(data, found)

    def _read_beneath(self, name: str) -> bytes | None:
        """A file of the context: a symlink in it leads nowhere else."""
        try:
            fd = open_in_root(self._context_fd, name, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SandboxError(f"cannot read {name} of the context", cause=error.strerror or str(error)) from error
        with os.fdopen(fd, "rb") as file:
            try:
                return file.read(_FILE_MOST)
            except OSError as error:
                raise SandboxError(f"cannot read {name} of the context", cause=error.strerror or str(error)) from error

    def _find_target(self, program: Program) -> int:
        wanted = self._options.target
        if not wanted:
            return len(program.stages) - 1
        found = program.find_stage(wanted)
        if found is None:
            known = [stage.name for stage in program.stages if stage.name]
            raise NotFoundError(
                f"target stage {wanted!r} could not be found{did_you_mean(wanted, known)}",
                cause=f"the stages are {', '.join(known) or 'without names'}",
            )
        return found

    def _find_images(self, program: Program, number: int, globals_: Globals) -> None:
        stage = program.stages[number]
        node = stage.start.node
        platform = globals_.expand(stage.start.platform, node).text
        if platform and str(parse_platform(platform).normalised()) != str(self._platform.normalised()):
            raise node.error(f"building for {platform} is not built yet: this machine is {self._platform}")
        base = globals_.expand(stage.base, node).text
        if not base:
            raise node.error(f"base name ({stage.base}) should not be blank", mend="give the ARG in it a value")
        above = {program.stages[i].name for i in range(number)} - {""}
        triggers: tuple[Instruction, ...] = ()
        if base != "scratch" and base.lower() not in above:
            self._need(base, node)
            triggers = read_triggers(self._images[base].config, node)
        for name, at in _sources((*triggers, *stage.instructions)):
            is_number = name.isascii() and name.isdigit() and int(name) < number
            if name != "scratch" and not is_number and name.lower() not in above:
                self._need(name, at)

    def _need(self, name: str, node: Node) -> None:
        if name in self._images:
            return
        try:
            self._images[name] = self._find_image(name)
        except SandboxError as error:
            if isinstance(error, DockerfileError):
                raise
            cause = f": {error.cause}" if error.cause else ""
            raise node.error(f"{name}: {error.message}{cause}", mend=error.mend) from error

    def _find_image(self, name: str) -> BaseImage:
        record = None if self._options.pull else self._look_up(name)
        if record is None:
            # trio, httpx and msgspec come with this: only where there is something to pull
            from sandbox.image.pull import pull_image

            pull_image(self._paths, self._env, name, None, self._progress)
            record = self._look_up(name)
        if record is None:
            raise ConflictError(f"{name} was removed as soon as it was pulled")
        with translated(ImageError, f"cannot read the manifest of {name}"):
            content = content_store(self._paths)
            manifest: dict[str, Any] = json.loads(content.read(parse_digest(record.manifest_digest)))
        diff_ids = record.config["rootfs"].get("diff_ids") or ()
        return BaseImage(record.config, tuple(zip(record.layers, diff_ids, manifest["layers"], strict=True)))

    def _look_up(self, name: str) -> ImageRecord | None:
        # closed again at once: no connection may be open where a process is forked that opens one too
        connection = open_state(self._paths)
        try:
            return find_image(connection, name)
        finally:
            connection.close()


def _sources(instructions: Sequence[Instruction]) -> Iterator[tuple[str, Node]]:
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.source_name:
            yield instruction.source_name, instruction.node
        elif isinstance(instruction, Run):
            yield from ((name, instruction.node) for name in instruction.mount_sources if name)


def _open_context(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(
            f"unable to prepare context: path {path!r}: {error.strerror}", mend="sandbox build DIRECTORY"
        ) from error
