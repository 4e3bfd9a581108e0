"""A container's state in Docker's words, with the time that it has been so."""

from __future__ import annotations

from sandbox.humane import ago, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container


def status_text(container: Container, now_ns: int) -> str:
    """Docker's STATUS: "Up 2 hours", "Exited (0) 3 minutes ago", "Created", …"""
    state = container.state
    since_end = ago(state.finished_ns, now_ns)
    lost = f" (lost {state.lost_mount})" if state.lost_mount else ""
    match state.status:
        case "running":
            health = {"starting": " (health: starting)"}.get(state.health, f" ({state.health})" if state.health else "")
            return f"Up {human_duration((now_ns - state.started_ns) / 1e9)}{health}{lost}"
        case "paused":
            return f"Up {human_duration((now_ns - state.started_ns) / 1e9)} (Paused)"
        case "restarting":
            return f"Restarting ({state.exit_code}) {since_end}"
        case "exited":
            return f"Exited ({state.exit_code}) {since_end}{lost}"
        case "created":
            return "Created"
        case "removing":
            return "Removal In Progress"
        case "dead":
            return "Dead"
