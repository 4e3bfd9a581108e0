"""Who answers a row: `sandbox`, by a process that has its modules imported and forks for each, or Debian's podman."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.tables import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.command import Sandbox

    Engine = Callable[[Sequence[str], str], Answer]

#: reads a row from each line of standard input, forks for it, and answers with its status
_SERVER = """
import json, os, sys
from sandbox.cli.lookup import find_command
from sandbox.cli.index import COMMANDS
from sandbox.cli import main
for path in COMMANDS:
    find_command(path)
for line in sys.stdin:
    row = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in enumerate(row["streams"]):
            os.dup2(os.open(name, os.O_RDWR), number)
        sys.argv = ["sandbox", *row["words"]]
        main.entry()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def sandbox_engine(sandbox: Sandbox) -> Iterator[Engine]:
    """The product, without the start of an interpreter for each row."""
    env = {**sandbox.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place,
        subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=env, cwd=sandbox.home.root,
        ) as server,
    ):  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None

        def answer(words: Sequence[str], stdin: str) -> Answer:
            assert server.stdin is not None
            assert server.stdout is not None
            streams = [Path(place, name) for name in ("in", "out", "err")]
            for path, text in zip(streams, (stdin, "", ""), strict=True):
                path.write_text(text)
            server.stdin.write(json.dumps({"words": words, "streams": [str(path) for path in streams]}) + "\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            return Answer(status, streams[1].read_text(), streams[2].read_text())

        yield answer
        server.stdin.close()


def podman_engine(env: Mapping[str, str], directory: Path) -> Engine:
    """Debian's podman, as `env` has its store, called from `directory`."""

    def answer(words: Sequence[str], stdin: str) -> Answer:
        done = subprocess.run(
            ["podman", *words], input=stdin, capture_output=True, text=True, env=env, cwd=directory, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return answer
