"""`--progress` and BUILDKIT_PROGRESS: who shows a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox.cli.flags import option
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.builder.progress.progress import Event
    from sandbox.cli.command import Invocation

_KINDS = ("auto", "none", "plain", "quiet", "rawjson", "tty")
OPTIONS = (option("--progress", "text", f"Set type of progress output ({', '.join(_KINDS)})", "string", "auto"),)


class Display(Protocol):
    """An EventSink with an end."""

    def __call__(self, event: Event, /) -> None: ...

    def close(self) -> None: ...


def choose_display(invocation: Invocation, *, on_output: bool = False) -> Display:
    """What `--progress` names, or else BUILDKIT_PROGRESS; `auto` is a live view on a terminal. It is shown on standard
    error, or on standard output. Raises UsageError.
    """
    context = invocation.context
    where = "--progress" if invocation.given("progress") else "BUILDKIT_PROGRESS"
    kind = invocation.text("progress") if invocation.given("progress") else context.env.get("BUILDKIT_PROGRESS")
    kind = "quiet" if invocation.flag("quiet") else kind or "auto"
    if kind not in _KINDS:
        raise UsageError(f"invalid progress mode {kind!r} in {where}", mend=f"--progress {'|'.join(_KINDS)}")
    stream = context.stdout if on_output else context.stderr
    is_terminal = stream.isatty() and context.env.get("TERM", "dumb") != "dumb"
    if kind == "tty" and not stream.isatty():
        name = "output" if on_output else "error"
        raise UsageError(f"--progress tty: standard {name} is not a terminal", mend="--progress plain")
    if kind == "rawjson":
        from sandbox.builder.progress.raw_progress import RawProgress

        return RawProgress(stream if on_output else None)
    if kind == "tty" or (kind == "auto" and is_terminal):
        from sandbox.builder.progress.live_progress import LiveProgress

        return LiveProgress(stream, colour=not context.env.get("NO_COLOR"))
    from sandbox.builder.progress.plain_progress import PlainProgress, QuietProgress

    if kind in ("quiet", "none"):
        return QuietProgress()
    return PlainProgress(stream if on_output else None)
