"""`python -m tests.integration.container.warm_program IMAGE`: a program whose threads start a container each.

At SIGTERM it cancels what is on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers

if TYPE_CHECKING:
    from sandbox.warm.workers import Call

REGISTRY = "tests.integration.container.warm_operations"


def finish(call: Call) -> None:
    try:
        call.result()
    except SandboxError as error:
        # a worker, or the process that prepares them, was killed; or this was cancelled
        os.write(2, f"{type(error).__name__}: {error.message}: {error.cause}\n".encode())


def main(image: str) -> None:
    words = ("run", "-d", "--network", "none", "-v", "/data", image, "sleep", "1000")
    calls: list[Call] = []

    def cancel(_number: int, _frame: object) -> None:
        for call in calls:
            call.cancel()

    signal.signal(signal.SIGTERM, cancel)
    with Workers(REGISTRY) as workers:
        calls += [workers.begin(Request("command", (words, Descriptor(1)))) for _ in range(3)]
        threads = [threading.Thread(target=finish, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
