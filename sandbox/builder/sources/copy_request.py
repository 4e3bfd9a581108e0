"""What one COPY or ADD asks for, every variable in it replaced: decided before anything is read or written."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.dockerfile.dockerignore import clean_path
from sandbox.dockerfile.instructions import Add, Copy
from sandbox.dockerfile.words import expand_heredoc
from sandbox.image.web.web_file import is_url
from sandbox.redaction import redact

if TYPE_CHECKING:
    from sandbox.builder.stage_state import StageState
    from sandbox.dockerfile.parser import Node


class CopyRequest(NamedTuple):
    """`target` is absolute; `into` says that it is a directory, by its text or by how much goes there."""

    sources: tuple[str, ...]
    #: name and content of each file written in the Dockerfile
    files: tuple[tuple[str, str], ...]
    target: str
    into: bool
    #: the stage, image or context of `--from`, "" the build context
    source_name: str
    chown: str
    chmod: str
    link: bool
    parents: bool
    exclude: tuple[str, ...]
    #: of the one URL or repository that is added
    checksum: str
    keep_git_dir: bool | None
    #: whether archives are unpacked; None is the instruction's own default for where they come from
    unpack: bool | None
    history: str


def read_copy_request(stage: StageState, copy: Copy | Add) -> CopyRequest:
    """Raises DockerfileError for a variable that cannot be expanded, and for flags that do not go together."""
    node = copy.node
    written = stage.text(copy.target, node)
    # by its text alone: a symlink before `..` is not followed
    target = clean_path(stage.path(written))
    sources = tuple(stage.text(source, node) for source in copy.sources)
    files = tuple(
        (file.name, expand_heredoc(file.content, stage.scope.environment).text if file.expand else file.content)
        for file in copy.files
    )
    into = _is_directory(written) or len(sources) + len(files) > 1
    chown, chmod = stage.text(copy.chown, node), stage.text(copy.chmod, node)
    parents = isinstance(copy, Copy) and copy.parents
    shown = ["--parents"] * parents + [f"--chown={chown}"] * bool(chown) + [f"--chmod={chmod}"] * bool(chmod)
    shown += [*sources, *(f"<<{name}" for name, _content in files), written]
    exclude = tuple(stage.text(pattern, node) for pattern in copy.exclude)
    checksum = stage.text(copy.checksum, node) if isinstance(copy, Add) else ""
    _check(node, sources, checksum, is_add=isinstance(copy, Add))
    return CopyRequest(
        sources, files, target, into, copy.source_name if isinstance(copy, Copy) else "", chown, chmod, copy.link,
        parents, exclude, checksum, copy.keep_git_dir if isinstance(copy, Add) else None,
        copy.unpack if isinstance(copy, Add) else False,
        f"{node.instruction} {' '.join(shown)} # buildkit",
    )  # fmt: skip


def warn_of_target(copy: Copy | Add) -> str:
    """What to say where several sources go to what is no directory by its text, "" where nothing."""
    count = len(copy.sources) + len(copy.files)
    # a variable may end in a slash
    if count < 2 or _is_directory(copy.target) or "$" in copy.target:
        return ""
    return (
        f"{copy.node.instruction} of {count} sources to {copy.target}, without a slash: taken for a directory;"
        f" write {copy.target}/"
    )


def _is_directory(written: str) -> bool:
    return written.endswith(("/", "/.", "/..")) or written in (".", "..", "")


def split_pivot(source: str) -> tuple[str, str]:
    """For `--parents`: the directory copied from, and the pattern below it, of "DIRECTORY/./PATTERN"."""
    above, pivot, below = source.partition("/./")
    if not pivot:
        above, below = "", source
    pattern = clean_path("/" + below)[1:]
    return posixpath.normpath(f"/{above}")[1:], pattern


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a Git repository. Raises StepError for a repository that is written wrongly."""
    return is_url(source) or parse_git_url(source) is not None


def _check(node: Node, sources: tuple[str, ...], checksum: str, *, is_add: bool) -> None:
    try:
        remote = [source for source in sources if is_remote(source)]
    except StepError as error:
        raise node.error(error.message, mend=error.mend) from error
    if remote and not is_add:
        raise node.error(f"source can't be a URL for COPY: {redact(remote[0])}", mend="ADD takes URLs")
    if checksum and len(sources) != 1:
        raise node.error("checksum can't be specified for multiple sources")
    if checksum and not remote:
        raise node.error("checksum requires HTTP(S) or Git sources")
