"""What `compose watch` does about changed files: containers made anew, files copied, services restarted."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import contextmanager

from sandbox.cli.command import render_error
from sandbox.compose.file_watch import FileWatch
from sandbox.compose.watch_rules import actions_of, initial_files, mounted_paths, rules_of
from sandbox.errors import ConflictError, SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import ObservedContainer
    from sandbox.compose.watch_rules import Actions, Rule
    from sandbox.stack.project import Project

_MANY = 1000


class Watcher:
    """Watches the files of a project's services. One for each project: another is refused."""

    def __init__(
        self, invocation: Invocation, project: Project, services: tuple[str, ...], say: Callable[[str], None]
    ) -> None:
        """`say` gets a line for what happens. Raises UsageError where nothing is watched, ConflictError, HostError."""
        self._invocation = invocation
        self._context = invocation.context.for_operations()
        self._project = project
        self._say_line = say
        names = services or project.services.names
        for path in mounted_paths(project, names):
            invocation.context.note(
                f"WARNING: path '{path}' also declared by a bind mount volume, this path won't be monitored!"
            )
        self._rules = rules_of(project, names)
        if not self._rules:
            raise UsageError(
                "none of the selected services is configured for watch, consider setting a 'develop' section",
                mend="develop: {watch: [{action: sync, path: ./src, target: /app}]}",
            )
        if any(rule.has_old_word for rule in self._rules):
            invocation.context.note(
                "WARNING: x-initialSync is DEPRECATED, please use the official `initial_sync` attribute"
            )
        self._lock = _lock(f"{self._context.paths.data_root}/locks", project.name)
        self._files = FileWatch(dict.fromkeys(rule.root for rule in self._rules))

    def close(self) -> None:
        self._files.close()
        os.close(self._lock)

    def bring_up(self) -> None:
        """Build what is watched, and start the services. Raises SandboxError."""
        self._up(self._invocation.arguments, [rule.service for rule in self._rules], "diverged")

    def run(self) -> None:
        """Do what changes cause, until interrupted. Raises BrokenPipeError."""
        for rule in self._rules:
            if rule.begins_by_syncing:
                self._sync({rule.service: initial_files(rule)}, tells=False)
        self._say("Watch enabled")
        while True:
            paths = self._files.wait(_output_of(self._invocation))
            actions = actions_of(self._rules, paths)
            if actions.is_empty:
                continue
            if len(paths) > _MANY:
                self._say(
                    "Large batch of file changes detected. If you just switched branches, this is expected."
                )  # fmt: skip
            self._carry_out(actions)
            if self._invocation.of_noun.get("verbose"):
                self._invocation.context.note(f"batch complete: count[{len(paths)}]")

    def _carry_out(self, actions: Actions) -> None:
        """What fails is told, and the watch goes on: the next change may mend it."""
        try:
            if actions.rebuild:
                self._rebuild(actions.rebuild)
            self._sync(actions.sync)
            if actions.restart:
                self._restart(actions.restart)
            for rule in actions.execute:
                self._execute(rule)
        except SandboxError as error:
            self._invocation.context.note(f"WARNING: Error handling changed files: {render_error(error)}")

    def _rebuild(self, services: Sequence[str]) -> None:
        self._say(f"Rebuilding service(s) {_quoted(services)} after changes were detected...")
        try:
            self._up(services, services, "force", says=True)
        except SandboxError as error:
            self._say(f"Build failed. Error: {error.message}")
            raise
        if self._flag("prune"):
            self._prune()

    def _prune(self) -> None:
        """Remove the project's images that have no name any more; one that is in use stays."""
        from contextlib import suppress

        from sandbox.compose.names import PROJECT
        from sandbox.image import operations
        from sandbox.image.listing import ListRequest

        filters = ("dangling=true", f"label={PROJECT}={self._project.name}")
        for line in operations.list_images(self._context, ListRequest("", filters)):
            with suppress(SandboxError):
                operations.remove(self._context, line.image.id)

    def _up(self, services: Sequence[str], built: Sequence[str], recreate: str, *, says: bool = False) -> None:
        from sandbox.cli.compose_images import build_images, ensure_images
        from sandbox.cli.compose_runs import way_of
        from sandbox.compose.running import bring_up
        from sandbox.compose.steps import UpOptions

        quiet = self._flag("quiet")
        buildable = [name for name in dict.fromkeys(built) if _has_build(self._project, name)]
        if buildable:
            build_images(self._invocation, self._project, buildable, quiet=quiet)
        if says:
            self._say(f"service(s) {_quoted(services)} successfully built")
        else:
            ensure_images(self._invocation, self._project)
        options = UpOptions(tuple(services), "force" if recreate == "force" else "diverged", "never")
        with way_of(self._invocation) as way:
            bring_up(self._context, self._project, options, way)

    def _sync(self, files: Mapping[str, tuple[tuple[str, str], ...]], *, tells: bool = True) -> None:
        from sandbox.compose.syncing import sync_files

        for service, pairs in files.items():
            if tells and self._invocation.of_noun.get("verbose"):
                self._say(
                    f'Syncing service "{service}" after changes were detected: {", ".join(path for path, _ in pairs)}'
                )
            elif tells:
                self._say(f'Syncing service "{service}" after {len(pairs)} changes were detected')
            # also into those that are about to be started
            sync_files(self._context, self._containers(service), pairs)

    def _containers(self, service: str) -> tuple[ObservedContainer, ...]:
        from sandbox.compose.observe import observe

        return observe(self._context, self._project.name).of(service)

    def _restart(self, services: Sequence[str]) -> None:
        from sandbox.cli.compose_runs import way_of
        from sandbox.compose.plan_down import Chosen, plan_restart
        from sandbox.compose.running import carry_out

        chosen = Chosen(tuple(services), None)
        with way_of(self._invocation) as way:
            carry_out(
                self._context,
                self._project.name,
                lambda observed: plan_restart(self._project, observed, chosen, alone=False),
                way,
            )
        self._say(f"service(s) {_quoted(services)} restarted")

    def _execute(self, rule: Rule) -> None:
        from sandbox.container.operations import execute
        from sandbox.container.session.attach import ClientStreams, Streams
        from sandbox.container.session.exec_request import ExecRequest

        hook = rule.trigger.exec
        request = ExecRequest(
            hook.command or (),
            tuple(f"{key}={value}" for key, value in hook.environment if value is not None),
            hook.user,
            hook.working_dir,
            privileged=hook.privileged,
        )
        self._invocation.context.stdout.flush()
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for container in self._containers(rule.service):
                if not container.is_running:
                    continue
                code = execute(self._context, container.id, request, ClientStreams(Streams(fd, 1, 2), False, False))
                if code:
                    raise SandboxError(f"{' '.join(hook.command or ())}: exit code {code}")
        finally:
            os.close(fd)

    def _flag(self, key: str) -> bool:
        """An option of the command, where it has it."""
        return any(each.key == key for each in self._invocation.command.options) and self._invocation.flag(key)

    def _say(self, line: str) -> None:
        self._say_line(line)
        self._invocation.context.stdout.flush()


@contextmanager
def watched(invocation: Invocation, project: Project) -> Iterator[None]:
    """For as long as the block a process of its own watches the files; what it does stands among what services write.
    Raises as `Watcher`.
    """
    names = invocation.arguments or project.services.names
    width = max((len(name) for name in names), default=0) + len("-1 ")
    watcher = Watcher(invocation, project, names, lambda line: invocation.context.print(f"{'':<{width}} ⦿ {line}"))
    invocation.context.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            watcher.run()
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        except SandboxError as error:
            invocation.context.note(render_error(error))
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        watcher.close()


def _lock(directory: str, project: str) -> int:
    from storage.private_directories import make_private_directory

    make_private_directory(directory)
    fd = os.open(f"{directory}/compose-watch-{project}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ConflictError(
            f'cannot take exclusive lock for project "{project}"', cause="another watch of it is on"
        ) from None
    return fd


def _output_of(invocation: Invocation) -> int:
    try:
        return invocation.context.stdout.fileno()
    except OSError:
        return -1


def _has_build(project: Project, name: str) -> bool:
    service = project.services.value(name)
    return service is not None and service.build is not None


def _quoted(names: Iterable[str]) -> str:
    """As Go prints a list of texts with %q."""
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
