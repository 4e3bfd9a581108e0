"""What a client may ask of a monitor: one function for each type of message, in a table.

Each gets the client's wishes, the desk and the message; KeyError, TypeError, ValueError and OverflowError mean that a
field makes no sense, a SandboxError that it cannot be done. To add one: a function, and a line in `VERBS`; in
`LATE_VERBS`, where the answer must wait.
"""

from __future__ import annotations

from sandbox.protocol.frames import STDERR, STDOUT
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.container.monitor.roles import Answer, Desk

    Message = dict[str, Any]  # Any: JSON

#: of `stop --time`, which counts in 64 bits
_LONGEST_TIMEOUT_SECONDS = 1 << 63


class Wishes:
    """What one client wants to be sent, and whether its input is the container's."""

    def __init__(self) -> None:
        self.streams: frozenset[int] = frozenset()
        self.gives_input = False
        self.waits_for_exit = False
        self.follows_log = False


def attach(wishes: Wishes, desk: Desk, message: Message) -> None:
    """{stdin, stdout, stderr}: take input from the client, send it those streams and the exit code."""
    join(wishes, message)
    desk.tell("attach")


def join(wishes: Wishes, message: Message) -> None:
    """What `attach` does for the client itself."""
    wishes.streams = frozenset(kind for kind, key in ((STDOUT, "stdout"), (STDERR, "stderr")) if message.get(key))
    wishes.gives_input = bool(message.get("stdin"))
    wishes.waits_for_exit = True


def detach(wishes: Wishes, desk: Desk, _message: Message) -> None:
    """Send the client nothing more; the container's input stays open."""
    wishes.gives_input = False
    wishes.streams = frozenset()
    wishes.waits_for_exit = False
    desk.end_input(detached=True)
    desk.tell("detach")


def wait(wishes: Wishes, _desk: Desk, _message: Message) -> None:
    """Send the exit code when the run has ended."""
    wishes.waits_for_exit = True


def follow(wishes: Wishes, _desk: Desk, _message: Message) -> None:
    """Tell whenever the log has grown."""
    wishes.follows_log = True


def send_signal(_wishes: Wishes, desk: Desk, message: Message) -> None:
    """{signal}: send it to the container's first process."""
    desk.send_signal(int(message["signal"]))


def stop(wishes: Wishes, desk: Desk, message: Message) -> None:
    """{signal, timeout, to_remove}: stop the container for good, and send the exit code."""
    wishes.waits_for_exit = True
    to_remove = bool(message.get("to_remove"))
    desk.request_stop(int(message["signal"]), _seconds(message.get("timeout")), to_remove=to_remove)


def pause(desk: Desk, _message: Message, answer: Answer) -> None:
    """Hold all processes of the container."""
    desk.pause(answer)


def unpause(desk: Desk, _message: Message, answer: Answer) -> None:
    """Let them go on."""
    desk.unpause(answer)


def probe(desk: Desk, _message: Message, answer: Answer) -> None:
    """Run the container's health check now."""
    desk.probe(answer)


def publish(desk: Desk, message: Message, answer: Answer) -> None:
    """{ports}: bind them, or none, and keep them."""
    desk.publish(_ports(message), answer)


def unpublish(desk: Desk, message: Message, answer: Answer) -> None:
    """{ports}: close them, and forget them; they are as they are bound."""
    desk.unpublish(_ports(message), answer)


def bind(desk: Desk, message: Message, answer: Answer) -> None:
    """{ports}: bind those that are not bound, or none; that they are to be published is kept already."""
    desk.bind(_ports(message), answer)


def unbind(desk: Desk, _message: Message, answer: Answer) -> None:
    """Close all ports, which stay to be published."""
    desk.unbind(answer)


def change_networks(desk: Desk, _message: Message, answer: Answer) -> None:
    """Have the container on those networks that the records say."""
    desk.change_networks(answer)


def withdraw(desk: Desk, _message: Message, answer: Answer) -> None:
    """Have the names of its service not lead to the container any more: it is about to be stopped."""
    desk.withdraw(answer)


def _ports(message: Message) -> tuple[PublishedPort, ...]:
    return tuple(PublishedPort(*port) for port in message["ports"])


#: those that take their time: the client is answered when it is done
LATE_VERBS: dict[str, Callable[[Desk, Message, Answer], None]] = {
    "pause": pause,
    "unpause": unpause,
    "probe": probe,
    "publish": publish,
    "unpublish": unpublish,
    "bind": bind,
    "unbind": unbind,
    "networks": change_networks,
    "withdraw": withdraw,
}

VERBS: dict[str, Callable[[Wishes, Desk, Message], None]] = {
    "attach": attach,
    "detach": detach,
    "wait": wait,
    "follow": follow,
    "signal": send_signal,
    "stop": stop,
}


def _seconds(timeout: object) -> float | None:
    """A time to wait, None for ever. Raises ValueError for what is none, NaN and infinity among it."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or not 0 <= timeout <= _LONGEST_TIMEOUT_SECONDS:
        raise ValueError(f"timeout {timeout!r}")
    return float(timeout)
