"""Staying awake for requests: only while it pays, and not against others who want the processor."""

from __future__ import annotations

from storage.overlay.fuse.serving.busy_wait import BusyWait

MICROSECOND = 1_000


class Machine:
    """A clock, and requests that come at given times."""

    def __init__(self) -> None:
        self.time = 1_000_000 * MICROSECOND
        self.due = 0
        self.yield_takes = 0
        self._yielded = False
        self.waiting = BusyWait(self.look, self.now)

    def look(self, _sleep_ms: int) -> list[tuple[int, int]]:
        self._yielded = self.time < self.due
        return [] if self._yielded else [(0, 1)]

    def now(self) -> int:
        self.time += MICROSECOND + (self.yield_takes if self._yielded else 0)
        self._yielded = False
        return self.time

    def request_after(self, microseconds: int) -> bool:
        """Whether the server was awake when the request came."""
        self.due = self.time + microseconds * MICROSECOND
        awake = bool(self.waiting.next())
        self.time = max(self.time, self.due)
        return awake


def test_at_first_it_sleeps() -> None:
    assert not Machine().request_after(0)


def test_quick_requests_keep_the_server_awake() -> None:
    machine = Machine()
    assert [machine.request_after(20) for _ in range(5)] == [False, False, True, True, True]


def test_slow_requests_let_it_sleep() -> None:
    machine = Machine()
    for _ in range(100):
        machine.request_after(20)
    awake = [machine.request_after(1000) for _ in range(50)]
    assert not any(awake)
    # it does not even try any more
    start = machine.time
    machine.request_after(1000)
    assert machine.time - start < 1010 * MICROSECOND


def test_quick_requests_after_slow_ones_wake_it_again() -> None:
    machine = Machine()
    for _ in range(50):
        machine.request_after(1000)
    assert [machine.request_after(20) for _ in range(12)][-1]


def _rest_ms(machine: Machine) -> int:
    """Milliseconds that quick requests find the server asleep after somebody else had the processor."""
    machine.yield_takes = 3000 * MICROSECOND
    machine.request_after(20)
    machine.yield_takes = 0
    start = machine.time
    while not machine.request_after(20):
        pass
    return (machine.time - start) // (1000 * MICROSECOND)


def test_a_client_on_the_same_processor_finds_it_asleep() -> None:
    machine = Machine()
    machine.yield_takes = 10 * MICROSECOND
    assert sum(machine.request_after(20) for _ in range(100)) < 10


def test_it_gives_way_to_who_else_wants_the_processor() -> None:
    machine = Machine()
    while not machine.request_after(20):
        pass
    assert [_rest_ms(machine) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 32, 32]
    for _ in range(40):
        machine.request_after(20)
    assert _rest_ms(machine) == 1
