"""The instructions that make layers: RUN, COPY, ADD and WORKDIR."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sandbox.build.arguments import read_mounts
from sandbox.build.copying import Changes, Copier, Target
from sandbox.build.dockerignore import read_patterns
from sandbox.build.heredocs import read_marker
from sandbox.build.instructions import Add, Copy, Run, Workdir
from sandbox.build.modes import read_mode
from sandbox.build.run_mounts import MountRoom, is_directory
from sandbox.build.run_step import RunRequest, RunRoom, tail_lines
from sandbox.build.sources import Source, StepError, digest_found, find_paths, open_found
from sandbox.build.words import expand_heredoc
from sandbox.errors import StartError
from sandbox.runtime.spec import BindMount
from sandbox.runtime.users import resolve_identity
from storage.errors import StorageError
from storage.resolve import make_directories, open_in_root
from storage.tar_read import TarReader
from storage.unpack import unpack_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.build.parser import Node
    from sandbox.build.progress import Progress
    from sandbox.build.request import BuildPlan
    from sandbox.build.run_step import NetworkName
    from sandbox.build.sources import Found
    from sandbox.build.stage_state import StageState
    from sandbox.build.step_layers import MountedStep, Workshop
    from sandbox.paths import Paths
    from sandbox.runtime import spec

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
_NETWORKS: dict[str, NetworkName] = {"default": "default", "none": "none", "host": "host"}
_ACCOUNTS_MOST = 10 * 1024 * 1024
#: raised by a new meaning of a step: what was cached before is made anew
_CACHE_VERSION = 1


class Steps:
    """Carries out what changes files. `trees` gives the layers of a `from=`: a stage or an image."""

    def __init__(
        self, paths: Paths, plan: BuildPlan, workshop: Workshop, progress: Progress,
        trees: Callable[[str, Node], StageState],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._paths = paths
        self._workshop = workshop
        self._progress = progress
        self._trees = trees
        self._mounts = MountRoom(workshop, f"{paths.data_root}/build-mounts", plan.secrets)
        self._room: RunRoom | None = None

    def close(self) -> None:
        if self._room is not None:
            self._room.close()

    def run(self, stage: StageState, run: Run) -> None:
        """Raises DockerfileError where the command fails, with its exit code."""
        node = run.node
        if run.security != "sandbox":
            raise node.error("RUN --security=insecure is refused: a build gets no more rights than a container")
        if run.devices:
            raise node.error("RUN --device is not built yet")
        words, script = _command(stage, run)
        environment = {**self._plan.proxies, **stage.scope.environment}
        mounts = read_mounts(run, stage.scope)
        network = run.network if run.network != "default" else self._plan.network
        key = [
            "RUN", words, script, sorted(stage.scope.environment.items()), stage.image.directory, stage.image.user,
            network, [self._mount_key(mount, node) for mount in mounts],
        ]  # fmt: skip

        mounted: list[tuple[tuple[spec.Mount, ...], dict[str, str]]] = []

        def prepare(stack: ExitStack) -> list[tuple[str, bool]]:
            made, variables = stack.enter_context(
                self._mounts.prepared(
                    mounts, stage.image.directory, lambda name, inner: self._open_source(name, node, inner)
                )
            )
            if script is not None:
                made = (*made, self._script_mount(*script))
            mounted.append((made, variables))
            return [(mount.target, is_directory(mount)) for mount in made]

        def act(step: MountedStep) -> None:
            ((made, variables),) = mounted
            request = RunRequest(
                step.root, words, tuple(f"{k}={v}" for k, v in {**environment, **variables}.items()),
                stage.image.directory, stage.image.user, _NETWORKS[network], made,
            )  # fmt: skip
            self._execute(request, node)

        self._layer(stage, node, key, act, prepare)
        values = [f"{name}={stage.scope.environment[name]}" for name in stage.arguments]
        counted = [f"|{len(values)}", *values] if values else []
        stage.image.add_history(f"RUN {' '.join([*counted, *words])} # buildkit", stage.layers[-1].created)

    def work_in(self, stage: StageState, workdir: Workdir) -> None:
        path = stage.text(workdir.path, workdir.node)
        if not path.startswith("/"):
            path = posixpath.normpath(stage.path(path))
        stage.image.config["WorkingDir"] = path
        made = posixpath.normpath(path) not in ("/", "//")
        if made:

            def act(step: MountedStep) -> None:
                owner = _find_owner(step, stage.image.user) if stage.image.user else None
                new: list[bytes] = []
                os.close(make_directories(step.root_fd, os.fsencode(path), 0o755, new.append))
                for name in new if owner else ():
                    os.chown(open_path(step.root_fd, name), *(owner or (0, 0)))

            self._layer(stage, workdir.node, ["WORKDIR", path, stage.image.user], act)
        stage.image.add_history(f"WORKDIR {path}", stage.layers[-1].created if made else "")

    def copy(self, stage: StageState, copy: Copy | Add) -> None:
        """Raises DockerfileError where a source is missing or the target cannot take it."""
        node = copy.node
        _refuse(stage, copy)
        written = stage.text(copy.target, node)
        target = stage.path(written)
        into = written.endswith("/") or written in (".", "") or len(copy.sources) + len(copy.files) > 1
        chown, chmod = stage.text(copy.chown, node), stage.text(copy.chmod, node)
        files = [
            (file.name, expand_heredoc(file.content, stage.scope.environment).text if file.expand else file.content)
            for file in copy.files
        ]
        patterns = [stage.text(source, node) for source in copy.sources]
        from_name = copy.source_name if isinstance(copy, Copy) else ""
        unpacks = isinstance(copy, Add) and copy.unpack is not False
        with ExitStack() as stack:
            source: Source | None = None
            taken: list[str] = []
            origin: object = None
            if patterns and from_name:
                origin = [self._trees(from_name, node).chain_id, patterns]
            elif patterns:
                source = self._open_source("", node, stack)
                taken, origin = _take(source, patterns, node)
            key = [
                node.instruction, target, into, chown, chmod, list(copy.exclude), files, origin, unpacks,
                copy.unpack if isinstance(copy, Add) else None,
            ]  # fmt: skip

            def act(step: MountedStep) -> None:
                nonlocal source, taken
                if patterns and source is None:
                    source = self._open_source(from_name, node, stack)
                    taken = [path for pattern in patterns for path in find_paths(source, pattern)]
                changes = Changes(
                    _find_owner(step, chown) if chown else None,
                    read_mode(chmod) if chmod else None,
                    read_patterns(copy.exclude) if copy.exclude else None,
                )
                copier = Copier(Target(step.root_fd, target, into), changes)
                stack.callback(copier.close)
                for path in taken:
                    assert source is not None
                    self._copy_one(copier, step, source, path, unpacks, Target(step.root_fd, target, into), changes)
                for name, content in files:
                    copier.write(name, content.encode(errors="surrogateescape"))

            self._layer(stage, node, key, act)
        shown = [f"--chown={chown}"] * bool(chown) + [f"--chmod={chmod}"] * bool(chmod)
        shown += [*patterns, *(f"<<{name}" for name, _content in files), written]
        stage.image.add_history(f"{node.instruction} {' '.join(shown)} # buildkit", stage.layers[-1].created)

    def _copy_one(
        self, copier: Copier, step: MountedStep, source: Source, path: str, unpacks: bool, target: Target,
        changes: Changes,
    ) -> None:  # fmt: skip
        found = open_found(source, path)
        try:
            if unpacks and not found.is_directory and _is_archive(found):
                self._unpack(step, found, target, changes)
            else:
                copier.copy(source, found)
        finally:
            os.close(found.fd)

    def _unpack(self, step: MountedStep, found: Found, target: Target, changes: Changes) -> None:
        place = self._workshop.new_directory()
        place_fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as archive:
                implied = unpack_layer(archive, place_fd).implied
            for path in implied:
                directory = open_in_root(place_fd, path, os.O_RDONLY | os.O_DIRECTORY)
                os.fchmod(directory, 0o755)
                os.close(directory)
            unpacked = open_found(Source(place_fd), "")
            copier = Copier(target._replace(into=True), changes._replace(replaces=True))
            try:
                copier.copy(Source(place_fd), unpacked)
            finally:
                copier.close()
                os.close(unpacked.fd)
        except StorageError as error:
            raise StepError(f"cannot unpack /{found.real_path}: {error.message}", cause=error.cause) from error
        finally:
            os.close(place_fd)

    def _execute(self, request: RunRequest, node: Node) -> None:
        if self._room is None:
            self._room = RunRoom(self._paths, self._workshop.directory)
        result = self._room.run(request, self._progress.output)
        if result.exit_code:
            self._progress.failed()
            if not self._plan.plain:
                sys.stderr.write("".join(f"{line}\n" for line in tail_lines(result.output)))
            command = " ".join(request.arguments)
            raise node.error(f'process "{command}" did not complete successfully: exit code: {result.exit_code}')

    def _layer(
        self, stage: StageState, node: Node, parts: object, act: Callable[[MountedStep], None],
        prepare: Callable[[ExitStack], list[tuple[str, bool]]] | None = None,
    ) -> None:  # fmt: skip
        """Add the layer that `act` makes, or the one an earlier build made of the same parts.

        `prepare` is for a command: it gives the places that will be mounted over, and whether they are directories.
        """
        text = json.dumps([_CACHE_VERSION, stage.chain_id, parts])
        key = hashlib.sha256(text.encode()).hexdigest()
        cached = None if self._plan.no_cache else self._workshop.find_cached(key)
        if cached is not None:
            self._progress.cached()
            stage.layers.append(cached)
            return
        try:
            with ExitStack() as stack:
                points = None if prepare is None else prepare(stack)
                step = stack.enter_context(self._workshop.mounted(stage.layers, points))
                act(step)
                layer = self._workshop.commit(step, stage.layers)
        except (StepError, StartError) as error:
            cause = f": {error.cause}" if error.cause else ""
            raise node.error(f"{error.message}{cause}", mend=error.mend) from error
        self._workshop.remember(key, layer)
        stage.layers.append(layer)
        self._progress.done()

    def _open_source(self, name: str, node: Node, stack: ExitStack) -> Source:
        """The context, or the root of a stage or image, for as long as `stack` is open."""
        if name:
            step = stack.enter_context(self._workshop.mounted(self._trees(name, node).layers))
            return Source(step.root_fd)
        if self._plan.context_fd < 0:
            raise node.error(
                "there is no build context: the Dockerfile came on standard input",
                mend="sandbox build -f - DIRECTORY < Dockerfile",
            )
        return Source(self._plan.context_fd, self._plan.context_rules, keeps_owners=False)

    def _mount_key(self, mount: object, node: Node) -> object:
        from sandbox.build.mounts import Mount

        assert isinstance(mount, Mount)
        origin: object = None
        if mount.type == "bind":
            if mount.source_name:
                origin = self._trees(mount.source_name, node).chain_id
            else:
                with ExitStack() as stack:
                    origin = _take(self._open_source("", node, stack), [mount.source or "/"], node)[1]
        return [list(mount), origin]

    def _script_mount(self, name: str, content: str) -> BindMount:
        place = self._workshop.new_directory()
        os.chmod(place, 0o755)
        with open(f"{place}/script", "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(file.fileno(), 0o755)
            file.write(content)
        return BindMount(f"{place}/script", f"/dev/pipes/{name}", read_only=True, recursive=False)


def open_path(root_fd: int, name: bytes) -> bytes:
    """A path of a directory just made, which leads nowhere else."""
    return b"/proc/self/fd/%d/%b" % (root_fd, name)


def _command(stage: StageState, run: Run) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """The words to execute, and a script (name, text) that must be there for them."""
    if not run.heredocs:
        return stage.command(run.command), None
    line = run.command.words[0]
    first = run.heredocs[0]
    if len(run.heredocs) == 1 and read_marker(line) is not None:
        if first.text.startswith("#!"):
            name = posixpath.basename(first.name)
            return (f"/dev/pipes/{name}",), (name, first.text)
        return (*stage.image.shell, first.text), None
    text = line + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in run.heredocs)
    return (*stage.image.shell, text), None


def _refuse(stage: StageState, copy: Copy | Add) -> None:
    """What is not built yet is an error at its line."""
    node = copy.node
    if isinstance(copy, Copy):
        if copy.parents:
            raise node.error("COPY --parents is not built yet")
        return
    if copy.checksum or copy.keep_git_dir is not None:
        raise node.error("ADD --checksum and --keep-git-dir are not built yet")
    for written in copy.sources:
        source = stage.text(written, node)
        if source.startswith(_REMOTE):
            raise node.error(f"ADD from {source} is not built yet", mend="download it before the build and COPY it")


def _take(source: Source, patterns: list[str], node: Node) -> tuple[list[str], object]:
    """The paths of the sources, and what they hold, for the cache."""
    try:
        taken = [path for pattern in patterns for path in find_paths(source, pattern)]
        held = []
        for path in taken:
            found = open_found(source, path)
            try:
                held.append([found.name, found.is_directory, digest_found(source, found)])
            finally:
                os.close(found.fd)
    except StepError as error:
        cause = f" ({error.cause})" if error.cause else ""
        raise node.error(f"{error.message}{cause}") from error
    return taken, held


def _find_owner(step: MountedStep, text: str) -> tuple[int, int]:
    """Uid and gid of "user[:group]", names looked up in the step's own files. Raises StartError."""
    user, colon, _group = text.partition(":")
    identity = resolve_identity(text, (), *(_read_accounts(step, name) for name in ("passwd", "group")))
    if not colon and user.isascii() and user.isdigit():
        return identity.uid, identity.uid
    return identity.uid, identity.gid


def _read_accounts(step: MountedStep, name: str) -> str:
    try:
        fd = open_in_root(step.root_fd, f"etc/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return file.read(_ACCOUNTS_MOST).decode(errors="replace")


def _is_archive(found: Found) -> bool:
    try:
        with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as file:
            return TarReader(file).next_entry() is not None
    except (StorageError, OSError, EOFError, ValueError):
        return False
