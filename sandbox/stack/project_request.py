"""Which project is asked for, by whom, and which steps are left out."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.errors import ComposeFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.stack.remote_files import Fetch


def refuse(path: str) -> str:
    """Raise ComposeFileError: who asks has no way to files that lie elsewhere."""
    raise ComposeFileError(f"cannot read {path}: what lies elsewhere is read by sandbox compose alone")


class ProjectRequest(NamedTuple):
    """Which project is asked for: Compose's own options."""

    #: as they were named; none looks for one
    files: tuple[str, ...] = ()
    name: str = ""
    #: what relative paths start from, in place of the first file's directory
    directory: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    #: none is all of them
    services: tuple[str, ...] = ()
    #: what no service uses is kept as well
    keeps_unused: bool = False
    #: names are those of Compose's first version
    is_compatible: bool = False
    #: Docker's stacks: a name is any that a service may have, and a version is no mistake
    is_stack: bool = False


class Steps(NamedTuple):
    """What of the work is left out, for who wants to see what lies between."""

    interpolates: bool = True
    resolves_paths: bool = True
    normalises: bool = True
    checks: bool = True
    resolves_environment: bool = True


class Caller(NamedTuple):
    """Who asks: absolute directory, variables, what standard input has, where a file is `-`, and who brings files that
    lie elsewhere.
    """

    directory: str
    environment: Mapping[str, str]
    stdin: bytes = b""
    fetch: Fetch = refuse
