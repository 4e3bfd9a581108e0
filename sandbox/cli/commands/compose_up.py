"""`compose up`, `create`, `scale`: a project made, and brought up."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import loaded, require_supported
from sandbox.cli.compose_remote import confirm_remote
from sandbox.cli.compose_runs import asker_of, timeout_of, way_of
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from sandbox.cli.command import Invocation
    from sandbox.compose.attached import Attending
    from sandbox.compose.running import Made
    from sandbox.compose.steps import Recreate, UpOptions
    from sandbox.stack.project import Project


def up(invocation: Invocation) -> int:
    """Bring the project up; stay with its output unless it is to run in the background."""
    _check_up(invocation)
    project = _project(invocation)
    confirm_remote(invocation, project, assumes_yes=invocation.flag("yes"))
    options = _options(invocation, project)
    if is_detached(invocation) or invocation.flag("no-start"):
        _make(invocation, project, options, starts=not invocation.flag("no-start"))
        return 0
    attending = _attending(invocation, project)
    made = _make(invocation, project, options, starts=False)
    if made is None:
        invocation.context.print("end of 'compose up' output, interactive run is not supported in dry-run mode")
        return 0
    if not invocation.flag("watch"):
        return _attend(invocation, project, made, attending)
    from sandbox.cli.compose_watching import watched

    with watched(invocation, project):
        return _attend(invocation, project, made, attending)


def _attending(invocation: Invocation, project: Project) -> Attending:
    """Whose output is told, and what the ends of containers cause. Raises UsageError, NotFoundError."""
    from sandbox.compose.attached import Attending

    exit_code_from = invocation.text("exit-code-from") or ""
    if exit_code_from and exit_code_from not in project.services.names:
        raise NotFoundError(f"no such service: {exit_code_from}", mend="sandbox compose config --services")
    named = invocation.arguments
    if invocation.texts("attach"):
        shown = invocation.texts("attach")
        strange = sorted(set(shown) - set(project.services.names))
        if strange:
            raise UsageError(f"cannot attach to services not included in up: {', '.join(strange)}")
    else:
        chosen = project.services.names if not named or invocation.flag("attach-dependencies") else named
        shown = tuple(name for name, service in project.services if name in chosen and service.attach is not False)
    aborts: Literal["", "any", "failure"] = ""
    if invocation.flag("abort-on-container-failure"):
        aborts = "failure"
    elif invocation.flag("abort-on-container-exit") or exit_code_from:
        aborts = "any"
    return Attending(
        named or project.services.names,
        tuple(name for name in shown if name not in invocation.texts("no-attach")),
        aborts,
        exit_code_from,
        timeout_of(invocation),
        invocation.flag("watch"),
    )


def _attend(invocation: Invocation, project: Project, made: Made, attending: Attending) -> int:
    """Start what was made, and stay with what it writes."""
    from sandbox.cli.commands.compose_logs import ShownLogs
    from sandbox.cli.compose_progress import PlainDisplay
    from sandbox.compose.attached import attend
    from sandbox.compose.names import short_name
    from sandbox.container.following import LogSink

    shown = ShownLogs(invocation, project.name, made.names_of(attending.shown), separates=True)
    # lines of their own: what is written over would mix with what containers write
    display = PlainDisplay(invocation.context.stderr, is_quiet=invocation.of_noun.get("progress") == "quiet")
    names = sorted(short_name(project.name, name) for name in made.names_of(attending.shown))
    invocation.context.print(f"Attaching to {', '.join(names)}")
    invocation.context.stdout.flush()
    try:
        return attend(made.work, made.plan, attending, LogSink(shown.entry, shown.ended, shown.hook), display.tell)
    finally:
        shown.flush()


def _check_up(invocation: Invocation) -> None:
    """Raise UsageError for options that exclude each other, in Compose's words."""
    cascades = invocation.flag("abort-on-container-exit") or (
        invocation.given("exit-code-from") and not invocation.flag("abort-on-container-failure")
    )
    fails = invocation.flag("abort-on-container-failure")
    attaches = bool(invocation.texts("attach")) or invocation.flag("attach-dependencies")
    if invocation.flag("abort-on-container-exit") and fails:
        raise UsageError("--abort-on-container-failure cannot be combined with --abort-on-container-exit")
    if invocation.flag("wait") and (attaches or cascades):
        raise UsageError("--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies")
    if invocation.texts("attach") and invocation.flag("attach-dependencies"):
        raise UsageError("cannot combine --attach and --attach-dependencies")
    if is_detached(invocation) and (attaches or cascades or fails or invocation.flag("watch")):
        raise UsageError(
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, "
            "--attach-dependencies or --watch"
        )
    _check_create(invocation)
    for one, other in (("renew-anon-volumes", "no-recreate"), ("always-recreate-deps", "no-recreate")):
        if invocation.flag(one) and invocation.flag(other):
            raise UsageError(f"--{other} and --{one} are incompatible")


