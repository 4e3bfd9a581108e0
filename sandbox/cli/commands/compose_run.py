"""`compose run`."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.commands.compose_exec import wants_terminal
from sandbox.cli.compose_call import loaded, require_supported
from sandbox.cli.compose_remote import confirm_remote
from sandbox.cli.compose_runs import is_dry
from sandbox.cli.flags import option
from sandbox.errors import NoTerminalError, SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.compose.hook_requests import Hooks
    from sandbox.compose.one_off import RunChoice
    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project


def run(invocation: Invocation) -> int:
    """Run a command in a new container of a service, and stay with it to its end."""
    service = invocation.arguments[0]
    if invocation.texts("publish") and invocation.flag("service-ports"):
        raise UsageError("--service-ports and --publish are incompatible")
    if invocation.flag("quiet"):
        invocation = invocation._replace(of_noun={**invocation.of_noun, "progress": "quiet"})
    project = loaded(invocation, (service,))
    require_supported(invocation, project)
    confirm_remote(invocation, project, assumes_yes=False)
    choice = _choice(invocation, project)
    if choice.terminal and choice.interactive and not invocation.flag("detach") and not os.isatty(0):
        raise NoTerminalError(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
            cause="the input device is not a TTY",
            mend="-T, or run it in a terminal",
        )
    if is_dry(invocation):
        _tell_dry(invocation, project, service, choice)
        return 0
    _check(project, service, choice)
    _prepare(invocation, project, service)
    context = invocation.context.for_operations()
    container = _create(invocation, project, service, choice)
    from sandbox.compose.hook_requests import post_start

    if invocation.flag("detach"):
        from sandbox.compose.work import start

        start(context, container, hooks=post_start(project, service))
        invocation.context.print(container)
        return 0
    return _stay(context, container, choice, post_start(project, service))


def _tell_dry(invocation: Invocation, project: Project, service: str, choice: RunChoice) -> None:
    """Say what would be made and started."""
    from sandbox.cli.compose_progress import write_dry, write_plan
    from sandbox.cli.compose_runs import way_of
    from sandbox.compose.choosing import without_dependencies
    from sandbox.compose.one_off import others_of
    from sandbox.compose.running import bring_up
    from sandbox.compose.steps import UpOptions

    wanted = without_dependencies(project, (service,)) if invocation.flag("no-deps") else project
    with way_of(invocation) as way:
        made = bring_up(invocation.context.for_operations(), others_of(wanted, service), UpOptions(), way)
    stderr = invocation.context.stderr
    write_plan(stderr, made.plan)
    name = choice.name or project.separator.join((project.name, service, "run"))
    for word in ("Creating", "Created", "Starting", "Started"):
        write_dry(stderr, f"Container {name}", word)


def _check(project: Project, service: str, choice: RunChoice) -> None:
    """Raise ComposeFileError for a container that cannot be asked for at all, before anything is made."""
    from sandbox.compose.one_off import one_off_request
    from sandbox.random_ids import new_container_id
    from sandbox.stack.container_checks import check_request

    check_request(project, service, one_off_request(project, service, choice, new_container_id()))


def _prepare(invocation: Invocation, project: Project, service: str) -> None:
    """Have the images, networks and volumes here, and what the service depends on running. Raises SandboxError."""
    from sandbox.cli.api_socket import serve_project
    from sandbox.cli.commands.compose_up import ignores_orphans, removes_orphans
    from sandbox.cli.compose_images import ensure_images
    from sandbox.cli.compose_runs import way_of
    from sandbox.compose.choosing import without_dependencies
    from sandbox.compose.one_off import others_of, plan_waits
    from sandbox.compose.running import bring_up, carry_out
    from sandbox.compose.steps import UpOptions

    removes = removes_orphans(invocation, project.environment)
    is_alone = invocation.flag("no-deps")
    wanted = without_dependencies(project, (service,)) if is_alone else project
    ensure_images(invocation, wanted)
    serve_project(invocation.context, wanted)
    context = invocation.context.for_operations()
    with way_of(invocation) as way:
        options = UpOptions(removes_orphans=removes, ignores_orphans=ignores_orphans(project.environment))
        bring_up(context, others_of(wanted, service), options, way)
        if not is_alone:
            carry_out(context, project.name, lambda observed: plan_waits(project, service, observed), way)


def _create(invocation: Invocation, project: Project, service: str, choice: RunChoice) -> str:
    """The id of the new container. Raises SandboxError."""
    from sandbox.compose.observe import observe
    from sandbox.compose.one_off import one_off_request
    from sandbox.container import operations
    from sandbox.random_ids import new_container_id
    from sandbox.stack.canonical import image_of

    found = project.services.value(service)
    assert found is not None
    context = invocation.context.for_operations()
    image = image_of(project, service, found)
    image_id = observe(context, project.name, (image,)).images.get(image, "")
    request = one_off_request(project, service, choice, new_container_id(), image_id)
    # it is here, or was pulled before
    created = operations.create(context, request._replace(pull_policy="missing"))
    for warning in created.warnings:
        invocation.context.note(f"WARNING: {warning}")
    return created.container.id


def _stay(context: OperationContext, container: str, choice: RunChoice, hooks: Hooks) -> int:
    from sandbox.cli.joining import STANDARD_STREAMS, default_detach_keys
    from sandbox.container import operations

    joining = operations.Joining(STANDARD_STREAMS, choice.interactive, not choice.terminal, default_detach_keys())
    joined = operations.start_joined(context, container, joining)
    if not hooks.commands:
        return operations.carry(context, joined, joining) or 0
    from sandbox.compose.hooks import run_hooks_beside

    settle = run_hooks_beside(context, container, hooks)
    code = operations.carry(context, joined, joining) or 0
    try:
        settle()
    except SandboxError:
        if not code:
            raise
    return code


def _choice(invocation: Invocation, project: Project) -> RunChoice:
    """What the options say. Raises UsageError."""
    from sandbox.cli.container_options.reading import form_as_mend
    from sandbox.compose.one_off import RunChoice
    from sandbox.grammar.ports import parse_ports

    entrypoint = None
    if invocation.given("entrypoint"):
        import shlex

        entrypoint = tuple(shlex.split(invocation.text("entrypoint") or ""))
    labels = []
    for text in invocation.texts("label"):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("label must be set as KEY=VALUE", mend=f"--label {text}=VALUE")
        labels.append((key, value))
    with form_as_mend("publish"):
        ports = parse_ports(invocation.texts("publish"))
    return RunChoice(
        invocation.arguments[1:],
        entrypoint,
        tuple(f"{key}={value}" for key, value in _environment(invocation, project).items()),
        tuple(labels),
        invocation.text("user") or "",
        invocation.text("workdir") or "",
        invocation.text("name") or "",
        invocation.texts("cap-add"),
        invocation.texts("cap-drop"),
        tuple(_volume(invocation, text) for text in invocation.texts("volume")),
        ports,
        invocation.flag("service-ports"),
        invocation.flag("use-aliases"),
        wants_terminal(invocation),
        invocation.flag("interactive"),
        invocation.flag("rm"),
    )


def _environment(invocation: Invocation, project: Project) -> dict[str, str]:
    """`-e` over the files; a name alone has the project's value, and is left out where there is none."""
    from sandbox.errors import NotFoundError
    from sandbox.stack.dotenv import parse_dotenv

    found: dict[str, str] = {}
    for text in invocation.texts("env"):
        key, equals, value = text.partition("=")
        known = value if equals else project.environment.get(key)
        if known is not None:
            found[key] = known
    for name in invocation.texts("env-from-file"):
        try:
            with open(invocation.context.cwd.absolute(name), encoding="utf-8") as file:
                content = file.read()
        except OSError as error:
            raise NotFoundError(f"cannot read {name}", cause=error.strerror or "") from error
        found = {**parse_dotenv(content, found.get, name), **found}
    return found


