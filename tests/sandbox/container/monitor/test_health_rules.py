"""What a health check makes of its results: Docker's rules, example by example and for any run of results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.container.monitor.health_rules import (
    MOST_RESULTS,
    Health,
    HealthRules,
    ProbeResult,
    after_probe,
    at_start,
    late_text,
    output_text,
    probe_words,
    rules_of,
    wait_ns,
)
from sandbox.values import HealthCheck

SECOND = 10**9
RULES = st.builds(
    HealthRules,
    interval_ns=st.integers(1, 100),
    timeout_ns=st.integers(1, 100),
    start_period_ns=st.integers(0, 50),
    start_interval_ns=st.integers(1, 100),
    retries=st.integers(1, 4),
)
#: exit codes with the age at which each probe began
PROBES = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 10)), max_size=30)


def _result(code: int) -> ProbeResult:
    return ProbeResult(1, 2, code, "")


def _after(rules: HealthRules, *probes: tuple[int, int]) -> Health:
    """`probes` as (exit code, age in seconds)."""
    health = Health()
    for code, age in probes:
        health = after_probe(health, rules, _result(code), age * SECOND)
    return health


def test_a_check_that_says_nothing_has_dockers_times() -> None:
    assert rules_of(HealthCheck(("CMD", "x"))) == HealthRules(30 * SECOND, 30 * SECOND, 0, 5 * SECOND, 3)
    assert rules_of(HealthCheck(("CMD", "x"), 1, 2, 3, 4, 5)) == HealthRules(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("test", "shell", "words"),
    [
        (("CMD", "curl", "-f", "x"), ("/bin/bash", "-c"), ("curl", "-f", "x")),
        (("CMD-SHELL", "exit 1"), (), ("/bin/sh", "-c", "exit 1")),
        (("CMD-SHELL", "exit 1"), ("/bin/bash", "-ec"), ("/bin/bash", "-ec", "exit 1")),
        (("NONE",), (), ()),
        ((), (), ()),
    ],
)
def test_what_is_run(test: tuple[str, ...], shell: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert probe_words(HealthCheck(test), shell) == words


def test_it_is_unhealthy_after_as_many_failures_in_a_row_as_it_may_have() -> None:
    rules = HealthRules(retries=3)
    assert _after(rules, (1, 0), (1, 1))[:2] == ("starting", 2)
    assert _after(rules, (1, 0), (1, 1), (1, 2))[:2] == ("unhealthy", 3)
    assert _after(rules, (1, 0), (1, 1), (0, 2), (1, 3), (1, 4))[:2] == ("healthy", 2)
    assert _after(rules, (1, 0), (1, 1), (1, 2), (0, 3))[:2] == ("healthy", 0)


def test_failures_of_the_start_period_do_not_count_until_it_was_healthy() -> None:
    rules = HealthRules(start_period_ns=10 * SECOND, retries=2)
    assert _after(rules, (1, 0), (1, 5), (1, 9))[:2] == ("starting", 0)
    assert _after(rules, (1, 9), (1, 10), (1, 11))[:2] == ("unhealthy", 2)
    assert _after(rules, (0, 1), (1, 2), (1, 3))[:2] == ("unhealthy", 2)


def test_the_start_interval_holds_while_it_starts() -> None:
    rules = HealthRules(start_period_ns=10 * SECOND, start_interval_ns=SECOND)
    assert wait_ns(Health(), rules, 9 * SECOND) == SECOND
    assert wait_ns(Health(), rules, 10 * SECOND) == 30 * SECOND
    assert wait_ns(Health("healthy"), rules, 2 * SECOND) == 30 * SECOND
    assert wait_ns(Health(), rules._replace(start_period_ns=0), 0) == 30 * SECOND


def test_a_start_begins_anew_and_keeps_what_was_found_before() -> None:
    before = Health("unhealthy", 7, (_result(1),))
    assert at_start(before) == Health("starting", 0, (_result(1),))


@given(RULES, PROBES)
def test_for_any_run_of_results(rules: HealthRules, probes: list[tuple[int, int]]) -> None:
    health, age, failures, was_healthy = Health(), 0, 0, False
    for code, step in probes:
        age += step
        before = health
        health = after_probe(before, rules, _result(code), age)
        counts = was_healthy or age >= rules.start_period_ns or before.status == "unhealthy"
        failures = 0 if code == 0 else failures + counts
        was_healthy = was_healthy or code == 0
        assert health.failing_streak == failures
        assert health.results[-1].exit_code == code
        assert len(health.results) == min(MOST_RESULTS, len(before.results) + 1)
        expected = "unhealthy" if failures >= rules.retries else "healthy" if was_healthy else "starting"
        if code == 0 or failures:
            assert health.status == (expected if code == 0 or failures >= rules.retries else before.status)
        assert (health.status == "starting") <= (not was_healthy)
        assert wait_ns(health, rules, age) in (rules.interval_ns, rules.start_interval_ns)


@given(st.binary(max_size=64), st.booleans())
def test_any_output_is_a_text(data: bytes, was_cut: bool) -> None:
    text = output_text(data, was_cut=was_cut)
    assert text.endswith("...") or not was_cut
    text.encode()


def test_a_probe_that_takes_too_long_says_so_in_dockers_words() -> None:
    rules = HealthRules(timeout_ns=1_500_000_000)
    assert late_text(rules, "") == "Health check exceeded timeout (1.5s)"
    assert late_text(rules, "half") == "Health check exceeded timeout (1.5s): half"