def is_detached(invocation: Invocation) -> bool:
    """Whether the command ends when all is up."""
    return invocation.flag("detach") or invocation.flag("wait")


def _check_create(invocation: Invocation) -> None:
    if invocation.flag("build") and invocation.flag("no-build"):
        raise UsageError("--build and --no-build are incompatible")
    if invocation.flag("force-recreate") and invocation.flag("no-recreate"):
        raise UsageError("--force-recreate and --no-recreate are incompatible")


def _project(invocation: Invocation) -> Project:
    """The project with the services asked for, as many of each as the options say. Raises ComposeFileError, UsageError,
    NotFoundError.
    """
    from sandbox.compose.choosing import with_scales, without_dependencies

    project = loaded(invocation, invocation.arguments)
    if not project.services and not invocation.of_noun.get("all-resources"):
        raise UsageError("no service selected", mend="sandbox compose config --services")
    project = with_scales(project, invocation.texts("scale"))
    if any(each.key == "no-deps" for each in invocation.command.options) and invocation.flag("no-deps"):
        project = without_dependencies(project, invocation.arguments)
    return project


def _options(invocation: Invocation, project: Project) -> UpOptions:
    from sandbox.compose.steps import UpOptions

    recreate: Recreate = "diverged"
    if invocation.flag("force-recreate"):
        recreate = "force"
    elif invocation.flag("no-recreate"):
        recreate = "never"
    declared = {each.key for each in invocation.command.options}
    dependencies: Recreate = "never" if recreate == "never" else "diverged"
    if "always-recreate-deps" in declared and invocation.flag("always-recreate-deps"):
        dependencies = "force"
    removes = removes_orphans(invocation, project.environment) if "remove-orphans" in declared else False
    ignores = ignores_orphans(project.environment)
    if ignores and removes:
        raise UsageError("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans")
    return UpOptions(
        invocation.arguments,
        recreate,
        dependencies,
        renews_volumes="renew-anon-volumes" in declared and invocation.flag("renew-anon-volumes"),
        removes_orphans=removes,
        ignores_orphans=ignores,
        timeout_seconds=timeout_of(invocation) if "timeout" in declared else None,
        waits="wait" in declared and invocation.flag("wait"),
        wait_timeout_seconds=(invocation.number("wait-timeout") or None) if "wait-timeout" in declared else None,
    )


def removes_orphans(invocation: Invocation, environment: Mapping[str, str]) -> bool:
    """What the option or Compose's variable says of containers whose service is in no file."""
    if invocation.given("remove-orphans"):
        return invocation.flag("remove-orphans")
    return _is_set(environment.get("COMPOSE_REMOVE_ORPHANS", ""))


def ignores_orphans(environment: Mapping[str, str]) -> bool:
    """Whether Compose's variable says that nobody wants to know of them."""
    return _is_set(environment.get("COMPOSE_IGNORE_ORPHANS", ""))


def _is_set(text: str) -> bool:
    return text.lower() in ("1", "t", "true", "y", "yes", "on")


def _make(invocation: Invocation, project: Project, options: UpOptions, *, starts: bool) -> Made | None:
    """Make what the project is to have, and start it; None where nothing is to be done. Raises SandboxError."""
    from sandbox.cli.api_socket import serve_project
    from sandbox.cli.compose_images import ensure_images
    from sandbox.cli.compose_progress import write_plan
    from sandbox.compose.running import bring_up

    require_supported(invocation, project)
    context = invocation.context.for_operations()
    has_yes = any(each.key == "yes" for each in invocation.command.options)
    with way_of(invocation, asker_of(invocation) if has_yes else None) as way:
        if not way.is_dry:
            ensure_images(invocation, project)
            serve_project(invocation.context, project)
        made = bring_up(context, project, options, way, starts=starts)
    if not way.is_dry:
        return made
    write_plan(invocation.context.stderr, made.plan, starts=not _is_create(invocation))
    return None


def _is_create(invocation: Invocation) -> bool:
    return invocation.command.path == "compose create" or (
        any(each.key == "no-start" for each in invocation.command.options) and invocation.flag("no-start")
    )


def create(invocation: Invocation) -> int:
    """Make what the project is to have, and start nothing."""
    _check_create(invocation)
    project = _project(invocation)
    _make(invocation, project, _options(invocation, project), starts=False)
    return 0


