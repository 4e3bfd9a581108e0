"""`--mount type=bind,source=/a,target=/b,…`."""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.grammar.sizes import parse_size
from sandbox.grammar.tmpfs import tmpfs_mode
from sandbox.grammar.volumes import IMAGE_USER, check_target, check_volume_name, clean_path
from sandbox.values import MountPoint, MountRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.caller_directory import CallerDirectory

_SPACE = " \t\n\r\v\f"
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_SWITCHES = frozenset({"readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src", "idmap"})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_PROPAGATION = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
_RECURSION = frozenset({"enabled", "disabled", "writable", "readonly"})
#: a tmpfs of which nothing else is said, as /tmp has it
_WORLD_WRITABLE = 0o1777


def parse_mount(text: str) -> MountRequest:
    """The request that one `--mount` text makes. Raises UsageError."""
    if not text.strip():
        raise UsageError("value is empty")
    request = MountRequest()
    families: set[str] = set()
    for field in split_fields(text):
        key, value = _key_value(field)
        known = _SYNONYMS.get(key, key)
        handler = _KEYS.get(known)
        if handler is None:
            raise UsageError(f"unknown option '{key}' in '{field}'")
        request = handler(request, key, value)
        family = known.partition("-")[0]
        if family in ("bind", "volume", "tmpfs") and "-" in known:
            families.add(family)
    _check(request, families)
    return request


def _key_value(field: str) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    bare = key.strip(_SPACE)
    if key != bare:
        raise UsageError(f"invalid option '{bare}' in '{field}': option should not have whitespace")
    key = key.lower()
    if not equals:
        if key not in _SWITCHES:
            raise UsageError(f"invalid field '{key}' must be a key=value pair")
        return key, "true"
    if not value:
        raise UsageError(f"invalid value for '{key}': value is empty")
    if value.strip(_SPACE) != value:
        raise UsageError(f"invalid value for '{key}' in '{field}': value should not have whitespace")
    return key, value


def _boolean(key: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise UsageError(
            f"invalid value for '{key}': invalid boolean value (\"{value}\"): "
            'must be one of "true", "1", "false", or "0" (default "true")'
        )
    return _BOOLEANS[value]


def _one_of(key: str, value: str, allowed: frozenset[str]) -> str:
    if value not in allowed:
        raise UsageError(f"invalid value for '{key}': {value} (must be one of {', '.join(sorted(allowed))})")
    return value


def _add_pair(pairs: tuple[tuple[str, str], ...], value: str) -> tuple[tuple[str, str], ...]:
    name, _, content = value.partition("=")
    # Docker drops a pair without a name rather than refusing it
    return (*pairs, (name, content)) if name else pairs


def _tmpfs_size(request: MountRequest, key: str, value: str) -> MountRequest:
    try:
        return request._replace(tmpfs_size_bytes=parse_size(value))
    except UsageError as error:
        raise UsageError(f"invalid value for {key}: {value}") from error


def _non_recursive(request: MountRequest, key: str, value: str) -> MountRequest:
    return request._replace(recursion="disabled" if _boolean(key, value) else "enabled")


def _mapped_user(value: str) -> str:
    # bare, as a switch, it is whoever the container runs as
    return IMAGE_USER if value == "true" else value


_KEYS: dict[str, Callable[[MountRequest, str, str], MountRequest]] = {
    "type": lambda request, _key, value: request._replace(kind=value.lower()),
    "source": lambda request, _key, value: request._replace(source=value),
    "target": lambda request, _key, value: request._replace(target=value),
    "readonly": lambda request, key, value: request._replace(read_only=_boolean(key, value)),
    # a hint for Docker on macOS that never changed what is mounted
    "consistency": lambda request, _key, _value: request,
    "bind-propagation": lambda request, key, value: request._replace(propagation=_one_of(key, value, _PROPAGATION)),
    "bind-recursive": lambda request, key, value: request._replace(recursion=_one_of(key, value, _RECURSION)),
    "bind-nonrecursive": _non_recursive,
    "bind-create-src": lambda request, key, value: request._replace(create_source=_boolean(key, value)),
    "idmap": lambda request, _key, value: request._replace(mapped_user=_mapped_user(value)),
    "volume-subpath": lambda request, _key, value: request._replace(subpath=value),
    "volume-nocopy": lambda request, key, value: request._replace(no_copy=_boolean(key, value)),
    "volume-label": lambda request, _key, value: request._replace(labels=_add_pair(request.labels, value)),
    "volume-driver": lambda request, _key, value: request._replace(driver=value),
    "volume-opt": lambda request, _key, value: request._replace(
        driver_options=_add_pair(request.driver_options, value)
    ),
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": lambda request, key, value: request._replace(tmpfs_mode=tmpfs_mode(key, value)),
}


def _check(request: MountRequest, families: set[str]) -> None:
    if not request.kind:
        raise UsageError("type is required")
    if not request.target:
        raise UsageError("target is required")
    if request.mapped_user and request.kind != "bind":
        raise UsageError(f"cannot mix 'idmap' with mount type '{request.kind}'")
    if request.recursion in ("writable", "readonly") and not request.read_only:
        raise UsageError(
            f"option 'bind-recursive={request.recursion}' requires 'readonly' to be specified in conjunction"
        )
    if request.recursion == "readonly" and request.propagation != "rprivate":
        raise UsageError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )
    for family in sorted(families):
        if family != request.kind:
            raise UsageError(f"cannot mix '{family}-*' options with mount type '{request.kind}'")


