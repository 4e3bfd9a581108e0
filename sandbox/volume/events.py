"""What happens to volumes, as events."""

from __future__ import annotations

from sandbox.events import Event


def volume_event(action: str, name: str) -> Event:
    """What happens to the volume, as Docker tells it."""
    return Event("volume", action, name, {"driver": "local"})