def scale(invocation: Invocation) -> int:
    """Have so many containers of each service that is named."""
    from sandbox.compose.choosing import with_scales, without_dependencies
    from sandbox.compose.steps import UpOptions

    names = tuple(text.partition("=")[0] for text in invocation.arguments)
    project = with_scales(loaded(invocation, names), invocation.arguments)
    if invocation.flag("no-deps"):
        project = without_dependencies(project, names)
    _make(invocation, project, UpOptions(names), starts=True)
    return 0


_BUILD = (
    option("--build", "flag", "Build images before starting containers"),
    option("--no-build", "flag", "Don't build an image, even if it's policy"),
)
_RECREATE = (
    option("--force-recreate", "flag", "Recreate containers even if their configuration and image haven't changed"),
    option("--no-recreate", "flag",
           "If containers already exist, don't recreate them. Incompatible with --force-recreate."),
)  # fmt: skip
_PULL = (
    option("--pull", "text", 'Pull image before running ("always"|"missing"|"never")', "string", "policy"),
    option("--quiet-pull", "flag", "Pull without printing progress information"),
)
_ORPHANS = option("--remove-orphans", "flag", "Remove containers for services not defined in the Compose file")
_SCALE = option("--scale", "list", "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file "
                "if present.", "stringArray")  # fmt: skip
_YES = option("-y --yes", "flag", 'Assume "yes" as answer to all prompts and run non-interactively')

COMMANDS: tuple[Command, ...] = (
    Command(
        "compose up",
        "Create and start containers",
        "[OPTIONS] [SERVICE...]",
        (
            option("--abort-on-container-exit", "flag",
                   "Stops all containers if any container was stopped. Incompatible with -d"),
            option("--abort-on-container-failure", "flag",
                   "Stops all containers if any container exited with failure. Incompatible with -d"),
            option("--always-recreate-deps", "flag", "Recreate dependent containers. Incompatible with --no-recreate."),
            option("--attach", "list", "Restrict attaching to the specified services. Incompatible with "
                   "--attach-dependencies.", "stringArray"),
            option("--attach-dependencies", "flag", "Automatically attach to log output of dependent services"),
            *_BUILD[:1],
            option("-d --detach", "flag", "Detached mode: Run containers in the background"),
            option("--exit-code-from", "text", "Return the exit code of the selected service container. Implies "
                   "--abort-on-container-exit", "string"),
            _RECREATE[0],
            option("--menu", "flag", "Interactive shortcuts: there are none here", hidden=True),
            option("--no-attach", "list", "Do not attach (stream logs) to the specified services", "stringArray"),
            *_BUILD[1:],
            option("--no-color", "flag", "Produce monochrome output"),
            option("--no-deps", "flag", "Don't start linked services"),
            option("--no-log-prefix", "flag", "Don't print prefix in logs"),
            _RECREATE[1],
            option("--no-start", "flag", "Don't start the services after creating them"),
            _PULL[0],
            option("--quiet-build", "flag", "Suppress the build output"),
            _PULL[1],
            _ORPHANS,
            option("-V --renew-anon-volumes", "flag", "Recreate anonymous volumes instead of retrieving data from the "
                   "previous containers"),
            _SCALE,
            option("-t --timeout", "number", "Use this timeout in seconds for container shutdown when attached or when "
                   "containers are already running", "int", 0),
            option("--timestamps", "flag", "Show timestamps"),
            option("--wait", "flag", "Wait for services to be running|healthy. Implies detached mode."),
            option("--wait-timeout", "number",
                   "Maximum duration in seconds to wait for the project to be running|healthy", "int", 0),
            option("-w --watch", "flag",
                   "Watch source code and rebuild/refresh containers when files are updated."),
            _YES,
        ),
        up,
        examples=(
            "sandbox compose up -d",
            "sandbox compose up --build --abort-on-container-exit",
            "sandbox compose up -d --scale web=3 --remove-orphans",
            "sandbox compose --dry-run up",
        ),
        further=("--dry-run, before the verb, prints what would be done, and why",),
    ),
    Command(
        "compose create",
        "Creates containers for a service",
        "[OPTIONS] [SERVICE...]",
        (*_BUILD[:1], _RECREATE[0], *_BUILD[1:], _RECREATE[1], _PULL[0], _PULL[1], _ORPHANS, _SCALE, _YES),
        create,
        examples=("sandbox compose create", "sandbox compose create --force-recreate web"),
    ),
    Command(
        "compose scale",
        "Scale services",
        "[SERVICE=REPLICAS...]",
        (option("--no-deps", "flag", "Don't start linked services"),),
        scale,
        least=1,
        examples=("sandbox compose scale web=3",),
    ),
)  # fmt: skip
