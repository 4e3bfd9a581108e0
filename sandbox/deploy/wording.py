"""In which words two versions of a service differ, for who reads a plan."""

from __future__ import annotations

from sandbox.stack.service_spec import IMAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.service.spec import ServiceMode, ServiceSpec

#: a field whose name in a file is another one
_KEYS = {
    "working_directory": "working_dir", "hostname": "hostname", "binds": "volumes", "mounts": "volumes",
    "endpoints": "networks", "group_add": "group_add", "terminal": "tty", "open_stdin": "stdin_open",
    "stop_timeout_seconds": "stop_grace_period", "log": "logging", "health": "healthcheck", "dns_options": "dns_opt",
    "exposed_ports": "expose", "nano_cpus": "limits.cpus", "memory_bytes": "limits.memory",
    "memory_reservation_bytes": "reservations.memory", "rlimits": "ulimits", "after": "depends_on",
    "preferences": "placement.preferences", "max_replicas_per_node": "placement.max_replicas_per_node",
    "update": "update_config", "rollback": "rollback_config", "restart": "restart_policy",
    "security_options": "security_opt", "terminal_size": "tty",
}  # fmt: skip
_LONGEST = 60


def service_changes(before: ServiceSpec, after: ServiceSpec) -> Iterator[str]:
    """A text for each field in which they differ: "image: web:1 -> web:2", "environment: +A=2 -A=1"."""
    for name, was, now in zip(before.request._fields, before.request, after.request, strict=True):
        if was != now:
            yield _difference(_KEYS.get(name, name), was, now)
    yield from _mode(before.mode, after.mode)
    before, after = _without_image(before), _without_image(after)
    for field, earlier, later in zip(before._fields, before, after, strict=True):
        if field not in ("name", "request", "mode") and earlier != later:
            yield _difference(_KEYS.get(field, field), earlier, later)


def _without_image(spec: ServiceSpec) -> ServiceSpec:
    """`spec` without the label that repeats its image."""
    return spec._replace(labels=tuple(pair for pair in spec.labels if pair[0] != IMAGE))


def _mode(was: ServiceMode, now: ServiceMode) -> Iterator[str]:
    for name in ("kind", "replicas", "max_concurrent"):
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            yield f"{'mode' if name == 'kind' else name}: {before} -> {after}"


def _difference(key: str, was: object, now: object) -> str:
    if _is_list(was) and _is_list(now):
        assert isinstance(was, tuple)
        assert isinstance(now, tuple)
        gone = [f"-{_shown(each)}" for each in was if each not in now]
        come = [f"+{_shown(each)}" for each in now if each not in was]
        return f"{key}: {' '.join([*come, *gone]) or 'in another order'}"
    return f"{key}: {_shown(was)} -> {_shown(now)}"


def _is_list(value: object) -> bool:
    return isinstance(value, tuple) and not hasattr(value, "_fields")


def _shown(value: object) -> str:
    """A value as one word or a few."""
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        defaults: dict[str, object] = getattr(value, "_field_defaults")  # noqa: B009  # it is a NamedTuple
        said = [(name, each) for name, each in zip(value._fields, value, strict=True)
                if name not in defaults or each != defaults[name]]  # fmt: skip
        text = ",".join(f"{name}={_shown(each)}" for name, each in said) or "as by default"
    elif isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, str) for each in value):
        text = f"{value[0]}={value[1]}"
    elif isinstance(value, tuple):
        text = " ".join(_shown(each) for each in value)
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
