"""What can go wrong with a call besides what the operation itself raises."""

from __future__ import annotations

import signal

from sandbox.errors import SandboxError


class PreparedProcessError(SandboxError):
    """The prepared process could not be started, or died while the call was on."""


class WorkerDiedError(SandboxError):
    """The worker ended without a result. `exit_code` is its exit status, below 0 the signal that ended it."""

    def __init__(self, message: str, *, cause: str = "", mend: str = "", code: str = "", exit_code: int = 0) -> None:
        super().__init__(message, cause=cause, mend=mend, code=code)
        self.exit_code = exit_code


class OperationCancelledError(SandboxError):
    """The owner cancelled the call, and the worker ended before it had a result."""


class OperationFaultError(SandboxError):
    """A fault of ours in the operation. Its traceback, as the worker had it, is a note of this error."""


def died(operation: str, exit_code: int) -> WorkerDiedError:
    """The error for a worker that ended by itself without a result."""
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = str(-exit_code)
        cause = f"it was ended by signal {name}"
    else:
        cause = f"it exited with status {exit_code}"
    return WorkerDiedError(f"the process that was to do {operation} died", cause=cause, exit_code=exit_code)
