"""`--debug-shell`, typed into through a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.integration.build.conftest import Builder

pytestmark = pytest.mark.requires(*CONTAINER, "busybox", "umoci")

_FILE = "FROM busybox\nENV A=seen\nWORKDIR /work\nRUN echo kept > before\nRUN echo lost > after && exit 3\n"


def test_a_shell_before_the_failed_step(builder: Builder) -> None:
    context = builder.context({"Dockerfile": _FILE})
    before = set(builder.sandbox.run("images", "-aq").lines)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        builder.sandbox.words("build", "--debug-shell", "-t", "made", context),
        env=builder.sandbox.env | {"TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    os.write(main, b'echo "<$A $PWD $(ls) $(cat before)>"; exit 9\n')
    seen = b""
    try:
        while data := os.read(main, 1 << 16):
            seen += data
    except OSError:
        pass  # the terminal's last user has gone: EIO
    finally:
        os.close(main)
    assert process.wait(60) == 1
    assert b"exit code: 3" in seen
    assert b"<seen /work before kept>" in seen
    assert set(builder.sandbox.run("images", "-aq").lines) == before


def test_it_needs_a_terminal(builder: Builder) -> None:
    failed = builder.build({"Dockerfile": _FILE}, "--debug-shell", status=125)
    assert "--debug-shell needs a terminal" in failed.stderr
