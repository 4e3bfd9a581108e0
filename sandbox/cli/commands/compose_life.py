"""The life of a project's containers: compose kill, rm, pause, unpause, wait."""

from __future__ import annotations

from sandbox.cli.command import Command, render_error
from sandbox.cli.compose_call import parallel_of, project_if_any
from sandbox.cli.compose_runs import is_dry
from sandbox.cli.flags import option
from sandbox.compose.chosen import Choice, chosen
from sandbox.compose.observe import observe
from sandbox.compose.together import Asked, do_together
from sandbox.errors import NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import ObservedContainer
    from sandbox.stack.project import Project


def kill(invocation: Invocation) -> int:
    """Send a signal to the first process of each container."""
    from sandbox.grammar.signals import parse_signal

    number = parse_signal(invocation.text("signal") or "SIGKILL")
    project, found = _containers(invocation, Choice(invocation.arguments, one_off=True))
    if not invocation.flag("remove-orphans"):
        found = _without_orphans(project, found)
    if not found:
        invocation.context.note("No container to kill")
        return 0
    return _do(invocation, found, Asked("container.kill", (int(number),)), ("Killing", "Killed"))


def pause(invocation: Invocation) -> int:
    """Hold all processes of the containers."""
    project, found = _containers(invocation, Choice(invocation.arguments))
    return _do(invocation, _without_orphans(project, found), Asked("container.pause"), ("", "Paused"))


def unpause(invocation: Invocation) -> int:
    """Let the processes of the containers go on."""
    project, found = _containers(invocation, Choice(invocation.arguments))
    return _do(invocation, _without_orphans(project, found), Asked("container.unpause"), ("", "Unpaused"))


def remove(invocation: Invocation) -> int:
    """Remove the containers that do not run; with -s stop them before."""
    context, force = invocation.context, invocation.flag("force")
    project, found = _containers(invocation, Choice(invocation.arguments, all=True))
    found = _without_orphans(project, found)
    if invocation.flag("stop"):
        running = [each for each in found if each.is_running]
        if _do(invocation, running, Asked("container.stop"), ("Stopping", "Stopped")):
            return 1
        # one that removes itself at its end is gone now
        ids = {each.id for each in found}
        _, there = _containers(invocation, Choice(invocation.arguments, all=True))
        found = [each for each in there if each.id in ids]
    would_stop = invocation.flag("stop") and is_dry(invocation)
    stopped = [each for each in found if would_stop or not each.is_running]
    if not stopped:
        context.note("No stopped containers")
        return 0
    going = f"Going to remove {', '.join(each.name for each in stopped)}"
    if force:
        context.print_quoted(going)
    elif not is_dry(invocation) and not _agrees(invocation, going):
        return 0
    asked = Asked("container.remove", named={"force": force, "volumes": invocation.flag("volumes")})
    return _do(invocation, stopped, asked, ("Removing", "Removed"))


def _agrees(invocation: Invocation, question: str) -> bool:
    import sys

    invocation.context.stdout.write(invocation.context.quoted(f"? {question} [yN] "))
    invocation.context.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def wait(invocation: Invocation) -> int:
    """Wait until the containers have ended; the exit status is that of the last one."""
    _, name = project_if_any(invocation, invocation.arguments)
    found = chosen(observe(invocation.context.for_operations(), name), Choice(invocation.arguments, one_off=True))
    if not found:
        raise NotFoundError(f'no containers for project "{name}"', mend="sandbox compose ps -a")
    status = 0

    def tell(container: ObservedContainer, result: object) -> None:
        nonlocal status
        if isinstance(result, SandboxError):
            raise result
        assert isinstance(result, int)
        status = result
        invocation.context.print(f'container "{container.id}" exited with status code {status}')
        invocation.context.stdout.flush()

    where, drops = invocation.context.for_operations(), invocation.flag("down-project")
    do_together(where, found, Asked("container.wait", (None,)), tell, first=drops)
    if drops:
        from sandbox.cli.compose_runs import way_of
        from sandbox.compose.running import take_down
        from sandbox.compose.steps import DownOptions

        with way_of(invocation) as way:
            take_down(where, name, None, DownOptions(removes_orphans=True), way)
    return status


def _containers(invocation: Invocation, choice: Choice) -> tuple[Project | None, list[ObservedContainer]]:
    project, name = project_if_any(invocation, choice.services)
    return project, chosen(observe(invocation.context.for_operations(), name), choice)


def _without_orphans(project: Project | None, containers: list[ObservedContainer]) -> list[ObservedContainer]:
    if project is None:
        return containers
    return [each for each in containers if each.service in project.services.names]


def _do(invocation: Invocation, containers: list[ObservedContainer], asked: Asked, words: tuple[str, str]) -> int:
    """Do it with each container and say so; 1 where one failed, each of which is told."""
    from sandbox.cli.compose_progress import display_of, write_dry
    from sandbox.compose.progress import Progress

    status = 0
    begun, done = words
    if is_dry(invocation):
        for each in containers:
            for word in filter(None, words):
                write_dry(invocation.context.stderr, f"Container {each.name}", word)
        return 0
    display = display_of(invocation)

    def tell(container: ObservedContainer, result: object) -> None:
        nonlocal status
        subject = f"Container {container.name}"
        if isinstance(result, SandboxError):
            display.tell(Progress(subject, "Error", "error"))
            display.close()
            invocation.context.note(render_error(result))
            status = 1
        else:
            display.tell(Progress(subject, done, "done"))

    if begun:
        for each in containers:
            display.tell(Progress(f"Container {each.name}", begun, "working"))
    where, parallel = invocation.context.for_operations(), parallel_of(invocation)
    do_together(where, containers, asked, tell, parallel=parallel)
    display.close()
    return status


_SOME = "[SERVICE...]"

COMMANDS: tuple[Command, ...] = (
    Command(
        "compose kill",
        "Force stop service containers",
        f"[OPTIONS] {_SOME}",
        (
            option("--remove-orphans", "flag", "Remove containers for services not defined in the Compose file"),
            option("-s --signal", "text", "SIGNAL to send to the container", "string", "SIGKILL"),
        ),
        kill,
        examples=("sandbox compose kill", "sandbox compose kill -s SIGHUP web"),
    ),
    Command(
        "compose rm",
        "Removes stopped service containers",
        f"[OPTIONS] {_SOME}",
        (
            option("-a --all", "flag", "Deprecated - no effect", hidden=True),
            option("-f --force", "flag", "Don't ask to confirm removal"),
            option("-s --stop", "flag", "Stop the containers, if required, before removing"),
            option("-v --volumes", "flag", "Remove any anonymous volumes attached to containers"),
        ),
        remove,
        examples=("sandbox compose rm", "sandbox compose rm -fsv web"),
        further=("data that is in no volume goes with the container",),
    ),
    Command(
        "compose pause",
        "Pause services",
        _SOME,
        (),
        pause,
        examples=("sandbox compose pause", "sandbox compose pause web"),
    ),
    Command(
        "compose unpause",
        "Unpause services",
        _SOME,
        (),
        unpause,
        examples=("sandbox compose unpause", "sandbox compose unpause web"),
    ),
    Command(
        "compose wait",
        "Block until containers of all (or specified) services stop.",
        "SERVICE [SERVICE...] [OPTIONS]",
        (option("--down-project", "flag", "Drops project when the first container stops"),),
        wait,
        least=1,
        examples=("sandbox compose wait job", "sandbox compose wait --down-project tests"),
    ),
)
