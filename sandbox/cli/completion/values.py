"""What an option may be given, by its name and, where that says too little, by its command."""

from __future__ import annotations

import os

from sandbox.cli.completion import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.cli.flags import Option

    Candidates = list[tuple[str, str]]

_SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGWINCH")
_CAPABILITIES = (
    "ALL", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE",
    "SYS_RESOURCE", "SYS_TIME",
)  # fmt: skip
_PLATFORMS = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/386",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
)
#: by the option's name, which means the same wherever it is
_CHOICES: dict[str, tuple[str, ...]] = {
    "cap-add": _CAPABILITIES,
    "cap-drop": _CAPABILITIES,
    "cgroupns": ("private",),
    "driver": ("local",),
    "ipc": ("private", "shareable", "none", "container:"),
    "method": ("systemd", "cron"),
    "log-driver": ("json-file", "local", "none"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
    "log-opt": ("max-size=", "max-file=", "compress="),
    "mount": ("type=bind,source=", "type=volume,source=", "type=tmpfs,target="),
    "network": ("none", "host", "bridge", "default", "slirp4netns", "pasta", "container:"),
    "pid": ("host", "container:"),
    "platform": _PLATFORMS,
    "progress": ("auto", "plain", "tty", "rawjson", "quiet"),
    "pull": ("always", "missing", "never"),
    "restart": ("no", "on-failure", "on-failure:", "always", "unless-stopped"),
    "security-opt": ("no-new-privileges", "seccomp=", "seccomp=unconfined"),
    "signal": _SIGNALS,
    "stop-signal": _SIGNALS,
    "storage-driver": ("overlay", "fuse", "copy"),
    "tail": ("all", "10", "100", "1000"),
    "type": ("container", "image"),
    "ulimit": ("nofile=", "nproc=", "core=", "memlock=", "stack=", "fsize="),
    "uts": ("host",),
}
#: the forms of an inspection are no tables
_DOCUMENTS = ("system events", "system info", "system version")
_PRUNED = ("label=", "label!=", "until=")
FILTERS: dict[str, tuple[str, ...]] = {
    "container ls": (
        "ancestor=", "before=", "exited=", "expose=", "health=", "id=", "is-task=", "isolation=", "label=", "name=",
        "network=", "publish=", "since=", "status=", "volume=",
    ),
    "image ls": ("before=", "dangling=", "label=", "reference=", "since=", "until="),
    "volume ls": ("dangling=", "driver=", "label=", "name="),
    "system events": (
        "action=", "config=", "container=", "daemon=", "event=", "image=", "label=", "network=", "node=", "plugin=",
        "scope=", "secret=", "service=", "type=", "volume=",
    ),
    "container prune": _PRUNED,
    "image prune": ("dangling=", *_PRUNED),
    "volume prune": ("all=", "label=", "label!="),
    "system prune": _PRUNED,
}  # fmt: skip
_FILTER_VALUES: dict[str, tuple[str, ...]] = {
    "dangling": ("true", "false"),
    "event": (
        "create",
        "start",
        "die",
        "stop",
        "kill",
        "destroy",
        "exec_start",
        "health_status",
        "pull",
        "tag",
        "mount",
    ),
    "health": ("starting", "healthy", "unhealthy", "none"),
    "is-task": ("true", "false"),
    "status": ("created", "restarting", "running", "removing", "paused", "exited", "dead"),
    "type": ("container", "image", "volume", "network", "secret", "config"),
}


def find_values(env: Mapping[str, str], path: str, option: Option, incomplete: str) -> Candidates:
    """What `option` of the command at `path` may be given; none where files or anything may stand there."""
    key = option.key
    if key == "format":
        return _plain(("json",) if path.endswith("inspect") or path in _DOCUMENTS else ("table", "json"))
    if key == "filter":
        return _filters(env, path, incomplete)
    live = _LIVE.get(key)
    found = _plain(_CHOICES.get(key, ()))
    if live is None:
        return found
    # a word that is always there may have a name's description
    return [*{**dict(found), **dict(live(env, incomplete))}.items()]


def _plain(words: Sequence[str]) -> Candidates:
    return [(word, "") for word in words]


def _filters(env: Mapping[str, str], path: str, incomplete: str) -> Candidates:
    key, equals, _ = incomplete.partition("=")
    if not equals:
        return _plain(FILTERS.get(path, ()))
    if key in _FILTER_NAMES:
        return [(f"{key}={name}", about) for name, about in _FILTER_NAMES[key](env)]
    return _plain([f"{key}={value}" for value in _FILTER_VALUES.get(key, ())])


def _shared(env: Mapping[str, str], incomplete: str) -> Candidates:
    """`container:NAME`."""
    if incomplete.startswith("container:"):
        return [(f"container:{name}", about) for name, about in names.containers(env, ("running", "paused"))]
    return []


def _networks(env: Mapping[str, str], incomplete: str) -> Candidates:
    # those that are always there stand among the fixed words
    made = [(name, about) for name, about in names.networks(env) if name not in _CHOICES["network"]]
    return [*_shared(env, incomplete), *made]


def _mounted(env: Mapping[str, str], incomplete: str) -> Candidates:
    # with a slash it is a path, which the shell completes itself
    return [] if "/" in incomplete else [(f"{name}:", about) for name, about in names.volumes(env)]


def _variables(_env: Mapping[str, str], _incomplete: str) -> Candidates:
    return _plain(sorted(os.environ))


_FILTER_NAMES: dict[str, Callable[[Mapping[str, str]], Candidates]] = {
    "ancestor": names.images, "before": names.containers, "container": names.containers, "image": names.images,
    "name": names.containers, "network": names.networks, "since": names.containers, "volume": names.volumes,
}  # fmt: skip
_LIVE: dict[str, Callable[[Mapping[str, str], str], Candidates]] = {
    "env": _variables,
    "ipc": _shared,
    "network": _networks,
    "pid": _shared,
    "volume": _mounted,
    "volumes-from": lambda env, _incomplete: names.containers(env),
    "cache-from": lambda env, _incomplete: names.images(env),
}
