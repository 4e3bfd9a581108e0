"""When a container is started again, and after which delay."""

from __future__ import annotations

import pytest

from sandbox.container.monitor.restart_policy import LONGEST_DELAY_SECONDS, Ended, restart_delay
from sandbox.values import RestartPolicy


@pytest.mark.parametrize(
    ("policy", "ended", "restarts"),
    [
        (RestartPolicy(), Ended(1, 0, 0, False), False),
        (RestartPolicy("always"), Ended(0, 0, 9, False), True),
        (RestartPolicy("always"), Ended(0, 0, 0, True), False),
        (RestartPolicy("unless-stopped"), Ended(137, 0, 0, False), True),
        (RestartPolicy("unless-stopped"), Ended(137, 0, 0, True), False),
        (RestartPolicy("on-failure"), Ended(0, 0, 0, False), False),
        (RestartPolicy("on-failure"), Ended(1, 0, 1000, False), True),
        (RestartPolicy("on-failure", 2), Ended(1, 0, 1, False), True),
        (RestartPolicy("on-failure", 2), Ended(1, 0, 2, False), False),
    ],
)
def test_who_is_started_again(policy: RestartPolicy, ended: Ended, restarts: bool) -> None:
    assert (restart_delay(policy, ended) is not None) == restarts


def test_the_delay_doubles_to_a_minute_and_starts_anew_after_ten_good_seconds() -> None:
    always, delays, last = RestartPolicy("always"), [], 0.0
    for count in range(12):
        delay = restart_delay(always, Ended(1, 0.0, count, False, last))
        assert delay is not None
        delays.append(delay)
        last = delay
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY_SECONDS
    assert restart_delay(always, Ended(1, 10.0, 12, False, last)) == 0.1
