"""`sandbox system reset` and `sandbox unshare`: what a person does to a store that nothing else helps."""

from __future__ import annotations

import sys

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.humane import human_size

_WARNING = """WARNING! This will remove:
  - all containers, those that run too
  - all images
  - all volumes, named ones too
  - all build cache
"""


def reset(invocation: Invocation) -> int:
    """Print what that freed."""
    # all of the store: for this command alone
    from sandbox.upkeep import operations

    context = invocation.context
    where = context.for_operations()
    if not invocation.flag("force"):
        held = operations.describe_contents(where)
        boot = operations.boot_place(where)
        context.stdout.write(_WARNING)
        context.stdout.write(f"  - the start of containers at boot: {boot}\n\n" if boot else "\n")
        context.stdout.write(f"In {where.paths.data_root}: {held or 'nothing is stored'}.\n")
        context.stdout.write("Are you sure you want to continue? [y/N] ")
        context.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    freed = operations.reset(where, context.note)
    context.print(f"Total reclaimed space: {human_size(freed)}")
    return 0


def unshare(invocation: Invocation) -> int:
    """The status of the command."""
    from sandbox.runtime.namespace_command import run_in_namespace

    env = invocation.context.env
    invocation.context.stdout.flush()
    return run_in_namespace(invocation.arguments or (env.get("SHELL") or "/bin/sh",), env)


COMMANDS: tuple[Command, ...] = (
    Command(
        "system reset",
        "Stop and remove everything: containers, images, volumes and build cache",
        "[OPTIONS]",
        (option("-f --force", "flag", "Do not prompt for confirmation"),),
        reset,
        most=0,
        examples=("sandbox system reset", "sandbox system reset -f"),
        further=(
            "it works without the database; the configuration file and log-ins stay, and so do other data roots",
            "containers of this store are not started at boot any more: sandbox system autostart enable does it again",
        ),
    ),
    Command(
        "system unshare",
        "Run a command, or a shell, as root of the user namespace that files of containers belong to",
        "[COMMAND [ARG...]]",
        (),
        unshare,
        interspersed=False,
        examples=(
            "sandbox unshare ls -l ~/.local/share/sandbox/volumes/data/_data",
            "sandbox unshare chown -R 0:0 ./made-by-a-container",
        ),
        further=("inside, root is you, and ids from 1 on are your subordinate ids, as containers have them",),
    ),
)
