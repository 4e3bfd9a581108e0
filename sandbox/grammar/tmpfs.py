"""`--tmpfs /run:size=64m`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.sizes import parse_size
from sandbox.grammar.volumes import check_target, clean_path
from sandbox.humane import quoted
from sandbox.values import MountPoint

_TMPFS_SWITCHES = frozenset({
    "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "dirsync", "atime", "noatime",
    "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "mand", "nomand",
})  # fmt: skip
_TMPFS_VALUES = frozenset({"uid", "gid", "nr_inodes", "nr_blocks", "mpol"})


def tmpfs_mode(key: str, value: str) -> int:
    """The octal mode in `value`, which `key` was given. Raises UsageError."""
    if not value or value.strip("01234567") or len(value) > 6:
        raise UsageError(f"invalid value for {key}: {value}")
    return int(value, 8)


def parse_tmpfs(text: str) -> tuple[str, str]:
    """The target and the options of `--tmpfs TARGET[:OPTIONS]`. Raises UsageError."""
    target, _, options = text.partition(":")
    tmpfs_of(target, options)
    return target, options


def tmpfs_of(target: str, options: str) -> MountPoint:
    """The tmpfs at `target`, options over noexec,nosuid,nodev. Raises UsageError."""
    if "\0" in target or "\0" in options:
        raise UsageError("a path cannot hold a null character")
    check_target(target, f"{target}:{options}" if options else target)
    mount = MountPoint("tmpfs", "", clean_path(target))
    kept = ["noexec", "nosuid", "nodev"]
    for field in filter(None, options.split(",")):
        name, equals, value = field.partition("=")
        if name == "size" and not value.endswith("%"):
            mount = mount._replace(tmpfs_size_bytes=parse_size(value))
        elif name == "mode":
            mount = mount._replace(tmpfs_mode=tmpfs_mode("mode", value))
        elif field in ("ro", "rw"):
            mount = mount._replace(read_only=field == "ro")
        elif (field in _TMPFS_SWITCHES) or (equals and value and name in (*_TMPFS_VALUES, "size")):
            opposite = name.removeprefix("no") if name.startswith("no") else f"no{name}"
            kept = [option for option in kept if option not in (name, opposite)] + [field]
        else:
            raise UsageError(f"invalid tmpfs option [{quoted(field)}]")
    return mount._replace(tmpfs_options=",".join(kept))
