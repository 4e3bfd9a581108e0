"""Whether containers that are to come back after a reboot do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.autostart.operations import candidates, status
from sandbox.doctor.check import Check, from_error, passed, wants_admin
from sandbox.errors import SandboxError
from sandbox.operation_context import OperationContext
from sandbox.runtime.id_maps import user_name

if TYPE_CHECKING:
    from sandbox.doctor.check import Machine

_MOST_NAMED = 3


def check_autostart(machine: Machine) -> Check:
    """Looks for containers with a restart policy, and for what would start them."""
    context = OperationContext(machine.paths, machine.env)
    try:
        # asking makes no database where there is none
        names = [each.name for each in candidates(context)] if os.path.exists(machine.paths.database) else []
        found = status(context)
    except SandboxError as error:
        return from_error("autostart", error, "warning")
    if found.works_at_boot:
        return passed("autostart", f"containers with a restart policy come back after a reboot, by {found.method}")
    if not names:
        return passed("autostart", "no container is to come back after a reboot")
    shown = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
    if found.method == "cron":
        detail, cause, mend = f"{shown}: not started at boot", "no cron daemon runs", "sudo service cron start"
    elif found.method:
        detail = f"{shown}: started at your first log-in, not at boot"
        mend = f"sudo loginctl enable-linger {user_name(machine.uid)}"
        cause = "your systemd manager starts with the first session unless lingering is on"
    else:
        detail = f"{shown}: not started after a reboot"
        mend, cause = "sandbox system autostart enable", "no daemon runs that would start them"
    return Check("autostart", "warning", detail, cause, mend, needs_admin=wants_admin(mend))
