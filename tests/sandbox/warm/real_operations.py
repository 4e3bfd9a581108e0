"""The operations that there are, and one that shows when the prepared process is ready."""

from __future__ import annotations

from sandbox.warm import registry
from sandbox.warm.registry import Operation

OPERATIONS = {**registry.OPERATIONS, "echo": Operation("tests.sandbox.warm.operations", "echo")}
PRELOADED = registry.PRELOADED
