"""The image a container is made of: the one that is here, or pulled first."""

from __future__ import annotations

from contextlib import closing

from sandbox.errors import ImageNotFoundError, RegistryError, UsageError
from sandbox.image.store import find_by_digest, find_image, near_image, told_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sandbox.container.request.request import ContainerRequest
    from sandbox.image.store import ImageRecord
    from sandbox.operation_context import OperationContext

_POLICIES = ("always", "missing", "never")


def ensure_image(
    connection: sqlite3.Connection,
    context: OperationContext,
    request: ContainerRequest,
    before_pull: Callable[[], object],
) -> ImageRecord:
    """The image that the request names, pulled as its policy says, after `before_pull` has had nothing against it.

    Raises ImageNotFoundError, RegistryError, AuthenticationError, ImageError, UsageError.
    """
    policy, name = request.pull_policy or "missing", request.image
    if policy not in _POLICIES:
        raise UsageError(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"',
            mend="--pull missing",
        )
    found = None if policy == "always" else find_image(connection, name) or find_by_digest(connection, name)
    platform = request.platform or context.env.get("DOCKER_DEFAULT_PLATFORM")
    if found is not None and not _is_other_platform(found, platform):
        return found
    if policy == "never":
        if found is not None:
            from sandbox.image.platforms import require_platform

            require_platform(found.platform, platform, name)
            return found
        near = near_image(connection, name)
        told = f"No such image: {told_name(name)}"
        raise ImageNotFoundError(told, mend=f"sandbox pull {name}", word=name, near=near)
    before_pull()
    try:
        _pull(context, request)
    except RegistryError as error:
        near = near_image(connection, name) if policy == "missing" else ""
        if near:
            error.cause = f"{error.cause}; the nearest name here is {near}".removeprefix("; ")
            error.word, error.near = name, near
        raise
    found = find_image(connection, name)
    if found is None:
        raise ImageNotFoundError(f"No such image: {name}", cause="it was removed as soon as it was pulled")
    return found


def _pull(context: OperationContext, request: ContainerRequest) -> None:
    # trio, httpx and msgspec come with this: only where there is something to pull
    from sandbox.image.references import DEFAULT_TAG, parse_reference
    from sandbox.image.transfer.pull import pull_image

    reference = parse_reference(request.image)
    # with its tag: which one is taken where none was given is said by `pull` alone
    tagged = reference if reference.tag or reference.digest else reference._replace(tag=DEFAULT_TAG)
    with closing(context.open_progress()) as progress:
        pull_image(context.paths, context.env, tagged.familiar, request.platform, progress)


def _is_other_platform(found: ImageRecord, wanted: str | None) -> bool:
    """Whether another platform is asked for than that of the image here; parts left out are not compared."""
    if not wanted:
        return False
    from sandbox.image.platforms import parse_platform

    return str(parse_platform(wanted)) != found.platform and wanted != found.platform
