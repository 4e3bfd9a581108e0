"""`commit`: an image made of a container."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def commit(invocation: Invocation) -> int:
    """Print the new image's id."""
    from sandbox.commit.operations import commit as commit_container
    from sandbox.commit.request import CommitRequest
    from sandbox.image.references import parse_reference

    word, *name = invocation.arguments
    request = CommitRequest(
        parse_reference(name[0]) if name and name[0] else None,
        invocation.text("author") or "",
        invocation.text("message") or "",
        invocation.texts("change"),
        invocation.flag("pause") and not invocation.flag("no-pause"),
    )
    invocation.context.print(commit_container(invocation.context.for_operations(), word, request))
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "container commit",
        "Create a new image from a container's changes",
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        (
            option("-a --author", "text", 'Author (e.g., "Jane Doe <jane@example.com>")', "string"),
            option("-c --change", "list", "Apply Dockerfile instruction to the created image", "list"),
            option("-m --message", "text", "Commit message", "string"),
            option("-p --pause", "flag", "Pause container during commit", default=True),
            option("--no-pause", "flag", "Don't pause container during commit"),
        ),
        commit,
        least=1,
        most=2,
        examples=(
            "sandbox commit web web:mended",
            "sandbox commit -m 'with curl' -c 'CMD [\"curl\", \"--version\"]' -c 'ENV LANG=C.UTF-8' box tools:curl",
        ),
        further=("volumes and other mounts are no part of the image, as in Docker",),
    ),
)
