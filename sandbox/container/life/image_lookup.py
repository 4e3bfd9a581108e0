"""The image a container is made of: the one that is here, or pulled first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.errors import ImageNotFoundError, RegistryError, UsageError
from sandbox.image.store import find_image, near_image

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sandbox.cli.command import Invocation
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths

_POLICIES = ("always", "missing", "never")


def find_or_pull(
    connection: sqlite3.Connection, paths: Paths, invocation: Invocation, before_pull: Callable[[], object]
) -> ImageRecord:
    """The image that the first argument names, pulled as `--pull` says, after `before_pull` has had nothing against it.

    Raises SandboxError.
    """
    policy = invocation.text("pull") or "missing"
    if policy not in _POLICIES:
        raise UsageError(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"',
            mend="--pull missing",
        )
    text = invocation.arguments[0]
    found = None if policy == "always" else find_image(connection, text)
    if found is not None and not _is_other_platform(found, invocation.text("platform")):
        return found
    if policy == "never":
        near = near_image(connection, text)
        raise ImageNotFoundError(f"No such image: {text}", mend=f"sandbox pull {text}", word=text, near=near)
    before_pull()
    if policy == "missing":
        invocation.context.note(f"Unable to find image '{_with_tag(text)}' locally")
    try:
        _pull(paths, invocation, text)
    except RegistryError as error:
        near = near_image(connection, text) if policy == "missing" else ""
        if near:
            error.cause = f"{error.cause}; the nearest name here is {near}".removeprefix("; ")
            error.mend = invocation.retyped((near, *invocation.arguments[1:]))
        raise
    found = find_image(connection, text)
    if found is None:
        raise ImageNotFoundError(f"No such image: {text}", cause="it was removed as soon as it was pulled")
    return found


def _pull(paths: Paths, invocation: Invocation, text: str) -> None:
    # trio, httpx and msgspec come with this: only where there is something to pull
    from sandbox.image.transfer.progress import choose_progress
    from sandbox.image.transfer.pull import pull_image

    context = invocation.context
    # all of it on standard error: what `run` prints on standard output is the container's, or its id
    progress = choose_progress(context.stderr, context.stderr, context.env, quiet=invocation.flag("quiet"))
    try:
        pull_image(paths, context.env, text, invocation.text("platform"), progress)
    finally:
        progress.close()


def _is_other_platform(found: ImageRecord, wanted: str | None) -> bool:
    """Whether `--platform` asks for another one than the image that is here; parts left out are not compared."""
    if not wanted:
        return False
    from sandbox.image.platforms import parse_platform

    return str(parse_platform(wanted)) != found.platform and wanted != found.platform


def _with_tag(text: str) -> str:
    from sandbox.image.references import parse_reference

    reference = parse_reference(text)
    return text if reference.tag or reference.digest else f"{text}:latest"
