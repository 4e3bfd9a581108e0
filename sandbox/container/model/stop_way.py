"""How a container is stopped where nobody says otherwise: with which signal, and how long it may take."""

from __future__ import annotations

import signal

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig

DEFAULT_WAIT_SECONDS = 10


class WayToStop(NamedTuple):
    """A signal, and after so many seconds SIGKILL; None is never."""

    signal_number: int
    wait_seconds: int | None


def way_to_stop(config: ContainerConfig) -> WayToStop:
    """What `--stop-signal`, `--stop-timeout` and the image say, else Docker's SIGTERM and ten seconds."""
    said = config.stop_timeout_seconds
    return WayToStop(_stop_signal(config.stop_signal), wait_seconds(DEFAULT_WAIT_SECONDS if said is None else said))


def ends_restarts(config: ContainerConfig, signal_number: int) -> bool:
    """Whether who sends this signal does not want the container back: Docker's ExitOnNext.

    SIGKILL and the stop signal that was configured end restarts; where none was, every signal does.
    """
    return (
        signal_number == signal.SIGKILL or not config.stop_signal or signal_number == _stop_signal(config.stop_signal)
    )


def is_order_to_stop(config: ContainerConfig, signal_number: int) -> bool:
    """Whether this signal is how the container is stopped by hand: it is not started at boot then."""
    return signal_number in (signal.SIGKILL, _stop_signal(config.stop_signal))


def wait_seconds(said: int) -> int | None:
    """Docker's numbers: below 0 is for ever."""
    return None if said < 0 else said


def _stop_signal(text: str) -> int:
    if not text:
        return int(signal.SIGTERM)
    from sandbox.grammar.signals import parse_signal

    try:
        return parse_signal(text)
    except UsageError:
        # what --stop-signal says was checked; an image may say anything, and is stopped all the same, as by Docker
        return int(signal.SIGTERM)
