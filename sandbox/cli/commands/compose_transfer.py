"""`compose pull` and `compose push`."""

from __future__ import annotations

from sandbox.cli.command import Command, render_error
from sandbox.cli.compose_call import loaded, parallel_of
from sandbox.cli.flags import option
from sandbox.compose.pulling import PullChoice, pull_plan, push_plan, transfer_all
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.cli.command import Invocation
    from sandbox.compose.progress import State
    from sandbox.compose.pulling import Transfer
    from sandbox.errors import SandboxError
    from sandbox.stack.project import Project

_POLICIES = ("", "missing", "always", "never", "build", "if_not_present")


def pull(invocation: Invocation) -> int:
    """Bring the images of services here."""
    from sandbox.compose.observe import observe

    policy = invocation.text("policy") or ""
    if policy not in _POLICIES:
        raise UsageError(f"invalid --policy {policy!r}", mend="--policy missing, or --policy always")
    project, services = _chosen(invocation)
    where = invocation.context.for_operations()
    names = [each.image for _, each in project.services if each.image]
    choice = PullChoice(policy, invocation.flag("ignore-buildable"))
    plan = pull_plan(project, services, observe(where, project.name, names).images, choice)
    failed = transfer(invocation, plan, "image.pull", ("Pulling", "Pulled"), quiet=invocation.flag("quiet"))
    unbuilt = [each.service for each in failed if each.can_be_built]
    if unbuilt:
        invocation.context.note(
            "WARNING: Some service image(s) must be built from source by running:\n"
            f"    sandbox compose build {' '.join(unbuilt)}"
        )
    return 1 if failed and not invocation.flag("ignore-pull-failures") else 0


def push(invocation: Invocation) -> int:
    """Bring the images that services are built to, and that have a name, to their registries."""
    project, services = _chosen(invocation)
    plan = push_plan(project, services)
    failed = transfer(invocation, plan, "image.push", ("Pushing", "Pushed"), quiet=invocation.flag("quiet"))
    return 1 if failed and not invocation.flag("ignore-push-failures") else 0


def _chosen(invocation: Invocation) -> tuple[Project, tuple[str, ...]]:
    from sandbox.stack.project_request import Steps

    names = invocation.arguments
    project = loaded(invocation, names, Steps(resolves_environment=False))
    return project, project.services.names if not names or invocation.flag("include-deps") else names


def transfer(
    invocation: Invocation, plan: Sequence[Transfer], operation: str, words: tuple[str, str], *, quiet: bool
) -> list[Transfer]:
    """Do the transfers and tell of each; those that failed come back, and their errors have been said."""
    from sandbox.cli.compose_progress import display_of
    from sandbox.compose.progress import Progress

    context = invocation.context
    failed: list[Transfer] = []
    display = display_of(invocation)

    def say(each: Transfer, text: str, state: State) -> None:
        if not quiet:
            display.tell(Progress(each.subject, text, state))

    def tell(each: Transfer, line: str, error: SandboxError | None) -> None:
        if error is not None:
            failed.append(each)
            say(each, "Error", "error")
            display.close()
            context.note(render_error(error))
        elif not line:
            say(each, words[1], "done")

    for each in plan:
        say(each, each.skipped or words[0], "done" if each.skipped else "working")
    if not invocation.of_noun.get("dry-run"):
        transfer_all(context.for_operations(), plan, operation, tell, parallel_of(invocation))
    display.close()
    return failed


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose pull",
        "Pull service images",
        "[OPTIONS] [SERVICE...]",
        (
            option("--ignore-buildable", "flag", "Ignore images that can be built"),
            option("--ignore-pull-failures", "flag", "Pull what it can and ignores images with pull failures"),
            option("--include-deps", "flag", "Also pull services declared as dependencies"),
            option("--no-parallel", "flag", "Of old: pull one after the other", hidden=True),
            option("--parallel", "flag", "Of old: pull several at once", default=True, hidden=True),
            option("--policy", "text", 'Apply pull policy ("missing"|"always")', "string"),
            option("-q --quiet", "flag", "Pull without printing progress information"),
        ),
        pull,
        examples=("sandbox compose pull", "sandbox compose pull -q --policy missing --include-deps web"),
    ),
    Command(
        "compose push",
        "Push service images",
        "[OPTIONS] [SERVICE...]",
        (
            option("--ignore-push-failures", "flag", "Push what it can and ignores images with push failures"),
            option("--include-deps", "flag", "Also push images of services declared as dependencies"),
            option("-q --quiet", "flag", "Push without printing progress information"),
        ),
        push,
        examples=("sandbox compose push", "sandbox compose push --ignore-push-failures web"),
    ),
)
