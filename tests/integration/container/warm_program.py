"""`python -m tests.integration.container.warm_program IMAGE`: a program whose threads start a container each."""

from __future__ import annotations

import os
import sys
import threading

from sandbox.errors import SandboxError
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers

REGISTRY = "tests.integration.container.warm_operations"


def run(workers: Workers, image: str) -> None:
    words = ("run", "-d", "--network", "none", "-v", "/data", image, "sleep", "1000")
    try:
        workers.call(Request("command", (words, Descriptor(1))))
    except SandboxError as error:
        # a worker, or the process that prepares them, was killed
        os.write(2, f"{type(error).__name__}: {error.message}: {error.cause}\n".encode())


if __name__ == "__main__":
    with Workers(REGISTRY) as made:
        threads = [threading.Thread(target=run, args=(made, sys.argv[1])) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
