"""Which containers come back after a reboot, and in which order. Pure.

`always` and `unless-stopped`, as Docker documents it for the start of its daemon: the one also where a person has
stopped it, the other not then. `on-failure` is about the container's own failures. What was never started
stays as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container


def comes_back(container: Container) -> bool:
    """Whether the container, which does not run, is started at boot."""
    state, policy = container.state, container.config.restart.name
    if not state.started_ns or state.status in ("removing", "dead"):
        return False
    return policy == "always" or (policy == "unless-stopped" and not state.stopped_by_user)


def in_order(containers: Sequence[Container]) -> list[Container]:
    """The oldest first, and each that shares a namespace of another after that one."""
    waiting = sorted(containers, key=lambda container: container.created_ns)
    placed: list[Container] = []
    while waiting:
        ready = [each for each in waiting if not any(_is_named(other, each) for other in waiting)] or waiting
        placed += ready
        waiting = [each for each in waiting if each not in ready]
    return placed


def _is_named(other: Container, container: Container) -> bool:
    config = container.config
    words = [
        mode.removeprefix("container:")
        for mode in (config.network, config.pid_mode, config.ipc_mode)
        if mode.startswith("container:")
    ]
    return other is not container and any(word and (other.name == word or other.id.startswith(word)) for word in words)
