"""The driver `local`, which every volume has: its name, and the options that it takes.

Docker's engine hands them to mount(8) as root. What a user may mount as well is a tmpfs and a directory of the host;
the rest is refused. A tmpfs is of one container's mount namespace: each that mounts the volume has one of its own.
"""

from __future__ import annotations

from sandbox.errors import NotSupportedError, StartError, UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: volumes are directories, and no driver makes others
DRIVER = "local"
TMPFS_NOTE = "each container that mounts this volume gets a tmpfs of its own: none sees what another one writes there"
_KNOWN = frozenset({"type", "o", "device", "size"})
_PROPAGATION = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})


class LocalMount(NamedTuple):
    """What is mounted in place of the volume's directory: the host's `directory`, or where that is "" a tmpfs."""

    directory: str = ""
    #: of a tmpfs, as mount(8) has them
    data: str = ""
    read_only: bool = False
    propagation: str = "rprivate"


def read_options(options: Mapping[str, str]) -> LocalMount | None:
    """The mount that a volume's options ask for; None where there are none. Raises UsageError, NotSupportedError."""
    if not options:
        return None
    for name in options:
        if name not in _KNOWN:
            raise UsageError(f'invalid option: "{name}"', mend="-o type=none -o o=bind -o device=/DIRECTORY")
    if "size" in options:
        raise NotSupportedError(
            "quota size requested but no quota support", mend="-o type=tmpfs -o device=tmpfs -o o=size=1g"
        )
    for name in ("device", "type"):
        if name not in options:
            raise UsageError(
                f'missing required option: "{name}"',
                mend=f"-o {name}={'tmpfs' if options.get('type') == 'tmpfs' else '…'}",
            )
    words = [word for word in options.get("o", "").split(",") if word]
    if options["type"] == "tmpfs":
        return _read_tmpfs(words)
    if not {"bind", "rbind"}.isdisjoint(words):
        return _read_bind(options["device"], words)
    kind, device = options["type"], options["device"]
    raise NotSupportedError(
        f"a volume of type {kind} cannot be mounted by a user",
        cause="the kernel lets a user mount a tmpfs, and directories that are there already",
        mend=f"sudo mount -t {kind} {device} /mnt; then -o type=none -o o=bind -o device=/mnt",
    )


def _read_tmpfs(words: list[str]) -> LocalMount:
    from sandbox.grammar.tmpfs import tmpfs_of

    text = ",".join(words)
    return LocalMount("", ",".join(word for word in words if word not in ("ro", "rw")), tmpfs_of("/x", text).read_only)


def _read_bind(device: str, words: list[str]) -> LocalMount:
    from sandbox.grammar.volumes import clean_path

    if not device.startswith("/"):
        raise UsageError(f"invalid device: '{device}' must be an absolute path", mend=f'-o device="$PWD/{device}"')
    mount = LocalMount(clean_path(device))
    for word in words:
        if word in _PROPAGATION:
            mount = mount._replace(propagation=word)
        elif word in ("ro", "rw"):
            mount = mount._replace(read_only=word == "ro")
        elif word not in ("bind", "rbind"):
            raise NotSupportedError(f"the mount option {word} is not supported for a directory", mend="-o o=bind,ro")
    return mount


def refuse_missing(name: str, directory: str) -> StartError:
    """The error for a volume whose directory of the host is not there."""
    return StartError(
        f"error while mounting volume '{name}': failed to mount local volume: {directory}: no such file or directory",
        mend=f"mkdir -p {directory}",
    )
