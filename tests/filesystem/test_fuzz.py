"""Random sequences of calls on our overlay beside the kernel's and a plain directory; random changes of one file."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.filesystem.fuzz import FuzzPlan, run_fuzz
from tests.filesystem.fuzz_file import FilePlan, run_file_fuzz
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    Plan = TypeVar("Plan", FuzzPlan, FilePlan)

pytestmark = pytest.mark.requires("subids", "overlay", "fuse")


def _run(function: Callable[[str, Plan], str], plan: Plan) -> str:
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        return call_in_namespace(function, place, plan)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_steps_do_what_they_do_in_a_plain_directory(seed: int) -> None:
    assert _run(run_fuzz, FuzzPlan(seed, 700, "plain")) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_steps_do_what_they_do_on_the_kernels_overlay(seed: int) -> None:
    assert _run(run_fuzz, FuzzPlan(seed, 700, "kernel", kernel_turns=True)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22])
def test_the_upper_directory_may_change_drivers(seed: int) -> None:
    assert _run(run_fuzz, FuzzPlan(seed, 1100, "plain", kernel_turns=True)) == ""


@pytest.mark.slow
def test_fuzzing_finds_what_is_wrong() -> None:
    """The kernel's overlay breaks hard links of lower layers when it copies up."""
    found = [_run(run_fuzz, FuzzPlan(seed, 700, "plain", "kernel")) for seed in (2, 4, 6, 8)]
    assert any(found)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 104))
@pytest.mark.parametrize(("oracle", "turns"), [("plain", False), ("plain", True), ("kernel", True)])
def test_ten_thousand_steps(seed: int, oracle: str, turns: bool) -> None:
    assert _run(run_fuzz, FuzzPlan(seed, 10_000, oracle, kernel_turns=turns)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("stand", ["plain", "kernel", "sandbox-overlay"])
def test_one_file(stand: str) -> None:
    assert _run(run_file_fuzz, FilePlan(1, 5_000, stand)) == ""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_one_file_for_long() -> None:
    assert _run(run_file_fuzz, FilePlan(2, 200_000)) == ""