def resolve_source(request: MountRequest, cwd: CallerDirectory) -> MountRequest:
    """`request` with a host path that begins with a dot made absolute, as Docker's client does. Raises SandboxError
    where that is to be done from a directory that was removed.
    """
    if request.kind == "bind" and request.source.startswith("."):
        return request._replace(source=clean_path(cwd.absolute(request.source)))
    return request


def mount_of(request: MountRequest) -> MountPoint:
    """The mount that `request` asks for. Raises UsageError."""
    shown = f"type={request.kind},target={request.target}"
    if "\0" in request.target or "\0" in request.source:
        raise UsageError(f"invalid mount {shown!r}: a path cannot hold a null character")
    check_target(request.target, shown, f"--mount type={request.kind},…,target=/{request.target}")
    if request.kind == "bind":
        return _bind(request)
    if request.kind == "tmpfs":
        return _tmpfs(request)
    if request.kind == "volume":
        return _volume(request)
    raise UsageError(f"mount type '{request.kind}' is not supported", mend="use type=bind, type=volume or type=tmpfs")


def _bind(request: MountRequest) -> MountPoint:
    source = request.source
    if not source:
        raise UsageError("invalid mount of type bind: source is required")
    if not source.startswith("/"):
        raise UsageError(
            f"invalid mount path: '{source}' mount path must be absolute",
            mend=f"--mount type=bind,src=./{source},dst={request.target}",
        )
    return MountPoint(
        "bind",
        clean_path(source),
        clean_path(request.target),
        read_only=request.read_only,
        propagation=request.propagation or "rprivate",
        create_source=request.create_source,
        recursive=request.recursion != "disabled",
        writable_below=request.recursion == "writable",
        mapped_user=request.mapped_user,
    )


def _tmpfs(request: MountRequest) -> MountPoint:
    if request.source:
        raise UsageError("invalid mount of type tmpfs: it takes no source")
    return MountPoint(
        "tmpfs",
        "",
        clean_path(request.target),
        read_only=request.read_only,
        tmpfs_size_bytes=request.tmpfs_size_bytes,
        tmpfs_mode=_WORLD_WRITABLE if request.tmpfs_mode is None else request.tmpfs_mode,
        tmpfs_options="noexec,nosuid,nodev",
    )


def _volume(request: MountRequest) -> MountPoint:
    if request.driver not in ("", "local"):
        raise UsageError(f"volume driver '{request.driver}' is not supported", mend="leave volume-driver out")
    if request.driver_options:
        from sandbox.grammar.local_driver import read_options  # only where there are some

        read_options(dict(request.driver_options))
    if request.subpath:
        _check_subpath(request.subpath)
    if request.source:
        check_volume_name(request.source, f"--mount type=bind,src=./{request.source},dst={request.target}")
    elif request.read_only:
        raise UsageError("must not set ReadOnly mode when using anonymous volumes")
    return MountPoint(
        "volume",
        request.source,
        clean_path(request.target),
        read_only=request.read_only,
        copy_up=not request.no_copy,
        anonymous=not request.source or request.unnamed,
        volume_labels=request.labels,
        volume_options=request.driver_options,
        subpath=os.path.normpath(request.subpath) if request.subpath else "",
    )


def _check_subpath(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise UsageError(
            'invalid mount config for type "volume": subpath must be a relative path within the volume',
            mend=f"volume-subpath={'/'.join(part for part in parts if part not in ('', '..')) or 'DIRECTORY'}",
        )
