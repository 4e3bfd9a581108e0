"""What `update` makes of a container's request and configuration."""

from __future__ import annotations

import pytest

from sandbox.container.request.request import ContainerRequest
from sandbox.container.request.updating import updated
from sandbox.errors import ConflictError, UsageError
from sandbox.values import Resources, RestartPolicy
from tests.sandbox.container.conftest import a_container

MEBIBYTE = 1 << 20
CONFIG = a_container().config


def _updated(before: ContainerRequest, wanted: ContainerRequest) -> Resources:
    return updated(CONFIG, before, wanted).config.resources


def test_what_is_not_said_stays() -> None:
    before = ContainerRequest(image="i", memory_bytes=64 * MEBIBYTE, cpu_shares=512, name="n")
    after = updated(CONFIG, before, ContainerRequest(cpuset_cpus="0", pids_limit=7))
    assert after.request == before._replace(cpuset_cpus="0", pids_limit=7)
    assert after.config.resources == Resources(
        memory_bytes=64 * MEBIBYTE, cpu_shares=512, cpuset_cpus="0", pids_limit=7
    )
    assert after.config._replace(resources=CONFIG.resources) == CONFIG


def test_nothing_said_is_an_error() -> None:
    for wanted in (ContainerRequest(), ContainerRequest(memory_bytes=0, cpu_shares=0), ContainerRequest(name="other")):
        with pytest.raises(UsageError, match="You must provide one or more flags"):
            updated(CONFIG, ContainerRequest(), wanted)


def test_memory_alone_leaves_memory_and_swap_where_they_are() -> None:
    before = ContainerRequest(memory_bytes=100 * MEBIBYTE)
    after = updated(CONFIG, before, ContainerRequest(memory_bytes=150 * MEBIBYTE))
    assert (after.request.memory_bytes, after.request.memory_swap_bytes) == (150 * MEBIBYTE, 200 * MEBIBYTE)
    with pytest.raises(ConflictError, match="already set memoryswap limit, update the memoryswap at the same time"):
        updated(CONFIG, before, ContainerRequest(memory_bytes=201 * MEBIBYTE))
    both = ContainerRequest(memory_bytes=201 * MEBIBYTE, memory_swap_bytes=-1)
    assert _updated(before, both) == Resources(memory_bytes=201 * MEBIBYTE, memory_swap_bytes=-1)
    # where there was none, it is as with `run`
    assert _updated(ContainerRequest(), ContainerRequest(memory_bytes=MEBIBYTE * 8)) == Resources(MEBIBYTE * 8)


@pytest.mark.parametrize(
    ("before", "wanted", "words"),
    [
        (ContainerRequest(cpu_period_us=10_000), ContainerRequest(nano_cpus=10**9), "Nano CPUs .* CPU Period"),
        (ContainerRequest(cpu_quota_us=10_000), ContainerRequest(nano_cpus=10**9), "Nano CPUs .* CPU Quota"),
        (ContainerRequest(nano_cpus=10**9), ContainerRequest(cpu_period_us=10_000), "CPU Period .* NanoCPUs"),
        (ContainerRequest(nano_cpus=10**9), ContainerRequest(cpu_quota_us=10_000), "CPU Quota .* NanoCPUs"),
    ],
)
def test_two_ways_to_say_cpus_do_not_mix(before: ContainerRequest, wanted: ContainerRequest, words: str) -> None:
    with pytest.raises(ConflictError, match=words):
        updated(CONFIG, before, wanted)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ContainerRequest(memory_bytes=MEBIBYTE), "Minimum memory limit allowed is 6MB"),
        (ContainerRequest(cpu_shares=1), "shares must be between"),
        (ContainerRequest(cpuset_cpus="3-1"), "invalid list of CPUs"),
        (ContainerRequest(restart=RestartPolicy("always", 3)), "maximum retry count"),
    ],
)
def test_a_value_that_cannot_be_is_refused(wanted: ContainerRequest, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        updated(CONFIG, ContainerRequest(), wanted)


def test_limits_are_lifted() -> None:
    before = ContainerRequest(pids_limit=5, cpu_quota_us=20_000)
    wanted = ContainerRequest(pids_limit=-1, cpu_quota_us=-1)
    assert _updated(before, wanted) == Resources()


def test_the_policy_and_removal_at_the_end() -> None:
    policy = ContainerRequest(restart=RestartPolicy("on-failure", 3))
    assert updated(CONFIG, ContainerRequest(), policy).config.restart == RestartPolicy("on-failure", 3)
    removed = CONFIG._replace(auto_remove=True)
    with pytest.raises(ConflictError, match="because AutoRemove is enabled"):
        updated(removed, ContainerRequest(), policy)
    none = ContainerRequest(restart=RestartPolicy("no"))
    assert updated(removed, ContainerRequest(), none).config.restart == RestartPolicy()
