"""`sandbox system autostart`: containers with a restart policy brought back after a reboot."""

from __future__ import annotations

import os

from sandbox.cli.command import Command, Invocation, render_error
from sandbox.cli.flags import option
from sandbox.cli.own_command import own_command
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.autostart.operations import Autostart


def autostart(invocation: Invocation) -> int:
    """Do what the word says; `status` where none is given."""
    action = invocation.arguments[0] if invocation.arguments else "status"
    handler = _ACTIONS.get(action)
    if handler is None:
        raise UsageError(f"no such action: {action}", mend=f"one of: {', '.join(_ACTIONS)}")
    if action != "enable" and invocation.text("method"):
        raise UsageError("--method goes with enable alone", mend="sandbox system autostart enable --method cron")
    return handler(invocation)


def _enable(invocation: Invocation) -> int:
    from sandbox.autostart import operations

    where = invocation.context.for_operations()
    found = operations.enable(where, own_command(), invocation.text("method") or "")
    invocation.context.print(_said(found))
    _warn(invocation, found)
    if not operations.candidates(where):
        invocation.context.note("note: no container has a policy that it would be for: run --restart unless-stopped")
    return 0


def _disable(invocation: Invocation) -> int:
    from sandbox.autostart import operations

    removed = operations.disable(invocation.context.for_operations())
    invocation.context.print(f"Disabled: removed from {' and '.join(removed)}" if removed else "It was not enabled")
    return 0


def _status(invocation: Invocation) -> int:
    """1 where it is not enabled, as `systemctl is-enabled` has it."""
    from sandbox.autostart import operations

    context = invocation.context
    where = context.for_operations()
    found = operations.status(where, own_command())
    context.print(_said(found))
    names = [container.name for container in operations.candidates(where)]
    context.print(f"Containers: {', '.join(names) if names else 'none'}")
    _warn(invocation, found)
    return 0 if found.method else 1


def _run(invocation: Invocation) -> int:
    from sandbox.autostart import operations

    context, status = invocation.context, 0
    for name, error in operations.run(context.for_operations()):
        if error is None:
            context.print(name)
            context.stdout.flush()
        else:
            context.note(render_error(error))
            status = 1
    return status


_ACTIONS: dict[str, Callable[[Invocation], int]] = {
    "enable": _enable,
    "disable": _disable,
    "status": _status,
    "run": _run,
}


def _said(found: Autostart) -> str:
    if not found.method:
        return "Disabled: no container is started at boot"
    when = "" if found.works_at_boot or found.method == "cron" else ", at your first log-in"
    return f"Enabled: by {found.method}{when} ({found.place})"


def _warn(invocation: Invocation, found: Autostart) -> None:
    context = invocation.context
    if found.method and not found.is_current:
        context.note("WARNING: it calls another command, or another data root, than this one")
        context.note("  mend: sandbox system autostart enable")
    if not found.has_daemon:
        context.note("WARNING: no cron daemon runs on this machine now: nothing is started until one does")
        context.note("  mend: sudo service cron start")
    if found.method == "systemd" and not found.works_at_boot:
        from sandbox.runtime.id_maps import user_name

        context.note("WARNING: lingering is off: your containers start when you log in, and end when you log out")
        context.note(f"  mend: sudo loginctl enable-linger {user_name(os.getuid())}")


COMMANDS: tuple[Command, ...] = (
    Command(
        "system autostart",
        "Have containers with a restart policy started at boot",
        "[OPTIONS] [enable|disable|status|run]",
        (option("--method", "text", "Who starts them: 'systemd' or 'cron' (default systemd where it is)", "string"),),
        autostart,
        most=1,
        examples=(
            "sandbox system autostart enable",
            "sandbox system autostart enable --method cron",
            "sandbox system autostart",
            "sandbox system autostart disable",
        ),
        further=(
            "enable writes a unit of your systemd, or an entry of your crontab, and says whether that will do",
            "status, the default, says what is enabled and for which containers; it ends with 1 where nothing is",
            "run starts them now, as at boot: --restart always, and unless-stopped where nobody has stopped them",
        ),
    ),
)
