"""`--health-*`, `--no-healthcheck`, and how they meet the image's own check."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.durations import parse_duration
from sandbox.values import HealthCheck

_LEAST_NS = 1_000_000


def parse_health_time(text: str, name: str) -> int:
    """Nanoseconds, 0 or at least one millisecond. Raises UsageError."""
    value = parse_duration(text)
    if value < 0:
        raise UsageError(f"--health-{name} cannot be negative")
    if 0 < value < _LEAST_NS:
        raise UsageError(f"--health-{name} cannot be less than 1ms")
    return value


def check_health(check: HealthCheck) -> HealthCheck:
    """`check` again. Raises UsageError for a test of an unknown form, and for a time or a count that cannot be."""
    if check.test and check.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise UsageError(f"unknown health check type {check.test[0]!r}", mend="CMD, CMD-SHELL or NONE")
    for name, value in zip(check._fields[1:5], check[1:5], strict=True):
        if value < 0 or 0 < value < _LEAST_NS:
            what = "".join(word.title() for word in name.removesuffix("_ns").split("_"))
            raise UsageError(f"{what} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise UsageError("Retries in Healthcheck cannot be negative")
    return check


def health_document(check: HealthCheck) -> dict[str, object]:
    """As an image's or a container's configuration has it: the fields that were given."""
    document = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {name: value for name, value in document.items() if value}


def merge_health(image: HealthCheck, given: HealthCheck) -> HealthCheck:
    """`given` with what it leaves out taken from the image."""
    return HealthCheck(
        given.test or image.test,
        given.interval_ns or image.interval_ns,
        given.timeout_ns or image.timeout_ns,
        given.start_period_ns or image.start_period_ns,
        given.start_interval_ns or image.start_interval_ns,
        given.retries or image.retries,
    )
