"""`--debug-shell`, typed into through a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from tests.leaks import wait_processes_gone
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.integration.builder.conftest import Builder

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox", "umoci"), pytest.mark.slow]

_FILE = "FROM busybox\nENV A=seen\nWORKDIR /work\nRUN echo kept > before\nRUN echo lost > after && exit 3\n"


def _debug(builder: Builder, files: dict[str, str | bytes], typed: str, *options: str) -> str:
    """Build with the shell, type into it; all that the terminal showed. It has its settings back afterwards."""
    context = builder.context(files)
    main, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        builder.sandbox.words("build", "--debug-shell", "-t", "made", *options, context),
        env=builder.sandbox.env | {"TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        cwd=builder.sandbox.home.root,
    )
    os.write(main, typed.encode() + b"\n")
    seen = _read_until_end(main, process.pid)
    status = process.wait()
    assert termios.tcgetattr(terminal) == settings
    os.close(terminal)
    os.close(main)
    assert status == 1, seen
    return seen.replace("\r", "")


def _read_until_end(main: int, pid: int) -> str:
    seen, pidfd = b"", os.pidfd_open(pid)
    try:
        while True:
            ready, _writable, _other = select.select([main, pidfd], [], [])
            if main in ready:
                seen += os.read(main, 1 << 16)
            elif pidfd in ready:
                return seen.decode()
    finally:
        os.close(pidfd)


def test_a_shell_before_the_failed_step(builder: Builder) -> None:
    before = set(builder.sandbox.run("images", "-aq").lines)
    seen = _debug(builder, {"Dockerfile": _FILE}, 'echo "<$A $PWD $(ls) $(cat before)>"; touch shells; exit 9')
    assert "exit code: 3" in seen
    assert seen.count("exit code: 3") == 1
    assert "<seen /work before kept>" in seen
    assert set(builder.sandbox.run("images", "-aq").lines) == before
    # what was done in it is in no layer, and the step is not taken for made
    failed = builder.build({"Dockerfile": _FILE.replace("exit 3", "ls && exit 3")}, status=1)
    assert "shells" not in failed.stderr


def test_it_has_what_the_failed_step_had(builder: Builder) -> None:
    (builder.sandbox.home.root / "key").write_text("secret text")
    file = (
        "FROM busybox AS other\nRUN echo other > /file\n"
        "FROM busybox\nARG GIVEN=default\nARG UNSET\nUSER 1000:2000\nWORKDIR /work\n"
        "RUN --network=none --mount=type=secret,id=key,uid=1000 --mount=type=secret,id=key,env=KEY "
        "--mount=from=other,source=/file,target=/mnt/file --mount=target=/mnt/context --mount=type=tmpfs,target=/mnt/t "
        "--mount=type=cache,target=/mnt/cache,uid=1000 exit 7\n"
    )
    typed = (
        'echo "<$GIVEN $(id -u):$(id -g) $PWD $(cat /run/secrets/key) $KEY $(cat /mnt/file) $(ls /mnt/context)>"; '
        'echo "<$(grep -c /mnt/t /proc/mounts) $(ls /sys/class/net) $TERM>"; echo 1 > /mnt/cache/x; exit'
    )
    options = ("--build-arg", "GIVEN=arg", "--secret", "id=key,src=key")
    seen = _debug(builder, {"Dockerfile": file}, typed, *options)
    assert "<arg 1000:2000 /work secret text secret text other Dockerfile>" in seen
    assert "<1 lo xterm>" in seen
    # its own cache: what was found out there is there for the next try
    builder.build({"Dockerfile": file.replace("exit 7", "cat /mnt/cache/x")}, *options)


def test_a_script_is_there_to_be_tried(builder: Builder) -> None:
    file = "FROM busybox\nRUN <<EOF\n#!/bin/sh\necho tried\nexit 4\nEOF\n"
    seen = _debug(builder, {"Dockerfile": file}, "/dev/pipes/EOF; echo $?; exit")
    assert seen.count("tried\n4") == 1


def test_a_failed_copy(builder: Builder) -> None:
    file = "FROM busybox\nARG A=1\nRUN echo before > /f\nCOPY missing /\n"
    seen = _debug(builder, {"Dockerfile": file}, 'echo "<$A $(cat /f)>"; exit')
    assert "not found" in seen
    assert "<1 before>" in seen


def test_no_shell_with_a_network_that_was_not_granted(builder: Builder) -> None:
    file = "FROM busybox\nONBUILD RUN --network=host true\n"
    builder.sandbox.run("build", "-t", "asking", "-", input=file)
    for text in (file.replace("ONBUILD ", ""), "FROM asking\n"):
        seen = _debug(builder, {"Dockerfile": text}, "echo ty''ped; exit")
        assert "network.host was not granted" in seen
        assert "typed" not in seen


def test_no_shell_where_there_is_none(builder: Builder) -> None:
    seen = _debug(builder, {"Dockerfile": 'FROM scratch\nRUN ["/none"]\n'}, "")
    assert "/bin/sh" in seen
    seen = _debug(builder, {"Dockerfile": "FROM busybox\nRUN --mount=type=secret,required=true,id=k true\n"}, "exit")
    assert seen.count("secret k: not found") == 1


def test_the_end_of_the_command_is_the_end_of_the_shell(builder: Builder) -> None:
    context = builder.context({"Dockerfile": _FILE})
    main, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        builder.sandbox.words("build", "--debug-shell", context), env=builder.sandbox.env | {"TERM": "xterm"},
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    try:
        os.write(main, b"echo the-$((1 + 1))-nd\n")
        seen = b""
        while b"the-2-nd" not in seen:
            seen += os.read(main, 1 << 16)
        assert termios.tcgetattr(terminal) != settings
        process.terminate()
        process.wait()
        assert wait_processes_gone(str(builder.sandbox.home.root)) == []
        assert termios.tcgetattr(terminal) == settings
    finally:
        os.close(main)
        os.close(terminal)


def test_it_needs_a_terminal(builder: Builder) -> None:
    failed = builder.build({"Dockerfile": _FILE}, "--debug-shell", status=125)
    assert "--debug-shell needs a terminal" in failed.stderr
