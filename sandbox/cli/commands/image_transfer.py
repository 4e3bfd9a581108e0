"""`pull`, `load`, `save`, `import`: images coming and going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.cli.flags import option

if TYPE_CHECKING:
    from sandbox.cli.command import Context, Invocation
    from sandbox.image.progress import Progress

PLATFORM = option("--platform", "text", "Platform of a multi-platform image", "os/arch")


def pull(invocation: Invocation) -> int:
    """Print what `docker pull` prints."""
    from sandbox.image.pull import pull_all_tags, pull_image

    context = invocation.context
    (text,) = invocation.arguments
    quiet = invocation.flag("quiet")
    progress = choose_progress(context, quiet=quiet)
    where = (context.find_paths(), context.env, text, invocation.text("platform"), progress)
    try:
        pulled = pull_all_tags(*where) if invocation.flag("all-tags") else (pull_image(*where),)
    finally:
        progress.close()
    for one in pulled:
        context.print(str(one.reference))
    return 0


def choose_progress(context: Context, *, quiet: bool) -> Progress:
    """Bars where standard error is a terminal, else lines; nothing when quiet."""
    from sandbox.image.progress import PlainProgress, QuietProgress, TerminalProgress

    if quiet:
        return QuietProgress()
    if context.stderr.isatty() and context.env.get("TERM", "dumb") != "dumb":
        return TerminalProgress(context.stdout.write)
    return PlainProgress(context.stdout.write)


COMMANDS = (
    Command(
        "image pull",
        "Download an image from a registry",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        (
            option("-a --all-tags", "flag", "Download all tagged images in the repository"),
            PLATFORM,
            option("-q --quiet", "flag", "Suppress verbose output"),
        ),
        pull,
        least=1,
        most=1,
        examples=("sandbox pull alpine", "sandbox pull --platform linux/arm64 127.0.0.1:5000/web"),
    ),
)
