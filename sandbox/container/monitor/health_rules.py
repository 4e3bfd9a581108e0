"""What a container's health check makes of its results: Docker's rules, values in and values out.

    starting ──first success──▶ healthy ──`retries` failures in a row──▶ unhealthy
        └──`retries` failures, those of the start period not counted──────▶┘ └──a success──▶ healthy

Once it was healthy in a run, the start period is over.
"""

from __future__ import annotations

from sandbox.grammar.durations import duration_text
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.values import HealthCheck

#: as much of a probe's output is kept, and so many results
MOST_OUTPUT_BYTES = 4096
MOST_RESULTS = 5
#: of a probe that could not be run, or took too long
NO_EXIT_CODE = -1
_DEFAULT_SHELL = ("/bin/sh", "-c")
_SECOND_NS = 10**9


class ProbeResult(NamedTuple):
    """One run of the check; times in ns since 1970."""

    started_ns: int
    ended_ns: int
    exit_code: int
    output: str


class Health(NamedTuple):
    """How a container does: "starting", "healthy" or "unhealthy"; `results` the newest last."""

    status: str = "starting"
    failing_streak: int = 0
    results: tuple[ProbeResult, ...] = ()


class HealthRules(NamedTuple):
    """A check with what it leaves out set to Docker's values; times in ns."""

    interval_ns: int = 30 * _SECOND_NS
    timeout_ns: int = 30 * _SECOND_NS
    start_period_ns: int = 0
    start_interval_ns: int = 5 * _SECOND_NS
    retries: int = 3


def rules_of(check: HealthCheck) -> HealthRules:
    """The rules of a check; 0 is Docker's own value."""
    default = HealthRules()
    return HealthRules(
        check.interval_ns or default.interval_ns,
        check.timeout_ns or default.timeout_ns,
        check.start_period_ns or default.start_period_ns,
        check.start_interval_ns or default.start_interval_ns,
        check.retries or default.retries,
    )


def probe_words(check: HealthCheck, shell: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The command of the check, `shell` being the image's; nothing where the container has no check."""
    kind, words = check.test[:1], check.test[1:]
    if kind == ("CMD",):
        return words
    if kind == ("CMD-SHELL",):
        return (*(shell or _DEFAULT_SHELL), *words)
    return ()


def at_start(health: Health) -> Health:
    """The health of a container that starts, or starts again: what is known of earlier probes stays to be read."""
    return Health(results=health.results)


def after_probe(health: Health, rules: HealthRules, result: ProbeResult, age_ns: int) -> Health:
    """The health after a probe that began `age_ns` after the container's start."""
    results = (*health.results, result)[-MOST_RESULTS:]
    if result.exit_code == 0:
        return Health("healthy", 0, results)
    if health.status == "starting" and age_ns < rules.start_period_ns:
        return health._replace(results=results)
    streak = health.failing_streak + 1
    return Health("unhealthy" if streak >= rules.retries else health.status, streak, results)


def wait_ns(health: Health, rules: HealthRules, age_ns: int) -> int:
    """How long to wait for the next probe, of a container that started `age_ns` ago."""
    starts = health.status == "starting" and age_ns < rules.start_period_ns
    return rules.start_interval_ns if starts else rules.interval_ns


def output_text(data: bytes, *, was_cut: bool) -> str:
    """What a probe wrote, as results have it."""
    return data.decode(errors="replace") + ("..." if was_cut else "")


def late_text(rules: HealthRules, output: str) -> str:
    """What the result of a probe says that took too long, in Docker's words."""
    said = f"Health check exceeded timeout ({duration_text(rules.timeout_ns)})"
    return f"{said}: {output}" if output else said
