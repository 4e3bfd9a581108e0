"""The instructions that make layers: RUN, COPY, ADD and WORKDIR."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.cache.step_cache import step_lock
from sandbox.builder.entitlements import check_entitlements
from sandbox.builder.progress.progress import warn
from sandbox.builder.sources.copy_sources import Source, StepError, open_found
from sandbox.builder.sources.named_contexts import context_name
from sandbox.builder.step_layers import NotCachedError
from sandbox.builder.steps.copy_step import CopyRoom, digest_path, located
from sandbox.builder.steps.copying import Changes, Copier, Target
from sandbox.builder.steps.remote_origins import Remotes
from sandbox.builder.steps.run_mounts import MountRoom, is_directory
from sandbox.builder.steps.run_platform import check_runnable
from sandbox.builder.steps.run_step import RunRequest, RunRoom
from sandbox.builder.steps.step_owners import find_user
from sandbox.dockerfile.arguments import read_mounts
from sandbox.dockerfile.heredocs import read_marker
from sandbox.errors import ImageError, StartError
from sandbox.redaction import redact
from sandbox.runtime.spec import BindMount
from sandbox.runtime.unmapped_ids import check_mapped
from storage.errors import StorageError, os_failure
from storage.trees.resolve import make_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.builder.cache.step_cache import BuildLayer
    from sandbox.builder.progress.progress import StepReport
    from sandbox.builder.request import BuildPlan
    from sandbox.builder.sources.digest_memory import Memories
    from sandbox.builder.stage_state import StageState
    from sandbox.builder.step_layers import MountedStep, Workshop
    from sandbox.builder.steps.run_step import NetworkName
    from sandbox.dockerfile.instructions import Add, Copy, DebugShell, Run, Workdir
    from sandbox.dockerfile.mounts import Mount
    from sandbox.dockerfile.parser import Node
    from sandbox.paths import Paths
    from sandbox.runtime import spec

    _Prepare = Callable[[ExitStack], list[tuple[str, bool]]]

_NETWORKS: dict[str, NetworkName] = {"default": "default", "none": "none", "host": "host"}
#: raised by a new meaning of a step: what was cached before is made anew
_CACHE_VERSION = 2


class _Recipe(NamedTuple):
    """How a layer is made.

    `parts` are what tells it apart in the cache. `prepare` is for a command: it gives the places that will be mounted
    over, and whether they are directories. A `linked` layer is made in an empty tree and the same over any others.
    """

    parts: object
    act: Callable[[MountedStep], None]
    prepare: _Prepare | None = None
    linked: bool = False
    #: the parts by what the trees hold that are copied from; asked for where no layer is known by their layers
    look: Callable[[], object] | None = None


class _Command(NamedTuple):
    """A command at its place in a stage: `prepare` makes its mounts, as for `_Recipe`, and then `request` asks for it,
    with the tree's root and its words.
    """

    prepare: _Prepare
    request: Callable[[str, tuple[str, ...]], RunRequest]


class Steps:
    """Carries out what changes files. `trees` gives the layers of a `from=`: a stage or an image.

    With `fresh` no layer of an earlier build is taken.
    """

    def __init__(
        self, paths: Paths, plan: BuildPlan, workshop: Workshop, trees: Callable[[str, Node], StageState],
        memories: Memories, *, fresh: bool = False,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._memories = memories
        self._fresh = fresh
        self._paths = paths
        self._workshop = workshop
        self._trees = trees
        self._mounts = MountRoom(workshop, f"{paths.data_root}/build-mounts", plan.secrets, plan.ssh)
        remotes = Remotes(workshop, paths, plan)
        self._copies = CopyRoom(
            workshop, remotes, self._open_source, self._identify, lambda text: warn(plan.events, text)
        )
        self._room: RunRoom | None = None

    def close(self) -> None:
        if self._room is not None:
            self._room.close()

    def run(self, stage: StageState, run: Run, report: StepReport) -> None:
        """Raises DockerfileError where the command fails, with its exit code."""
        node = run.node
        network = self._network(run)
        words, script = _command(stage, run)
        mounts = read_mounts(run, stage.scope)
        key = [
            "RUN", words, script, sorted(stage.scope.environment.items()), stage.image.directory, stage.image.user,
            network, [self._mount_key(mount, node) for mount in mounts],
            *([list(self._plan.settings)] if any(self._plan.settings) else []),
        ]  # fmt: skip

        command = self._placed(stage, node, mounts, network, script)

        def act(step: MountedStep) -> None:
            find_user(stage, step.root_fd, node)
            self._execute(command.request(step.root, words), node, report)

        self._layer(stage, node, report, _Recipe(key, act, command.prepare))
        values = [f"{name}={stage.scope.environment[name]}" for name in stage.arguments]
        counted = [f"|{len(values)}", *values] if values else []
        stage.image.add_history(f"RUN {' '.join([*counted, *words])} # buildkit", stage.layers[-1].created)

    def open_shell(self, stage: StageState, shell: DebugShell) -> None:
        """Run the stage's shell as the step that `shell` stands for would be run, on a terminal. Raises
        DockerfileError where it cannot be started. Raises NotCachedError where the layers below are not there.
        """
        run, node = shell.run, shell.node
        mounts = read_mounts(run, stage.scope) if run else ()
        script = _command(stage, run)[1] if run else None
        network = self._network(run) if run else self._plan.network
        command = self._placed(stage, node, mounts, network, script)

        if not self._workshop.makes:
            raise NotCachedError
        with _located(node), self._mounted(stage, command.prepare) as step:
            find_user(stage, step.root_fd, node)
            request = command.request(step.root, stage.image.shell[:1])
            if "TERM" not in stage.scope.environment:
                request = request._replace(environment=(*request.environment, "TERM=xterm"))
            self._runs().shell(request)

    def _network(self, run: Run) -> str:
        """Raises DockerfileError where the command may not have it."""
        check_entitlements((run,), self._plan.entitlements)
        return run.network if run.network != "default" else self._plan.network

    def _placed(
        self, stage: StageState, node: Node, mounts: tuple[Mount, ...], network: str, script: tuple[str, str] | None
    ) -> _Command:
        proxies = self._plan.proxies
        # as --build-arg would, they come before the default of an ARG, and not before an ENV
        before = {
            name: value
            for name, value in proxies.items()
            if name in stage.arguments and name not in stage.image.environment
        }
        environment = {**proxies, **stage.scope.environment, **before}
        mounted: list[tuple[tuple[spec.Mount, ...], dict[str, str]]] = []

        def prepare(stack: ExitStack) -> list[tuple[str, bool]]:
            check_runnable(stage.image.document, self._plan.native)
            made, variables = stack.enter_context(
                self._mounts.prepared(
                    mounts, stage.image.directory, lambda name, inner: self._open_source(name, node, inner)
                )
            )
            if script is not None:
                made = (*made, self._script_mount(*script))
            mounted.append((made, variables))
            return [(mount.target, is_directory(mount)) for mount in made]

        def request(root: str, words: tuple[str, ...]) -> RunRequest:
            ((made, variables),) = mounted
            return RunRequest(
                root, words, tuple(f"{k}={v}" for k, v in {**environment, **variables}.items()),
                stage.image.directory, stage.image.user, _NETWORKS.get(network, "joined"), made,
            )  # fmt: skip

        return _Command(prepare, request)

    def work_in(self, stage: StageState, workdir: Workdir, report: StepReport) -> None:
        path = stage.text(workdir.path, workdir.node)
        if not path.startswith("/"):
            path = posixpath.normpath(stage.path(path))
        made = posixpath.normpath(path) not in ("/", "//")
        if made:

            def act(step: MountedStep) -> None:
                owner = find_user(stage, step.root_fd, workdir.node)
                check_mapped(*owner or (0, 0))
                new: list[bytes] = []
                try:
                    os.close(make_directories(step.root_fd, os.fsencode(path), 0o755, new.append))
                except OSError as error:
                    raise os_failure(f"cannot make the directory {path}", error) from error
                for name in new if owner else ():
                    os.chown(open_path(step.root_fd, name), *(owner or (0, 0)))

            self._layer(stage, workdir.node, report, _Recipe(["WORKDIR", path, stage.image.user], act))
        # only now: a step that is tried again takes a relative path from where it did before
        stage.image.config["WorkingDir"] = path
        stage.image.add_history(f"WORKDIR {path}", stage.layers[-1].created if made else "")

    def copy(self, stage: StageState, copy: Copy | Add, report: StepReport) -> None:
        """Raises DockerfileError where a source is missing or the target cannot take it."""
        with ExitStack() as stack:
            plan = self._copies.plan(stage, copy, stack)
            self._layer(stage, copy.node, report, _Recipe(plan.key, plan.act, linked=plan.linked, look=plan.look))
        stage.image.add_history(plan.history, stage.layers[-1].created)

    def _execute(self, request: RunRequest, node: Node, report: StepReport) -> None:
        exit_code = self._runs().run(request, report.output)
        if exit_code:
            command = " ".join(request.arguments)
            raise node.error(f'process "{command}" did not complete successfully: exit code: {exit_code}')

    def _runs(self) -> RunRoom:
        if self._room is None:
            plan = self._plan
            self._room = RunRoom(
                self._paths, self._workshop.directory, plan.settings, joined=plan.joined, apart=plan.is_classic
            )
        return self._room

    def _layer(self, stage: StageState, node: Node, report: StepReport, recipe: _Recipe) -> None:
        """Add the layer that `recipe` makes, or the one an earlier build made of the same parts."""
        key = self._key(stage, recipe, recipe.parts)
        self._find_or_make(stage, node, report, recipe, key)
        stage.records.append([key, len(stage.layers) - 1, redact(node.original), stage.layers[-1].created])

    def _find_or_make(self, stage: StageState, node: Node, report: StepReport, recipe: _Recipe, key: str) -> None:
        cache = self._workshop.cache
        if self._fresh or not self._take(stage, report, recipe, cache.find(key)):
            if not self._workshop.makes:
                raise NotCachedError
            # another build, or another stage of this one, may be at the same step
            with step_lock(self._paths, key):
                keys = [key]
                if not self._fresh:
                    if self._take(stage, report, recipe, cache.find(key)):
                        return
                    if recipe.look is not None:
                        # made of other layers that hold the same
                        keys.append(self._key(stage, recipe, _look(recipe.look, node)))
                        found = cache.find(keys[-1])
                        if self._take(stage, report, recipe, found) and found is not None:
                            cache.remember(key, found, node.original)
                            return
                layer = self._make(stage, node, recipe)
                for one in keys:
                    cache.remember(one, layer, node.original)
            stage.layers.append(layer)
            report.finished()

    def _key(self, stage: StageState, recipe: _Recipe, parts: object) -> str:
        below = "linked" if recipe.linked else stage.chain_id
        text = json.dumps([_CACHE_VERSION, self._plan.rewritten_epoch, below, parts])
        return hashlib.sha256(text.encode()).hexdigest()

    def _take(self, stage: StageState, report: StepReport, recipe: _Recipe, cached: BuildLayer | None) -> bool:
        if cached is None:
            return False
        stage.layers.append(self._workshop.place(cached, stage.layers) if recipe.linked else cached)
        report.cached()
        return True

    def _make(self, stage: StageState, node: Node, recipe: _Recipe) -> BuildLayer:
        with _located(node), self._mounted(stage, recipe.prepare, empty=recipe.linked) as step:
            recipe.act(step)
            return self._workshop.commit(step, stage.layers)

    @contextmanager
    def _mounted(self, stage: StageState, prepare: _Prepare | None, *, empty: bool = False) -> Iterator[MountedStep]:
        with ExitStack() as stack:
            points = None if prepare is None else prepare(stack)
            yield stack.enter_context(self._workshop.mounted(stage.layers, points, empty=empty))

    def _open_source(self, name: str, node: Node, stack: ExitStack) -> Source:
        """The context, or the root of a stage or image, for as long as `stack` is open."""
        tree = self._plan.contexts.get(context_name(name)) if name else self._plan.context
        if tree is not None:
            return Source(tree.fd, tree.rules, keeps_owners=False, memory=self._memories.of(tree.fd))
        if name:
            step = stack.enter_context(self._workshop.mounted(self._trees(name, node).layers))
            return Source(step.root_fd)
        raise node.error(
            "there is no build context: the Dockerfile came on standard input",
            mend="sandbox build -f - DIRECTORY < Dockerfile",
        )

    def _identify(self, name: str, node: Node) -> str:
        """What a stage or image holds, for cache keys; "" for a context, which is looked into."""
        return "" if not name or context_name(name) in self._plan.contexts else self._trees(name, node).chain_id

    def import_context(self, stage: StageState, name: str, node: Node, report: StepReport) -> None:
        """A stage's first layer: the files of a named context, for `FROM NAME`."""
        with ExitStack() as stack:
            source = self._open_source(name, node, stack)
            key = ["CONTEXT", digest_path(source, "", node)]

            def act(step: MountedStep) -> None:
                found = open_found(source, "")
                stack.callback(os.close, found.fd)
                with closing(Copier(Target(step.root_fd, "/", into=True), Changes())) as copier:
                    copier.copy(source, found)

            self._layer(stage, node, report, _Recipe(key, act))
        stage.image.add_history(f"FROM {name} # build context", stage.layers[-1].created)

    def _mount_key(self, mount: object, node: Node) -> object:
        from sandbox.dockerfile.mounts import Mount

        assert isinstance(mount, Mount)
        origin: object = None
        if mount.type == "bind":
            origin = self._identify(mount.source_name, node)
            if not origin:
                with ExitStack() as stack:
                    origin = digest_path(self._open_source(mount.source_name, node, stack), mount.source, node)
        return [list(mount), origin]

    def _script_mount(self, name: str, content: str) -> BindMount:
        place = self._workshop.new_directory()
        os.chmod(place, 0o755)
        with open(f"{place}/script", "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(file.fileno(), 0o755)
            file.write(content)
        return BindMount(f"{place}/script", f"/dev/pipes/{name}", read_only=True, recursive=False)


@contextmanager
def _located(node: Node) -> Iterator[None]:
    """Errors of carrying out a step get the place of its instruction."""
    try:
        yield
    except (StepError, StartError, ImageError, StorageError) as error:
        cause = f": {error.cause}" if error.cause else ""
        raise node.error(f"{error.message}{cause}", mend=error.mend) from error
    except OSError as error:
        failure = os_failure("cannot carry out this step", error)
        raise node.error(f"{failure.message}: {failure.cause}", mend=failure.mend) from error


def _look(look: Callable[[], object], node: Node) -> object:
    try:
        return look()
    except StepError as error:
        raise located(node, error) from error


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
