"""`compose down`, `start`, `stop`, `restart`: what there is of a project taken down, stopped and started."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import project_if_any
from sandbox.cli.compose_runs import timeout_of, way_of
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import Observed
    from sandbox.compose.plan_down import Chosen
    from sandbox.compose.steps import Plan
    from sandbox.stack.project import Project

_IMAGES = ("", "all", "local")
_TIMEOUT = option("-t --timeout", "number", "Specify a shutdown timeout in seconds", "int", 0)


def down(invocation: Invocation) -> int:
    """Stop and remove what there is of the project."""
    from sandbox.cli.commands.compose_up import removes_orphans
    from sandbox.compose.running import take_down
    from sandbox.compose.steps import DownOptions

    images = invocation.text("rmi") or ""
    if images not in _IMAGES:
        raise UsageError(f"invalid value for --rmi: {images!r}", mend='--rmi "all", or --rmi "local"')
    project, name = project_if_any(invocation)
    environment = invocation.context.env if project is None else project.environment
    removes = removes_orphans(invocation, environment)
    options = DownOptions(invocation.arguments, invocation.flag("volumes"), images, removes, timeout_of(invocation))
    with way_of(invocation) as way:
        plan = take_down(invocation.context.for_operations(), name, project, options, way)
    _show_dry(invocation, plan)
    return 0


def _show_dry(invocation: Invocation, plan: Plan) -> None:
    from sandbox.cli.compose_progress import write_plan
    from sandbox.cli.compose_runs import is_dry

    if is_dry(invocation):
        write_plan(invocation.context.stderr, plan)


def start(invocation: Invocation) -> int:
    """Start containers that are there, in the order of what they depend on."""
    from sandbox.compose.plan_down import plan_start

    waits = invocation.flag("wait")
    return _carry_out(invocation, lambda project, seen, chosen: plan_start(project, seen, chosen, waits=waits))


def stop(invocation: Invocation) -> int:
    """Stop containers, those first that depend on others."""
    from sandbox.compose.plan_down import plan_stop

    return _carry_out(invocation, plan_stop, starts=False)


def restart(invocation: Invocation) -> int:
    """Stop and start containers, in the order of what they depend on."""
    from sandbox.compose.plan_down import plan_restart

    alone = invocation.flag("no-deps")
    return _carry_out(invocation, lambda project, seen, chosen: plan_restart(project, seen, chosen, alone=alone))


def _carry_out(
    invocation: Invocation, decide: Callable[[Project | None, Observed, Chosen], Plan], *, starts: bool = True
) -> int:
    from sandbox.cli.api_socket import serve_project
    from sandbox.cli.compose_runs import is_dry
    from sandbox.compose.plan_down import Chosen
    from sandbox.compose.running import carry_out

    project, name = project_if_any(invocation)
    if starts and not is_dry(invocation):
        serve_project(invocation.context, project)
    has_timeout = any(each.key == "timeout" for each in invocation.command.options)
    chosen = Chosen(invocation.arguments, timeout_of(invocation) if has_timeout else None)
    with way_of(invocation) as way:
        plan = carry_out(
            invocation.context.for_operations(), name, lambda observed: decide(project, observed, chosen), way, project
        )
    _show_dry(invocation, plan)
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose down",
        "Stop and remove containers, networks",
        "[OPTIONS] [SERVICES]",
        (
            option("--remove-orphans", "flag", "Remove containers for services not defined in the Compose file"),
            option("--rmi", "text", 'Remove images used by services. "local" remove only images that don\'t have a '
                   'custom tag ("local"|"all")', "string"),
            _TIMEOUT,
            option("-v --volumes", "flag", 'Remove named volumes declared in the "volumes" section of the Compose file '
                   "and anonymous volumes attached to containers"),
        ),
        down,
        examples=("sandbox compose down", "sandbox compose down -v --rmi local", "sandbox compose -p shop down"),
        further=("with -p and no file what has the project's labels is taken down",),
    ),
    Command(
        "compose start",
        "Start services",
        "[SERVICE...]",
        (
            option("--wait", "flag", "Wait for services to be running|healthy. Implies detached mode."),
        ),
        start,
        examples=("sandbox compose start", "sandbox compose start web"),
    ),
    Command(
        "compose stop",
        "Stop services",
        "[OPTIONS] [SERVICE...]",
        (_TIMEOUT,),
        stop,
        examples=("sandbox compose stop", "sandbox compose stop -t 30 db"),
    ),
    Command(
        "compose restart",
        "Restart service containers",
        "[OPTIONS] [SERVICE...]",
        (option("--no-deps", "flag", "Don't restart dependent services"), _TIMEOUT),
        restart,
        examples=("sandbox compose restart", "sandbox compose restart --no-deps db"),
        further=("a service that depends on one with `restart: true` is restarted with it",),
    ),
)  # fmt: skip
