"""What can be asked of the whole, for whoever asks: a command, a program. Values in, values out, as with containers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.operation_context import OperationContext
    from sandbox.system.information import Tried


def info(context: OperationContext, tried: Tried | None = None) -> dict[str, Any]:
    """Docker's document of `info`, with what `try_machine` has told, or else tried now. It never fails for what the
    machine lacks: that is among its warnings.
    """
    # the checks import the runtime and the network: only here
    from sandbox.system.information import describe_system

    return describe_system(context, tried)


def try_machine(context: OperationContext) -> Tried:
    """What the machine gives, by trying, for who asks `info` often."""
    from sandbox.system.information import try_machine as try_it

    return try_it(context)
