"""Values out of an Invocation, with errors that name the option; and the options that are refused."""

from __future__ import annotations

from contextlib import contextmanager

from sandbox.cli.container_options.table import UNSUPPORTED
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from sandbox.cli.command import Invocation

    _T = TypeVar("_T")


#: options of which only some values can be had
_ONLY_VALUES: dict[str, tuple[str, ...]] = {
    "cgroupns": ("", "private"),
    "isolation": ("", "default"),
    "runtime": ("",),
    "userns": ("",),
    "volume-driver": ("", "local"),
    "storage-driver": ("", "overlay", "fuse", "copy"),
    "pull": ("always", "missing", "never"),
}


#: a field of a request that another reader might fill too -> the option that says it here
_OPTIONS_OF_FIELDS = {
    "environment": "env",
    "working_directory": "workdir",
    "restart": "restart",
    "log": "log-opt",
    "devices": "device",
    "rlimits": "ulimit",
    "hostname": "hostname",
    "domain_name": "domainname",
    "stop_signal": "stop-signal",
    "network_mode": "network",
    "endpoints": "network",
    "dns": "dns",
    "dns_search": "dns-search",
    "dns_options": "dns-option",
    "extra_hosts": "add-host",
    "egress": "egress",
    "host_ports": "host-port",
    "port_driver": "port-driver",
    "published_ports": "publish",
    "exposed_ports": "expose",
    "binds": "volume",
    "mounts": "mount",
    "tmpfs": "tmpfs",
    "secrets": "secret",
    "security_options": "security-opt",
    "sysctls": "sysctl",
    "pid_mode": "pid",
    "ipc_mode": "ipc",
    "uts_mode": "uts",
    "oom_score_adjust": "oom-score-adj",
    "memory_bytes": "memory",
    "memory_swap_bytes": "memory-swap",
    "nano_cpus": "cpus",
    "cpu_shares": "cpu-shares",
    "cpuset_cpus": "cpuset-cpus",
    "storage_options": "storage-opt",
}


@contextmanager
def in_words_of_options() -> Iterator[None]:
    """A usage error about a field of a request, as one about the option that filled it."""
    try:
        yield
    except UsageError as error:
        field = error.field.partition("[")[0]
        key = _OPTIONS_OF_FIELDS.get(field, "")
        if field.endswith("_mode") and key != "network":
            error.message = f"--{key}: {error.message}"
        if key and not error.mend:
            from sandbox.cli.container_options.forms import form_of  # for errors only

            error.mend = form_of(key)
        raise


def flag_given(invocation: Invocation, key: str) -> bool | None:
    """The flag `key`; None where it was not given."""
    return invocation.flag(key) if invocation.given(key) else None


def text_given(invocation: Invocation, key: str) -> str | None:
    """The text of option `key`; None where it was not given, or is empty."""
    return (invocation.text(key) or None) if invocation.given(key) else None


def number_given(invocation: Invocation, key: str) -> int | None:
    """The number of option `key`; None where it was not given."""
    return invocation.number(key) if invocation.given(key) else None


def parse_each(invocation: Invocation, key: str, parse: Callable[[str], _T]) -> tuple[_T, ...]:
    """`parse` of every text given for option `key`; an error names the option as Docker does."""
    return tuple(_parse(invocation, key, text, parse) for text in invocation.texts(key))


def parse_one(invocation: Invocation, key: str, parse: Callable[[str], _T]) -> _T | None:
    """`parse` of the text given for option `key`; None where it was not given."""
    text = invocation.text(key) if invocation.given(key) else None
    return None if text is None else _parse(invocation, key, text, parse)


def _parse(invocation: Invocation, key: str, text: str, parse: Callable[[str], _T]) -> _T:
    try:
        with form_as_mend(key):
            return parse(text)
    except UsageError as error:
        raise invalid_argument(invocation, key, text, error) from error


@contextmanager
def form_as_mend(key: str) -> Iterator[None]:
    """Where a value of option `key` cannot be taken and nothing better is said: what may be given, by example."""
    try:
        yield
    except UsageError as error:
        if not error.mend:
            from sandbox.cli.container_options.forms import form_of  # for errors only

            error.mend = form_of(key)
        raise


def invalid_argument(invocation: Invocation, key: str, text: str, error: UsageError) -> UsageError:
    """`error` in the shape pflag gives to a value it could not set."""
    declared = next(o for o in invocation.command.options if o.key == key)
    return UsageError(
        f'invalid argument "{text}" for "{declared.shown}" flag: {error.message}', cause=error.cause, mend=error.mend
    )


def refuse_unsupported(invocation: Invocation) -> None:
    """Raise UsageError for an option given here that this program cannot do; never a silent no-op."""
    for key, value in invocation.values.items():
        reason = UNSUPPORTED.get(key)
        # the value that means "not asked for" stays allowed: scripts pass it through
        if reason is not None and value not in (False, 0, "", ()):
            _check_grammar(invocation, key)
            raise UsageError(f"--{key} is not supported", cause=reason, mend=f"leave out --{key}")
        allowed = _ONLY_VALUES.get(key)
        if allowed is not None and value not in allowed:
            wanted = ", ".join(text for text in allowed if text)
            raise UsageError(
                f"--{key} {value} is not supported", mend=f"use one of {wanted}" if wanted else f"leave out --{key}"
            )


def _check_grammar(invocation: Invocation, key: str) -> None:
    # a slip of the pen is told before what this machine cannot do
    from sandbox.grammar import devices, networks

    grammars: dict[str, Callable[[str], object]] = {
        "blkio-weight-device": devices.parse_weight_device,
        "device-read-bps": devices.parse_throttle_bytes,
        "device-write-bps": devices.parse_throttle_bytes,
        "device-read-iops": devices.parse_throttle_operations,
        "device-write-iops": devices.parse_throttle_operations,
        "link": networks.parse_link,
    }
    if key in grammars:
        parse_each(invocation, key, grammars[key])
