"""Whether and when a container that ended is started again; decides only, acts nowhere."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.values import RestartPolicy

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 60.0
#: a container that stayed up this long has proved itself: the next failure waits the first delay again
PROVEN_SECONDS = 10.0


class Ended(NamedTuple):
    """How a run of the container ended."""

    exit_code: int
    ran_seconds: float
    #: starts again so far, since the person started it
    restart_count: int
    stopped_by_user: bool
    last_delay_seconds: float = 0.0


def restart_delay(policy: RestartPolicy, ended: Ended) -> float | None:
    """Seconds to wait before the next start, or None to leave the container stopped."""
    if ended.stopped_by_user or policy.name == "no":
        return None
    if policy.name == "on-failure":
        if ended.exit_code == 0:
            return None
        if 0 < policy.maximum_retries <= ended.restart_count:
            return None
    if ended.last_delay_seconds == 0.0 or ended.ran_seconds >= PROVEN_SECONDS:
        return FIRST_DELAY_SECONDS
    return min(ended.last_delay_seconds * 2, LONGEST_DELAY_SECONDS)
