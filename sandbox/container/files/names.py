"""Docker's rules for the paths of a copy: what a trailing slash or `/.` says, and what a copy is named. Pure."""

from __future__ import annotations

import posixpath

from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

#: Docker's words
NO_SUCH_DIRECTORY = "no such directory"
CANNOT_COPY_DIRECTORY = "cannot copy directory"
NOT_A_DIRECTORY = "not a directory"


class Argument(NamedTuple):
    """SRC or DST of a copy; `container` is "" for a path of the caller's."""

    container: str
    path: str


class Found(NamedTuple):
    """What is at the destination; `path` after the links that the last component was."""

    path: str
    exists: bool
    is_directory: bool


class Aim(NamedTuple):
    """Where an archive is extracted, and the name that its first component takes; "" leaves it."""

    directory: str
    base: str = ""


def split_argument(text: str) -> Argument:
    """`CONTAINER:PATH`; a path is one without a colon, an absolute one, and one that begins with a dot."""
    container, colon, path = text.partition(":")
    if text.startswith("/") or not colon or container.startswith("."):
        return Argument("", text)
    return Argument(container, path)


def names_content(path: str) -> bool:
    """Whether the path means what is in a directory, and not the directory: it ends in `/.`."""
    return posixpath.basename(path.rstrip("/") or "/") == "."


def asserts_directory(path: str) -> bool:
    """Whether the path can only be a directory's."""
    return path.endswith("/") or names_content(path)


def absolute(path: str, directory: str = "/") -> str:
    """The path without `..`, below `directory` where it is relative; a slash or `/.` at the end stays."""
    joined = clean(posixpath.join(directory, path))
    if names_content(path) or path in ("", "."):
        return joined.rstrip("/") + "/."
    return joined + "/" if path.endswith("/") and joined != "/" else joined


def clean(path: str) -> str:
    """As Go's filepath.Clean."""
    cleaned = posixpath.normpath(path) if path else "."
    # POSIX leaves two slashes in front alone
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def split(path: str) -> tuple[str, str]:
    """The directory and the entry that a path names; `.` is the entry of one that means its content."""
    cleaned = clean(path)
    if names_content(path):
        return cleaned, "."
    return posixpath.dirname(cleaned) or ".", posixpath.basename(cleaned) or "/"


def top_name(path: str) -> str:
    """How an archive of what is at `path` names it; the root is its content."""
    base = split(path)[1]
    return "." if base == "/" else base


def aim_copy(found: Found, *, source_is_directory: bool) -> Aim:
    """Where a copy goes. Raises SandboxError for one that cannot be, in Docker's words."""
    directory, base = split(found.path)
    if found.exists and found.is_directory:
        return Aim(found.path)
    if found.exists and source_is_directory:
        raise SandboxError(CANNOT_COPY_DIRECTORY, cause=f"{found.path} is a file")
    if not found.exists and not source_is_directory and asserts_directory(found.path):
        raise SandboxError(NO_SUCH_DIRECTORY, cause=f"{found.path} is not there, and a file is to be copied into it")
    return Aim(directory, base)
