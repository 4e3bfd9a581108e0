"""`-v`: `SOURCE:TARGET[:MODES]`, `NAME:TARGET[:MODES]`, or `TARGET` for an anonymous volume.

The grammar is that of moby's volume/mounts; a spec becomes a MountPoint in `mount_of`.
"""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.values import MountPoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.caller_directory import CallerDirectory

#: stands for the user that the container runs as
IMAGE_USER = "user"
_PROPAGATION = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
#: each group may be given once
_MODE_GROUPS = (
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    _PROPAGATION,
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated"}),
    frozenset({"idmap"}),
)


class VolumeSpec(NamedTuple):
    """The parts of a `-v` text; `source` is a path, a volume's name, or empty."""

    source: str
    target: str
    modes: tuple[str, ...] = ()

    @property
    def is_bind(self) -> bool:
        return self.source.startswith("/")

    @property
    def read_only(self) -> bool:
        return "ro" in self.modes

    @property
    def copy_up(self) -> bool:
        return "nocopy" not in self.modes

    @property
    def propagation(self) -> str:
        return next((mode for mode in self.modes if mode in _PROPAGATION), "")


def parse_volume(text: str) -> VolumeSpec:
    """The parts of `text`. Raises UsageError."""
    parts = text.split(":")
    modes: tuple[str, ...] = ()
    if not parts[0] or len(parts) > 3 or "\0" in text:
        raise _invalid(text)
    if len(parts) == 1:
        source, target = "", parts[0]
    else:
        source, target = parts[0], parts[1]
        if len(parts) == 2 and _are_modes(target):
            raise _invalid(text)
        if len(parts) == 3:
            if not _are_modes(parts[2]):
                raise UsageError(f"invalid mode: {parts[2]}", mend=f"-v {source}:{target}:ro, or without :{parts[2]}")
            modes = tuple(mode for mode in parts[2].split(",") if mode)
    check_target(target, text, f"-v {source}{':' if source else ''}/{target}{':' if modes else ''}{','.join(modes)}")
    spec = VolumeSpec(source, target, modes)
    if spec.propagation and not spec.is_bind:
        raise _invalid(text, "mount propagation is for host directories only")
    if "idmap" in spec.modes and not spec.is_bind:
        raise _invalid(text, "idmap is for host directories only")
    if not spec.copy_up and spec.is_bind:
        raise _invalid(text, "nocopy is for volumes only")
    return spec


def _are_modes(text: str) -> bool:
    if not text:
        return True
    counts = [0] * len(_MODE_GROUPS)
    for mode in text.split(","):
        group = next((i for i, names in enumerate(_MODE_GROUPS) if mode in names), -1)
        if group < 0:
            return False
        counts[group] += 1
    return max(counts) <= 1


def _invalid(text: str, why: str = "", *, mend: str = "") -> UsageError:
    return UsageError(f"invalid volume specification: '{text}'" + (f": {why}" if why else ""), mend=mend)


def check_target(target: str, text: str, mend: str = "") -> None:
    """Raise UsageError unless a mount may be put at `target`; `mend` is for one that lacks its first slash."""
    if not target:
        raise _invalid(text, "the path in the container is missing")
    if not target.startswith("/"):
        raise _invalid(text, f"invalid mount path: '{target}' mount path must be absolute", mend=mend)
    if os.path.normpath(target) in ("/", "//"):
        raise _invalid(text, "destination can't be '/'")


def mount_of(spec: VolumeSpec) -> MountPoint:
    """The mount that `spec` asks for. Raises UsageError for a name that no volume can have."""
    target = clean_path(spec.target)
    if spec.is_bind:
        return MountPoint(
            "bind",
            clean_path(spec.source),
            target,
            read_only=spec.read_only,
            propagation=spec.propagation or "rprivate",
            create_source=True,
            mapped_user=IMAGE_USER if "idmap" in spec.modes else "",
        )
    if spec.source:
        check_volume_name(spec.source, f"-v ./{spec.source}:{spec.target}")
    return MountPoint(
        "volume", spec.source, target, read_only=spec.read_only, copy_up=spec.copy_up, anonymous=not spec.source
    )


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """The container of `--volumes-from`, and whether its mounts are to be read only. Raises UsageError."""
    name, _, mode = text.partition(":")
    if not name or mode not in ("", "ro", "rw", "z", "Z"):
        raise UsageError(f"invalid argument {text!r} for --volumes-from", mend="--volumes-from CONTAINER[:ro]")
    return name, mode == "ro"


def resolve_relative(text: str, cwd: CallerDirectory) -> str:
    """`text` with a host path that begins with a dot made absolute, as Docker's client does. Raises SandboxError where
    that is to be done from a directory that was removed.
    """
    source, colon, rest = text.partition(":")
    if colon and source.startswith("."):
        return f"{os.path.normpath(cwd.absolute(source))}:{rest}"
    return text


def clean_path(path: str) -> str:
    """`path` without `.`, `..` and doubled slashes; lexically, the file system is not asked."""
    cleaned = os.path.normpath(path)
    # POSIX keeps exactly two leading slashes apart
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def check_volume_name(name: str, as_directory: str) -> None:
    """Raise UsageError unless `name` may name a volume: it becomes a directory.

    `as_directory` is the option that mounts a directory of the host of that name.
    """
    if len(name) == 1 and name.isascii() and name.isalnum():
        raise UsageError(
            "volume name is too short, names should be at least two alphanumeric characters", mend=as_directory
        )
    allowed = name.isascii() and len(name) > 1 and name[0].isalnum()
    if not allowed or not all(c.isalnum() or c in "_.-" for c in name) or len(name) > 255:
        raise UsageError(
            f'"{name}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed',
            mend=as_directory,
        )
