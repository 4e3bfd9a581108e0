"""Which of a project's images are pulled or pushed, and the doing: several at once, each by a worker."""

from __future__ import annotations

from sandbox.compose.interrupts import run_interruptible
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import image_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project


_SKIPPED = "Skipped"


class PullChoice(NamedTuple):
    """What the command line says of pulling."""

    #: "always" or "missing", over what services say; "" leaves it to them
    policy: str = ""
    ignore_buildable: bool = False


class Transfer(NamedTuple):
    """One image on its way. `skipped` is what is said where it does not go."""

    #: what is told of: an image, or a service without one
    subject: str
    image: str
    platform: str = ""
    skipped: str = ""
    #: the service has a build, which can stand in for the pull
    can_be_built: bool = False
    service: str = ""


def pull_plan(
    project: Project,
    services: Iterable[str],
    present: Collection[str],
    choice: PullChoice = PullChoice(),  # noqa: B008
) -> tuple[Transfer, ...]:
    """What is pulled for the services, each image once; `present` are the images that are here."""
    found: list[Transfer] = []
    scheduled: set[tuple[str, str]] = set()
    for name in services:
        service = project.services.value(name)
        if service is None:
            continue
        if not service.image:
            found.append(Transfer(name, "", skipped=f"{_SKIPPED} No image to be pulled"))
            continue
        key = (service.image, service.platform)
        skipped = _why_not(choice.policy or service.pull_policy, service.image, present)
        if service.build is not None and choice.ignore_buildable:
            skipped = f"{_SKIPPED} Image can be built"
        if key not in scheduled:
            can_be_built = service.build is not None
            found.append(Transfer(f"Image {service.image}", *key, skipped, can_be_built, name))
            scheduled.add(key)
    return tuple(found)


def _why_not(policy: str, image: str, present: Collection[str]) -> str:
    if policy in ("never", "build"):
        return _SKIPPED
    # who asks for the latest means the latest
    if policy in ("missing", "if_not_present") and image in present and not _is_latest(image):
        return f"{_SKIPPED} Image is already present locally"
    return ""


def _is_latest(image: str) -> bool:
    from sandbox.image.references import parse_reference

    reference = parse_reference(image)
    return not reference.digest and (reference.tag or "latest") == "latest"


def required_pulls(project: Project, present: Collection[str], policy: str = "") -> tuple[Transfer, ...]:
    """What is pulled before the services can run, each image once; `policy` is over what services say. An image that a
    service can build is tried too, as another place may have built it.
    """
    found: dict[tuple[str, str], Transfer] = {}
    built = {each.image for _, each in project.services if each.build is not None}
    for name, service in project.services:
        own = policy or service.pull_policy
        if service.provider is not None or own in ("never", "build"):
            continue
        wanted = [service.image] if service.image and (own == "always" or service.image not in present) else []
        mounted = [each.source for each in service.volumes if not isinstance(each, str) and each.type == "image"]
        others = [*mounted, *(each.image for each in service.pre_start if each.image)]
        wanted += [image for image in others if image not in present and project.services.value(image) is None]
        for image in wanted:
            key = (image, service.platform)
            found.setdefault(key, Transfer(f"Image {image}", *key, can_be_built=image in built, service=name))
    return tuple(found.values())


def required_builds(project: Project, present: Collection[str], *, all: bool = False) -> tuple[str, ...]:
    """The services that are built before they can run: those without an image, or that ask to be; with `all` every one
    that can be.
    """
    return tuple(
        name
        for name, service in project.services
        if service.build is not None
        and service.provider is None
        and (all or service.pull_policy == "build" or image_of(project, name, service) not in present)
    )


def push_plan(project: Project, services: Iterable[str]) -> tuple[Transfer, ...]:
    """What is pushed for the services: images that are built here and have a name."""
    found: list[Transfer] = []
    for name in services:
        service = project.services.value(name)
        if service is None:
            continue
        if service.build is None or not service.image:
            found.append(Transfer(name, "", skipped=_SKIPPED))
            continue
        found += [Transfer(tag, tag, service=name) for tag in dict.fromkeys((service.image, *service.build.tags))]
    return tuple(found)


def transfer_all(
    context: OperationContext,
    transfers: Sequence[Transfer],
    operation: str,
    tell: Callable[[Transfer, str, SandboxError | None], None],
    parallel: int = 0,
) -> tuple[SandboxError, ...]:
    """Do them by an operation of the table of workers, at most `parallel` at once where it is above 0. `tell` gets each
    line of a transfer, and at its end "" with its error, if it has one. All are tried; their errors come back.
    """
    import trio

    errors: list[SandboxError] = []

    async def run() -> None:
        from sandbox.compose.together import values_of
        from sandbox.warm.line import Request
        from sandbox.warm.trio_workers import open_workers

        room = trio.CapacityLimiter(parallel if parallel > 0 else max(1, len(transfers)))
        async with open_workers() as workers, trio.open_nursery() as nursery:

            async def do_one(transfer: Transfer) -> None:
                async def progress(line: str) -> None:
                    tell(transfer, line, None)

                arguments: tuple[object, ...] = (values_of(context), transfer.image)
                if operation == "image.pull":
                    arguments = (*arguments, transfer.platform or None)
                failure: SandboxError | None = None
                try:
                    async with room:
                        await workers.call(Request(operation, arguments, {}, context.env), progress)
                except SandboxError as error:
                    failure = error
                    errors.append(error)
                tell(transfer, "", failure)

            for transfer in transfers:
                if not transfer.skipped:
                    nursery.start_soon(do_one, transfer)

    if any(not transfer.skipped for transfer in transfers):
        run_interruptible(run)
    return tuple(errors)
