"""`sandbox build`: from a context and a Dockerfile to an image with its names.

Everything that can be known before anything is made is looked at first, in the calling process: the file, its target,
the images it needs (pulled where they are missing). Then `builder` works in the user namespace, and what it made is
recorded here in one transaction. The store is held against removal from the first look to the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.entitlements import check_entitlements
from sandbox.builder.image_state import ImageState
from sandbox.builder.progress.plain_progress import PlainProgress
from sandbox.builder.progress.progress import warn
from sandbox.builder.request import BuildPlan, BuildResult, Holder, RunSettings, image_key, read_stage_platform
from sandbox.builder.results.cache_transfer import CachePlace, export_caches, import_caches, with_inline_cache
from sandbox.builder.results.exporting import Exported, ExportRequest, export_result
from sandbox.builder.sources.contexts import ContextRoom, is_files
from sandbox.builder.sources.copy_request import warn_of_target
from sandbox.builder.sources.named_contexts import context_name, replace_stages
from sandbox.builder.sources.ssh_agents import agent_sockets
from sandbox.builder.stages.base_images import BaseImages, ImageNeed
from sandbox.builder.stages.builder import build
from sandbox.builder.stages.debug_shell import open_shell, with_shell
from sandbox.builder.stages.stage_builder import read_triggers
from sandbox.caller_directory import CallerDirectory
from sandbox.container.life.driver_choice import driver_of_store
from sandbox.dockerfile.arguments import PROXIES, platform_arguments, read_globals
from sandbox.dockerfile.directives import TRUE
from sandbox.dockerfile.errors import DockerfileError, LanguageError, did_you_mean
from sandbox.dockerfile.instructions import Add, Copy
from sandbox.dockerfile.lint import check_program
from sandbox.dockerfile.lint_stages import Surroundings
from sandbox.dockerfile.outline import reachable_stages
from sandbox.dockerfile.stage_names import find_above, find_base, find_source, sources
from sandbox.dockerfile.stages import read_dockerfile
from sandbox.errors import HostError, NotFoundError, SandboxError
from sandbox.image.platforms import host_platform, parse_platform
from sandbox.image.recording import images_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.builder.progress.progress import EventSink
    from sandbox.builder.sources.contexts import ContextTree
    from sandbox.builder.sources.ssh_agents import SshSource
    from sandbox.dockerfile.arguments import Globals
    from sandbox.dockerfile.instructions import Instruction
    from sandbox.dockerfile.stages import Program
    from sandbox.paths import Paths

#: of an instruction that failed, so many lines after the first
_LINES_SHOWN = 20


class BuildOptions(NamedTuple):
    """What the command line says. `context` is a path, a URL or "-"; `file` the Dockerfile's path or URL, "-" for
    standard input, "" for the one in the context; both as `cwd` sees them.
    """

    context: str
    file: str = ""
    cwd: CallerDirectory = CallerDirectory(".")
    arguments: Mapping[str, str] = {}
    target: str = ""
    no_cache: bool = False
    #: names of stages, lower case
    no_cache_stages: frozenset[str] = frozenset()
    pull: bool = False
    labels: Mapping[str, str] = {}
    #: variables of every RUN that are kept nowhere; those among `arguments` come before them
    proxies: Mapping[str, str] = {}
    network: str = "default"
    #: what `--allow` grants, see `entitlements`
    entitlements: frozenset[str] = frozenset()
    #: what is built for, "" for this machine's own
    platform: str = ""
    settings: RunSettings = RunSettings()
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    secrets: Mapping[str, bytes] = {}
    #: where the result goes
    export: ExportRequest = ExportRequest()
    #: who shows what happens
    events: EventSink = PlainProgress()
    #: what names stand for (`--build-context`), by the compared form of the names
    contexts: Mapping[str, str] = {}
    #: sockets and keys of SSH agents (`--ssh`)
    ssh: tuple[SshSource, ...] = ()
    #: shows a step's failure before a shell is opened in its place (`--debug-shell`); None where none is wanted
    before_shell: Callable[[DockerfileError], None] | None = None
    #: whether it is told as by the classic builder, see `BuildPlan`
    is_classic: bool = False
    #: has a container be on a network of somebody's own; None where there may be no such
    hold: Holder | None = None


def build_image(paths: Paths, env: Mapping[str, str], options: BuildOptions) -> Exported:
    """The result, brought to where it goes. Raises DockerfileError with the place for what is wrong with the file, else
    SandboxError.
    """
    with agent_sockets(paths, env, options.ssh) as ssh, images_lock(paths):
        # a context that comes by SSH has the caller's agent, as the caller's own git would
        room = ContextRoom(paths, options.cwd, env, options.secrets, ssh.get("default") or env.get("SSH_AUTH_SOCK", ""))
        try:
            plan = _Planner(paths, env, options, room).plan()
            import_caches(paths, env, options.cache_from, options.events)
            result = _build_plan(paths, plan._replace(ssh=ssh), options.before_shell)
            inline = any(place.kind == "inline" for place in options.cache_to)
            exported = export_result(
                paths, env, with_inline_cache(paths, result) if inline else result, options.export, options.events
            )
            export_caches(paths, env, result, options.cache_to, options.events)
            return exported
        finally:
            room.close()


def _build_plan(paths: Paths, plan: BuildPlan, before_shell: Callable[[DockerfileError], None] | None) -> BuildResult:
    try:
        return build(paths, plan)
    except DockerfileError as error:
        source = plan.program.dockerfile.source
        if error.place.file == source.name:
            for node in plan.program.dockerfile.nodes:
                if node.start_line <= error.place.line <= node.end_line:
                    lines = source.lines[error.place.line : min(node.end_line, error.place.line + _LINES_SHOWN)]
                    error.following = tuple(line.rstrip("\r\n") for line in lines)
        shell = with_shell(plan, error.place) if before_shell is not None else None
        if before_shell is not None and shell is not None:
            before_shell(error)
            error.shown = True
            try:
                open_shell(paths, shell)
            except DockerfileError as again:
                # what kept the step from being tried keeps the shell too
                if again.message != error.message:
                    raise
        raise


class _Planner:
    """The look at everything before anything is made."""

    def __init__(self, paths: Paths, env: Mapping[str, str], options: BuildOptions, room: ContextRoom) -> None:
        self._paths = paths
        self._env = env
        self._options = options
        self._room = room
        self._native = host_platform()
        asked = options.platform or env.get("DOCKER_DEFAULT_PLATFORM") or ""
        self._asked = parse_platform(asked) if asked else None
        self._platform = self._asked or self._native
        self._images = BaseImages(
            paths, env, options.events, options.contexts, options.cwd, pull=options.pull, short_ids=options.is_classic
        )
        self._trees: dict[str, ContextTree] = {}

    def plan(self) -> BuildPlan:
        given = self._options.arguments
        keep_git_dir = given.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR") in TRUE
        main = self._room.open_main(self._options.context, self._options.file, keep_git_dir=keep_git_dir)
        contexts = self._options.contexts
        program = read_dockerfile(main.dockerfile.data, main.dockerfile.name)
        if not program.stages:
            raise program.dockerfile.nodes[0].error("no build stage in the file", expected="a FROM instruction")
        program = replace_stages(program, contexts)
        target = self._find_target(program)
        self._trees = {name: self._room.open_named(value) for name, value in contexts.items() if is_files(value)}
        predefined = platform_arguments(self._native, self._platform, program.stages[target].name, given)
        globals_ = read_globals(program, given, predefined)
        waiting = list(reachable_stages(program, target, globals_))
        for number in waiting:
            # before anything is pulled for it; a step asks again, for ONBUILD and what else comes to light later
            check_entitlements(program.stages[number].instructions, self._options.entitlements)
        self._images.pull_missing(need for number in waiting for need in self._needs(program, number, globals_, ()))
        found: set[int] = set()
        while waiting:
            number = waiting.pop(0)
            if number not in found:
                found.add(number)
                # a base's ONBUILD, or a mount by its number, may take from a stage that nothing in the file names
                for named in self._find_images(program, number, globals_):
                    waiting += reachable_stages(program, named, globals_)
        stages = tuple(sorted(found))
        self._check(program, predefined, main.tree)
        for instruction in (each for number in stages for each in program.stages[number].instructions):
            if isinstance(instruction, Copy | Add) and (said := warn_of_target(instruction)):
                warn(self._options.events, f"{instruction.node.line.place()}: {said}")
        return BuildPlan(
            program, globals_, stages, target, self._images.found, main.tree, self._trees,
            self._platform, self._native, self._asked is not None, self._options.network, self._options.no_cache,
            dict(self._options.labels),
            {**self._options.proxies, **{key: value for key, value in given.items() if key in PROXIES}},
            self._options.secrets, self._env, {}, {},
            self._options.events, self._storage_driver(), self._options.export.rewritten_epoch,
            self._options.no_cache_stages,
            self._options.settings, self._options.entitlements, self._options.is_classic,
            hold=self._options.hold,
        )  # fmt: skip

    def _check(self, program: Program, predefined: Mapping[str, str], tree: ContextTree | None) -> None:
        """Warn of what the rules find; an error where the file wants it to be one."""

        def environment(name: str) -> Mapping[str, str] | None:
            image = self._images.found.get(image_key(name, self._asked)) or self._images.found.get(name)
            return None if image is None else ImageState.from_base(image.config).environment

        try:
            report = check_program(
                program, self._options.arguments, predefined, Surroundings(environment, tree.rules if tree else None)
            )
        except LanguageError:
            # of a stage that is not built, or the build will say it at its own time
            return
        for finding in report.findings:
            warn(self._options.events, str(finding))
        if report.fails:
            rules = ", ".join(dict.fromkeys(finding.rule.name for finding in report.findings))
            raise SandboxError(
                f"lint violation found for rules: {rules}",
                cause=str(report.findings[0]),
                mend="sandbox build --check PATH shows each; without error=true they are warnings",
            )

    def _storage_driver(self) -> str:
        name = driver_of_store(self._paths)
        if name == "copy":
            from storage.overlay.fuse.serving.installing import INSTALL  # for this error only

            raise HostError(
                "a build needs a storage driver that tells what a step changed, and this store has `copy`",
                cause="the kernel's overlay does not work here, and pyfuse3 is not installed or not used",
                mend=INSTALL,
            )
        return name

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

    def _needs(
        self, program: Program, number: int, globals_: Globals, triggers: Sequence[Instruction]
    ) -> list[ImageNeed]:
        """The images stage `number` needs, its base first, as far as they are not stages or contexts."""
        stage = program.stages[number]
        node = stage.start.node
        base = globals_.expand(stage.base, node).text
        if not base:
            raise node.error(f"base name ({stage.base}) should not be blank", mend="give the ARG in it a value")
        platform = read_stage_platform(globals_, stage.start) or self._asked
        above = (
            find_above(program, number, base) if self._is_image(base) else find_base(program, number, base, globals_)
        )
        found = [ImageNeed(base, platform, node)] if above is None else []
        for name, at in sources((*triggers, *stage.instructions)):
            if context_name(name) in self._trees:
                continue
            if (
                find_above(program, number, name) is None
                if self._is_image(name)
                else find_source(program, number, name, at, globals_) is None
            ):
                found.append(ImageNeed(name, self._asked, at))
        return [need for need in found if need.name != "scratch" and context_name(need.name) not in self._trees]

    def _find_images(self, program: Program, number: int, globals_: Globals) -> list[int]:
        """Find the images stage `number` needs; the stages that it takes from, by its base's triggers too."""
        triggers: tuple[Instruction, ...] = ()
        node = program.stages[number].start.node
        for need in self._needs(program, number, globals_, ()):
            image = self._images.find(need, self._native)
            if need.node is node:
                triggers = read_triggers(image.config, node)
                check_entitlements(triggers, self._options.entitlements)
        for need in self._needs(program, number, globals_, triggers) if triggers else ():
            self._images.find(need, self._native)
        takes = sources((*triggers, *program.stages[number].instructions))
        above = [find_above(program, number, name, by_number=True) for name, _at in takes]
        return [stage for stage in above if stage is not None]

    def _is_image(self, name: str) -> bool:
        """Whether a named context lets the name stand for an image."""
        value = self._options.contexts.get(context_name(name), "")
        return value.startswith(("docker-image://", "oci-layout://"))
