"""Completion in the shells themselves: what is typed and TAB is pressed after, as a person meets it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY
from tests.sandbox.cli.test_completion import filled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["filled"]
pytestmark = pytest.mark.slow

#: what is typed; what fish offers; and what stands on zsh's line once TAB has been pressed
TYPED = (
    ("sandbox imag", "image images", "sandbox image"),
    ("sandbox volume in", "inspect", "sandbox volume inspect "),
    ("sandbox stop we", "web", "sandbox stop web "),
    ("sandbox stop w", "web worker", "sandbox stop w"),
    ("sandbox run --netw", "--network --network-alias", "sandbox run --network"),
    ("sandbox run --network=ho", "--network=host", "sandbox run --network=host "),
    ("sandbox run --network ho", "host", "sandbox run --network host "),
    ("sandbox run --network=container:we", "--network=container:web", "sandbox run --network=container:web "),
    ("sandbox ps -f stat", "status=", "sandbox ps -f status="),
    ("sandbox ps -f name=ma", "name=made", "sandbox ps -f name=made "),
    ("sandbox rmi 127.0.0.1:5", "127.0.0.1:5000/app", "sandbox rmi 127.0.0.1:5000/app "),
    ("sandbox rmi team/app:", "team/app:2", "sandbox rmi team/app:2 "),
    ("sandbox run --restart on", "on-failure on-failure:", "sandbox run --restart on-failure"),
    ("sandbox run -v da", "data:", "sandbox run -v data:"),
    ("sandbox load -i progra", "programs/", "sandbox load -i programs/"),
)


@pytest.fixture
def env(filled: Path) -> dict[str, str]:
    """The home of `filled`, with a program `sandbox` and a file on the way."""
    programs = filled / "programs"
    programs.mkdir()
    (programs / "sandbox").write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m sandbox "$@"\n')
    (programs / "sandbox").chmod(0o755)
    kept = {name: os.environ[name] for name in ("XDG_RUNTIME_DIR",) if name in os.environ}
    return {
        **kept, "HOME": str(filled), "PATH": f"{programs}:/usr/bin:/bin", "TERM": "dumb", "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(filled / "config"),
    }  # fmt: skip


@pytest.mark.requires("fish")
def test_fish(env: dict[str, str]) -> None:
    installed = subprocess.run(
        ["sandbox", "--install-completion", "fish"], env=env, check=True, capture_output=True, text=True
    )
    assert "fish completion installed in" in installed.stderr
    # an alias is looked behind
    lines = [*(line for line, _words, _shown in TYPED), "dock stop we"]
    script = "\n".join(("alias dock sandbox", *(f"complete -C '{line}'; echo ." for line in lines)))
    done = subprocess.run(["fish", "-c", script], env=env, cwd=env["HOME"], check=True, capture_output=True, text=True)
    answers = done.stdout.split(".\n")[:-1]
    found = [{row.split("\t")[0] for row in answer.splitlines()} for answer in answers]
    wanted = [*(set(words.split()) for _line, words, _shown in TYPED), {"web"}]
    assert dict(zip(lines, found, strict=True)) == dict(zip(lines, wanted, strict=True))
    assert done.stderr == ""
    assert "web\tnginx, running\n" in done.stdout


class Zsh:
    """An interactive zsh on a terminal, for a line at a time."""

    def __init__(self, env: dict[str, str]) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 50, 200, 0, 0))
            os.chdir(env["HOME"])
            os.execvpe("zsh", ["zsh", "-i"], env)

    def complete(self, line: str) -> tuple[str, str]:
        """What stands on the line once it has been typed and TAB pressed, and what was shown until then."""
        os.write(self._fd, f"{line}\t\x14".encode())
        seen = b""
        while not (found := re.search(rb"<(.*?)>", seen)):
            ready, _, _ = select.select([self._fd], [], [], 60)
            assert ready, seen
            seen += os.read(self._fd, 4096)
        os.write(self._fd, b"\x15")
        return found[1].decode(), seen.decode()

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)


#: another key tells what stands on the line
_ZSHRC = """
unsetopt beep
alias dock=sandbox
tell() { zle -M "<$BUFFER>" }
zle -N tell
bindkey '^T' tell
"""


@pytest.fixture
def zsh(env: dict[str, str]) -> Iterator[Zsh]:
    subprocess.run(["sandbox", "--install-completion", "zsh"], env=env, check=True, capture_output=True)
    with open(f"{env['HOME']}/.zshrc", "a") as file:
        file.write(_ZSHRC)
    shell = Zsh(env)
    yield shell
    shell.close()


@pytest.mark.requires("zsh")
def test_zsh(zsh: Zsh) -> None:
    lines = {line: shown for line, _words, shown in TYPED} | {"dock stop we": "dock stop web "}
    found = {line: zsh.complete(line) for line in lines}
    assert {line: on_line for line, (on_line, _seen) in found.items()} == lines
    seen = found["sandbox stop w"][1]
    assert "web     -- nginx, running" in seen
    assert "worker  -- nginx, paused" in seen
