"""What each instruction says, as a value. `readers` makes these of nodes; `stages` puts them into stages.

Texts are as written: quotes and variables are resolved where the instruction is carried out, with the environment of
that moment, by `words`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sandbox.dockerfile.heredocs import Heredoc
    from sandbox.dockerfile.parser import Node
    from sandbox.values import HealthCheck


class From(NamedTuple):
    """`name` is in small letters and empty without AS; `platform` empty without the flag."""

    node: Node
    base: str
    name: str
    platform: str


class CommandLine(NamedTuple):
    """A command of RUN, CMD or ENTRYPOINT; with `shell` its one word goes to the shell, else it is executed."""

    words: tuple[str, ...]
    shell: bool


class Run(NamedTuple):
    """`mounts` are for `mounts.read_mount`; `network` is default, none or host; `security` is sandbox or insecure."""

    node: Node
    command: CommandLine
    heredocs: tuple[Heredoc, ...]
    mounts: tuple[str, ...]
    #: the `from` of each mount, "" without one
    mount_sources: tuple[str, ...]
    network: str
    security: str
    devices: tuple[str, ...]


class Cmd(NamedTuple):
    node: Node
    command: CommandLine


class Entrypoint(NamedTuple):
    node: Node
    command: CommandLine


class Pair(NamedTuple):
    """A key and a value; `legacy` is the form without `=`."""

    key: str
    value: str
    legacy: bool


class Env(NamedTuple):
    node: Node
    pairs: tuple[Pair, ...]


class Label(NamedTuple):
    node: Node
    pairs: tuple[Pair, ...]


class InlineFile(NamedTuple):
    """A file written in the Dockerfile: COPY and ADD from a heredoc."""

    name: str
    content: str
    expand: bool


class Copy(NamedTuple):
    """COPY: `source_name` is the stage, image or context of `--from`."""

    node: Node
    sources: tuple[str, ...]
    files: tuple[InlineFile, ...]
    target: str
    source_name: str
    chown: str
    chmod: str
    link: bool
    parents: bool
    exclude: tuple[str, ...]


class Add(NamedTuple):
    """ADD: None is a flag that was not given."""

    node: Node
    sources: tuple[str, ...]
    files: tuple[InlineFile, ...]
    target: str
    chown: str
    chmod: str
    link: bool
    keep_git_dir: bool | None
    checksum: str
    unpack: bool | None
    exclude: tuple[str, ...]


class Argument(NamedTuple):
    """One ARG; `value` is None where there is no default; `description` is from the comment above."""

    name: str
    value: str | None
    description: str


class Arg(NamedTuple):
    node: Node
    arguments: tuple[Argument, ...]


class Expose(NamedTuple):
    """`ports` sorted as BuildKit sorts them; a word may hold several after expansion."""

    node: Node
    ports: tuple[str, ...]


class Volume(NamedTuple):
    node: Node
    paths: tuple[str, ...]


class User(NamedTuple):
    node: Node
    user: str


class Workdir(NamedTuple):
    node: Node
    path: str


class Onbuild(NamedTuple):
    """`expression` is kept in the image's configuration and parsed again by the build that starts from it."""

    node: Node
    expression: str


class StopSignal(NamedTuple):
    node: Node
    signal: str


class Healthcheck(NamedTuple):
    """NONE is a `check` too; times that are not given are 0."""

    node: Node
    check: HealthCheck


class Shell(NamedTuple):
    node: Node
    words: tuple[str, ...]


class Maintainer(NamedTuple):
    node: Node
    name: str


class DebugShell(NamedTuple):
    """No instruction of the language: it stands in place of one that failed, `run` where that was a RUN."""

    node: Node
    run: Run | None


Instruction = (
    From
    | Run
    | Cmd
    | Label
    | Expose
    | Env
    | Add
    | Copy
    | Entrypoint
    | Volume
    | User
    | Workdir
    | Arg
    | Onbuild
    | StopSignal
    | Healthcheck
    | Shell
    | Maintainer
    | DebugShell
)
