"""`sandbox system dial-stdio`: the Engine API for clients that come by ssh."""

from __future__ import annotations

from sandbox.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def dial_stdio(invocation: Invocation) -> int:
    """Be a connection to the user's own server."""
    from sandbox.api.dialing import dial

    dial(invocation.context.for_operations())
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "system dial-stdio",
        "Connect standard input and output to the Engine API, as `docker -H ssh://` wants it",
        "",
        (),
        dial_stdio,
        most=0,
        examples=("sandbox system dial-stdio",),
        further=(
            "`docker -H ssh://USER@HOST ps` starts it there, by the `docker` of `sandbox api install-shim DIRECTORY`",
            "which programs work, and what is answered otherwise: docs/api.md",
        ),
    ),
)
