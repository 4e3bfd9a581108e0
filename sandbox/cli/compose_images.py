"""The images that a project's containers are made of: built or pulled before anything is made."""

from __future__ import annotations

from sandbox.cli.compose_call import parallel_of, tell_left_out_of_builds
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.cli.command import Invocation
    from sandbox.compose.progress import Tell
    from sandbox.compose.pulling import Transfer
    from sandbox.errors import SandboxError
    from sandbox.stack.project import Project

_POLICIES = ("policy", "always", "missing", "never", "build", "if_not_present")


def ensure_images(invocation: Invocation, project: Project) -> None:
    """Have every image here that the project's services run. Raises SandboxError."""
    from sandbox.compose.observe import observe
    from sandbox.compose.pulling import required_builds, required_pulls
    from sandbox.compose.refreshing import stale_images
    from sandbox.stack.canonical import image_of

    policy = read_policy(invocation)
    where = invocation.context.for_operations()
    names = [image_of(project, name, service) for name, service in project.services]
    names += [
        each.source
        for _, service in project.services
        for each in service.volumes
        if not isinstance(each, str) and each.type == "image"
    ]
    names += [hook.image for _, service in project.services for hook in service.pre_start]
    present = set(observe(where, project.name, [name for name in names if name]).images)
    builds_all = policy == "build" or _flag(invocation, "build")
    # what was pulled too long ago counts as missing, unless the command line says otherwise
    stale = set() if policy else stale_images(where, project, present)
    pulls = required_pulls(project, present - stale, "" if policy == "build" else policy)
    if builds_all:
        pulls = tuple(each for each in pulls if not each.can_be_built)
    present |= pull_images(invocation, pulls, quiet=_flag(invocation, "quiet-pull"))
    wanted = () if _flag(invocation, "no-build") else required_builds(project, present, all=builds_all)
    if wanted:
        build_images(invocation, project, wanted, quiet=_flag(invocation, "quiet-build"))


def read_policy(invocation: Invocation) -> str:
    """What `--pull` says over the services; "" where it leaves it to them. Raises UsageError."""
    if not _declares(invocation, "pull"):
        return ""
    policy = invocation.text("pull") or "policy"
    if policy not in _POLICIES:
        raise UsageError(f"invalid --pull option {policy!r}", mend="--pull always|missing|never")
    return "" if policy == "policy" else policy


def _declares(invocation: Invocation, key: str) -> bool:
    return any(option.key == key for option in invocation.command.options)


def _flag(invocation: Invocation, key: str) -> bool:
    return _declares(invocation, key) and invocation.flag(key)


def pull_images(invocation: Invocation, pulls: Sequence[Transfer], *, quiet: bool) -> set[str]:
    """Pull them and say so; the images that are here now. Raises RegistryError for one that cannot be built instead."""
    from sandbox.cli.compose_progress import display_of
    from sandbox.compose.progress import Progress
    from sandbox.compose.pulling import transfer_all

    if not pulls:
        return set()
    display = display_of(invocation)
    failures: list[SandboxError] = []
    done: set[str] = set()
    tell: Tell = display.tell

    def told(transfer: Transfer, line: str, error: SandboxError | None) -> None:
        if line:
            return
        if error is None:
            done.add(transfer.image)
            tell(Progress(transfer.subject, "Pulled", "done"))
        elif transfer.can_be_built:
            tell(Progress(transfer.subject, f"Warning {error.message}", "warning"))
        else:
            failures.append(error)
            tell(Progress(transfer.subject, f"Error {error.message}", "error"))

    # quiet is about the way there: what came of it is said all the same
    for each in () if quiet else pulls:
        tell(Progress(each.subject, "Pulling"))
    try:
        transfer_all(invocation.context.for_operations(), pulls, "image.pull", told, parallel_of(invocation))
    finally:
        display.close()
    if failures:
        raise failures[0]
    return done


def build_images(invocation: Invocation, project: Project, services: Sequence[str], *, quiet: bool) -> None:
    """Build the images of the services and say so. Raises as `build_all`."""
    from sandbox.cli.build_options.progress import choose_display
    from sandbox.cli.compose_call import as_command
    from sandbox.cli.compose_progress import display_of
    from sandbox.compose.building import build_all
    from sandbox.compose.builds import BuildChoice, service_builds
    from sandbox.compose.progress import Progress

    tell_left_out_of_builds(invocation, project, services)
    said = str(invocation.of_noun.get("progress") or "")
    values = {"progress": {"json": "rawjson"}.get(said, said)} if said and not quiet else {}
    command = as_command(invocation, "image build", (), {**values, "quiet": quiet or said == "quiet"})
    # the standard output of `run` is its command's
    display = choose_display(command, on_output=invocation.command.path != "compose run")
    builds = service_builds(project, services, BuildChoice(is_classic=is_classic(invocation)))
    try:
        built = build_all(invocation.context.for_operations(), builds, display, parallel_of(invocation))
    finally:
        display.close()
    if quiet:
        return
    shown = display_of(invocation)
    for each in built:
        shown.tell(Progress(f"Image {each.name}", "Built", "done"))
    shown.close()


def is_classic(invocation: Invocation) -> bool:
    """Whether somebody counts on the order of Docker's builder before BuildKit: DOCKER_BUILDKIT."""
    return invocation.context.env.get("DOCKER_BUILDKIT", "").lower() in ("0", "f", "false")