def _volume(invocation: Invocation, text: str) -> str:
    """A path of the caller's made absolute."""
    source, colon, rest = text.partition(":")
    if colon and source.startswith((".", "~")):
        from sandbox.home import expand_home

        context = invocation.context
        return f"{context.cwd.absolute(os.path.normpath(expand_home(source, context.env)))}:{rest}"
    return text


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose run",
        "Run a one-off command on a service",
        "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
        (
            option("--build", "flag", "Build image before starting container"),
            option("--cap-add", "list", "Add Linux capabilities", "list"),
            option("--cap-drop", "list", "Drop Linux capabilities", "list"),
            option("-d --detach", "flag", "Run container in background and print container ID"),
            option("--entrypoint", "text", "Override the entrypoint of the image", "string"),
            option("-e --env", "list", "Set environment variables", "stringArray"),
            option("--env-from-file", "list", "Set environment variables from file", "stringArray"),
            option("-i --interactive", "flag", "Keep STDIN open even if not attached", default=True),
            option("-l --label --labels", "list", "Add or override a label", "stringArray"),
            option("--name", "text", "Assign a name to the container", "string"),
            option("--no-deps", "flag", "Don't start linked services"),
            option("-T --no-tty --no-TTY", "flag", "Disable pseudo-TTY allocation (default: auto-detected)"),
            option("-p --publish", "list", "Publish a container's port(s) to the host", "stringArray"),
            option("--pull", "text", 'Pull image before running ("always"|"missing"|"never")', "string", "policy"),
            option("-q --quiet", "flag", "Don't print anything to STDOUT"),
            option("--quiet-build", "flag", "Suppress progress output from the build process"),
            option("--quiet-pull", "flag", "Pull without printing progress information"),
            option("--remove-orphans", "flag", "Remove containers for services not defined in the Compose file"),
            option("--rm", "flag", "Automatically remove the container when it exits"),
            option("-P --service-ports", "flag", "Run command with all service's ports enabled and mapped to the host"),
            option("-t --tty", "flag", "Allocate a pseudo-TTY", default=True, hidden=True),
            option("--use-aliases", "flag",
                   "Use the service's network useAliases in the network(s) the container connects to"),
            option("-u --user", "text", "Run as specified username or uid", "string"),
            option("-v --volume --volumes", "list", "Bind mount a volume", "stringArray"),
            option("-w --workdir", "text", "Working directory inside the container", "string"),
        ),
        run,
        least=1,
        interspersed=False,
        examples=(
            "sandbox compose run --rm web python manage.py migrate",
            "sandbox compose run -T --no-deps db pg_dump -h db app > app.sql",
        ),
        further=("what the service depends on is started first, and stays",),
    ),
)  # fmt: skip
