"""The last results of a container's health check, as a file: below its runtime directory while it runs, beside its log
when it has ended.

The database has the status alone, which changes seldom; a result comes every few seconds.
"""

from __future__ import annotations

import json

from sandbox.container.monitor.health_rules import Health, ProbeResult
from sandbox.record_copies import read_copy, write_copy

_NAME = "health.json"


def write_health(directory: str, health: Health) -> None:
    """Put it there in one step. What keeps it from being written is no failure of the container."""
    document = {"streak": health.failing_streak, "results": [list(result) for result in health.results]}
    write_copy(f"{directory}/{_NAME}", json.dumps(document) + "\n")


def read_health(status: str, *directories: str) -> Health:
    """The health of a container that has this status, with the results of the first directory that has some."""
    for directory in directories:
        document = read_copy(f"{directory}/{_NAME}")
        if document is not None:
            try:
                results = tuple(ProbeResult(*result) for result in document["results"])
                return Health(status, int(document["streak"]), results)
            except (KeyError, TypeError, ValueError):
                continue
    return Health(status)
