"""An interrupt that a nursery has made a group of."""

from __future__ import annotations

import pytest
import trio

from sandbox.compose.interrupts import run_interruptible


async def _fail(error: BaseException) -> None:
    raise error


async def _in_nurseries(*errors: BaseException) -> None:
    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        for error in errors:
            outer.start_soon(_fail, error)
            inner.start_soon(_fail, error)


def test_an_interrupt_comes_out_of_nurseries_as_one() -> None:
    async def run() -> None:
        await _in_nurseries(KeyboardInterrupt(), ValueError())

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(run)


def test_other_groups_stay_what_they_are() -> None:
    async def run() -> None:
        await _in_nurseries(ValueError())

    with pytest.raises(BaseExceptionGroup) as raised:
        run_interruptible(run)
    assert raised.value.subgroup(KeyboardInterrupt) is None


def test_the_value_comes_back() -> None:
    async def run() -> int:
        return 3

    assert run_interruptible(run) == 3
