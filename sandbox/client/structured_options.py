"""Options given as structures, in the forms of Docker's Python library, as the texts and values that ours have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from net.port_texts import join_address
from sandbox.errors import UsageError
from sandbox.grammar.logs import parse_log
from sandbox.grammar.restart import parse_restart
from sandbox.values import HealthCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.values import LogConfig, RestartPolicy


def port_texts(ports: Mapping[Any, Any]) -> tuple[str, ...]:
    """{container port: host port, (address, host port), or a list of these} as texts of `--publish`.

    A host port of 0 or None is any free one. Raises UsageError.
    """
    return tuple(text for port, places in ports.items() for text in _port_texts(str(port), places))


def _port_texts(port: str, places: Any) -> Iterator[str]:
    for place in places if isinstance(places, list) else [places]:
        address, host_port = place if isinstance(place, tuple) else ("", place)
        if host_port is not None and not isinstance(host_port, (int, str)):
            raise UsageError(f"invalid host port {host_port!r} for port {port}", mend=f"ports={{{port!r}: 8080}}")
        shown = str(host_port or "")
        if address:
            yield f"{join_address(address, shown)}:{port}"
        else:
            yield f"{shown}:{port}" if shown else port


def bind_texts(volumes: Mapping[str, Mapping[str, str] | str] | Sequence[str]) -> list[str]:
    """{source: {"bind": target, "mode": "ro"}}, or texts already, as texts of `--volume`. Raises UsageError."""
    if isinstance(volumes, str):
        raise UsageError("volumes is a list or a map, not a text", mend=f"volumes=[{volumes!r}]")
    if not isinstance(volumes, Mapping):
        return list(volumes)
    texts = []
    for source, place in volumes.items():
        if isinstance(place, str):
            texts.append(f"{source}:{place}")
            continue
        if "bind" not in place:
            raise UsageError(f"where is {source} to be mounted?", mend=f'volumes={{"{source}": {{"bind": "/data"}}}}')
        mode = place.get("mode", "")
        texts.append(f"{source}:{place['bind']}" + (f":{mode}" if mode else ""))
    return texts


def pairs(given: Mapping[str, str] | Sequence[str], between: str) -> Iterator[tuple[str, str]]:
    """The pairs of a map, or of texts that have `between` in them."""
    if isinstance(given, Mapping):
        yield from ((str(key), str(value)) for key, value in given.items())
        return
    for text in given:
        key, _, value = text.partition(between)
        yield key, value


def host_texts(given: Mapping[str, str] | Sequence[str]) -> list[str]:
    """{"name": "address"}, or texts already, as texts of `--add-host`."""
    return [f"{name}:{address}" for name, address in pairs(given, ":")]


def ulimit_texts(given: Sequence[str | Mapping[str, Any]]) -> list[str]:
    """[{"Name": "nofile", "Soft": 1024, "Hard": 2048}], or texts already, as texts of `--ulimit`. Raises UsageError."""
    if isinstance(given, str):
        raise UsageError("ulimits is a list, not a text", mend=f"ulimits=[{given!r}]")
    return [_ulimit_text(each) for each in given]


def _ulimit_text(given: str | Mapping[str, Any]) -> str:
    if isinstance(given, str):
        return given
    fields = {key.lower(): value for key, value in given.items()}
    if "name" not in fields or not fields.keys() & {"soft", "hard"}:
        raise UsageError(f"invalid ulimit {dict(given)!r}", mend='ulimits=["nofile=1024:2048"]')
    soft = fields.get("soft", fields.get("hard"))
    return f"{fields['name']}={soft}:{fields.get('hard', soft)}"


def restart_policy(given: str | Mapping[str, Any]) -> RestartPolicy:
    """{"Name": "on-failure", "MaximumRetryCount": 5}, or the text of `--restart`. Raises UsageError."""
    if isinstance(given, str):
        return parse_restart(given)
    retries = given.get("MaximumRetryCount")
    return parse_restart(f"{given.get('Name', 'no')}" + (f":{retries}" if retries else ""))


def health_check(given: Mapping[str, Any]) -> HealthCheck:
    """{"test": [...] or a shell's text, "interval": nanoseconds, "retries": 3, …}. Raises UsageError."""
    fields = {key.lower().replace("_", ""): value for key, value in given.items()}
    known = {"test", "interval", "timeout", "retries", "startperiod", "startinterval"}
    if unknown := sorted(fields.keys() - known):
        raise UsageError(f"unknown part of a healthcheck: {', '.join(unknown)}", mend=f"one of {', '.join(known)}")
    test = fields.get("test") or ()
    times = [int(fields.get(key) or 0) for key in ("interval", "timeout", "startperiod", "startinterval")]
    words = ("CMD-SHELL", test) if isinstance(test, str) else tuple(map(str, test))
    return HealthCheck(words, times[0], times[1], times[2], times[3], int(fields.get("retries") or 0))


def log_config(given: Mapping[str, Any]) -> LogConfig:
    """{"Type": "json-file", "Config": {"max-size": "10m"}}. Raises UsageError."""
    fields = {key.lower(): value for key, value in given.items()}
    options = [f"{key}={value}" for key, value in (fields.get("config") or {}).items()]
    return parse_log(str(fields.get("type") or "json-file"), options)
