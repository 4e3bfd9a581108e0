"""`sandbox stack deploy` and `sandbox stack diff`: what files ask for, made so, or shown."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.stack_files import COMPOSE_FILE, load_stack
from sandbox.errors import SandboxError, UsageError
from sandbox.stack.project_request import ProjectRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context, Invocation
    from sandbox.deploy.images import Resolve
    from sandbox.deploy.plan import Change
    from sandbox.stack.project import Project

_RESOLVES: tuple[Resolve, ...] = ("always", "changed", "never")
_MARKS = {"create": "+", "update": "~", "keep": " ", "remove": "-"}


def deploy(invocation: Invocation) -> int:
    """Say what is made and changed; with --detach=false, wait for all services."""
    from sandbox.deploy.deploying import DeployOptions, deploy_project

    context, name = invocation.context, invocation.arguments[0]
    resolve = _resolve(invocation)
    project = _project(invocation, name)
    if invocation.flag("explain"):
        return _explain(context, project)
    for sentence in _left_out(project):
        context.note(f"WARNING: {sentence}")
    if not invocation.given("detach"):
        context.note(
            "Since --detach=false was not specified, tasks will be created in the background.\n"
            "In a future release, --detach=false will become the default."
        )
    if invocation.flag("build"):
        _build(invocation, project)

    def tell(line: str) -> None:
        context.print(line)
        context.stdout.flush()

    options = DeployOptions(invocation.flag("prune"), resolve, invocation.flag("with-registry-auth"))
    ids = deploy_project(context.for_operations(), project, options, tell, context.note)
    return 0 if invocation.flag("detach") else _wait(invocation, ids)


def _resolve(invocation: Invocation) -> Resolve:
    text = invocation.text("resolve-image") or ""
    for known in _RESOLVES:
        if text == known:
            return known
    raise UsageError(f"Invalid option {text} for flag --resolve-image", mend="--resolve-image never")


def _project(invocation: Invocation, name: str) -> Project:
    from sandbox.deploy.stack_spec import check_name
    from sandbox.stack.stack_checks import check_stack

    check_name(name)
    project = load_stack(invocation, ProjectRequest(name=name, profiles=invocation.texts("profile")))
    project = project._replace(best_effort="best-effort" in invocation.values and invocation.flag("best-effort"))
    check_stack(project, builds="build" in invocation.values and invocation.flag("build"))
    return project


def _build(invocation: Invocation, project: Project) -> None:
    """Build the images of services that have a build; progress goes to standard error."""
    from sandbox.cli.commands.compose_build import choose_display
    from sandbox.compose.building import build_all
    from sandbox.compose.builds import service_builds

    builds = service_builds(project)
    if not builds:
        return
    display = choose_display(invocation)
    try:
        build_all(invocation.context.for_operations(), builds, display)
    finally:
        display.close()


def _left_out(project: Project) -> list[str]:
    from sandbox.stack.fates import left_out_of_stack
    from sandbox.stack.machine_size import beyond, this_machine

    return [*left_out_of_stack(project), *beyond(project, this_machine())]


def _explain(context: Context, project: Project) -> int:
    from sandbox.stack.stack_differences import differences_of

    for difference in differences_of(project):
        context.print_quoted(str(difference))
    for sentence in _left_out(project):
        context.print_quoted(sentence)
    return 0


def _wait(invocation: Invocation, ids: list[str]) -> int:
    from sandbox.cli.command import render_error
    from sandbox.cli.service_waiting import wait_on_service

    failures = []
    for service_id in ids:
        try:
            wait_on_service(invocation.context, service_id, service_id, quiet=invocation.flag("quiet"))
        except SandboxError as error:
            error.message = f"{service_id}: {error.message}"
            failures.append(error)
    for failure in failures:
        invocation.context.note(render_error(failure))
    return 1 if failures else 0


def diff(invocation: Invocation) -> int:
    """Print what `deploy` would change, and nothing where that is nothing; 1 where it could not."""
    from sandbox.deploy.local_engine import LocalEngine
    from sandbox.deploy.stack_spec import stack_spec_of

    context = invocation.context
    project = _project(invocation, invocation.arguments[0])
    plan = LocalEngine(context.for_operations()).plan(stack_spec_of(project), prunes=invocation.flag("prune"))
    for change in plan.changes:
        if change.action != "keep":
            context.print_quoted(_line(change))
    for refusal in plan.refusals:
        context.note(f"Error: {refusal.message}\n  mend: {refusal.mend}")
    return 1 if plan.refusals else 0


def _line(change: Change) -> str:
    reasons = "; ".join(change.reasons)
    replaces = " (replicas are replaced)" if change.replaces and change.present is not None else ""
    return f"{_MARKS[change.action]} {change.noun} {change.name}{f': {reasons}' if reasons else ''}{replaces}"


_PRUNE = option("--prune", "flag", "Prune services that are no longer referenced")
_PROFILE = option("--profile", "list", "Specify a profile to enable", "stringArray")

COMMANDS: tuple[Command, ...] = (
    Command(
        "stack deploy",
        "Deploy a new stack or update an existing stack",
        "[OPTIONS] STACK",
        (
            option("--best-effort", "flag", "Warn about limits this machine cannot enforce, rather than refuse"),
            option("--build", "flag", "Build the images of services that have a build, before anything is deployed"),
            COMPOSE_FILE,
            option("-d --detach", "flag", "Exit immediately instead of waiting for the stack services to converge",
                   default=True),
            option("--explain", "flag", "Say what of the files Docker takes otherwise, and deploy nothing"),
            _PROFILE,
            _PRUNE,
            option("-q --quiet", "flag", "Suppress progress output"),
            option("--resolve-image", "text",
                   'Query the registry to resolve image digest and supported platforms ("always", "changed", "never")',
                   "string", "always"),
            option("--with-registry-auth", "flag", "Send registry authentication details to Swarm agents"),
        ),
        deploy,
        least=1,
        most=1,
        examples=(
            "sandbox stack deploy -c compose.yaml shop",
            "sandbox stack deploy -c compose.yaml -c production.yaml --prune --detach=false shop",
            "sandbox stack deploy -c compose.yaml --build shop",
            "sandbox stack deploy -c compose.yaml --explain shop",
        ),
        further=(
            "sandbox stack diff shows what would be changed; sandbox stack ps shop what became of it",
            "images are pinned to what a registry has by their tag now; those that no registry knows to what is here",
            "images are pulled by the config.json of who deployed last; with --with-registry-auth they are pulled at "
            "once, with credentials of the environment too, which are kept nowhere",
        ),
    ),
    Command(
        "stack diff",
        "Show what stack deploy would change",
        "[OPTIONS] STACK",
        (COMPOSE_FILE, _PROFILE, _PRUNE),
        diff,
        least=1,
        most=1,
        examples=("sandbox stack diff -c compose.yaml shop",),
    ),
)  # fmt: skip
