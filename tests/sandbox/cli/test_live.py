"""A listing that stays: over what a terminal shows, below it elsewhere, and only where something has changed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from sandbox import event_stream
from sandbox.caller_directory import CallerDirectory
from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.output.live import show_live
from sandbox.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "expected"),
    [
        (False, "one\n2\n\none\n4\n"),
        (
            True,
            "\x1b[2J\x1b[Hone\x1b[K\n2\x1b[K\n\x1b[J\x1b[Hone\x1b[K\n3\x1b[K\n\x1b[J\x1b[Hone\x1b[K\n4\x1b[K\n\x1b[J",
        ),
    ],
)
def test_it_is_printed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_terminal: bool, expected: str) -> None:
    def changes(*_: object) -> Iterator[None]:
        yield from (None, None, None)

    monkeypatch.setattr(event_stream, "watch_changes", changes)
    stream, found, printed = (
        _Stream(is_terminal=is_terminal),
        iter(["a", "a", "b"]),
        iter("234" if is_terminal else "24"),
    )
    env = {"HOME": str(tmp_path)}
    context = Context(env, CallerDirectory("/here"), stream, io.StringIO(), lambda: find_paths(env))

    def show(invocation: Invocation) -> int:
        # it quotes as if it wrote to the terminal itself
        assert invocation.context.stdout.isatty() == is_terminal
        invocation.context.print("one")
        invocation.context.print(next(printed))
        return 0

    invocation = Invocation(Command("x ps", "", "", (), show), context, {"watch": True, "quiet": True}, ())
    assert show_live(invocation.without("watch"), show, lambda: next(found)) == 0
    assert stream.getvalue() == expected
    assert invocation.without("watch").values == {"quiet": True}
