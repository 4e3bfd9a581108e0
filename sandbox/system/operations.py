"""What can be asked of the whole, for whoever asks: a command, a program. Values in, values out, as with containers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.operation_context import OperationContext


def info(context: OperationContext) -> dict[str, Any]:
    """Docker's document of `info`. It never fails for what the machine lacks: that is among its warnings."""
    # the checks import the runtime and the network: only here
    from sandbox.system.information import describe_system

    return describe_system(context)
