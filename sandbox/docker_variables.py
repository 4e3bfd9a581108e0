"""Docker's variables that name another machine: nothing here follows them, and a person may count on them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: sockets of this machine, whose daemon is what `sandbox` stands for
LOCAL = ("unix://", "fd://")


def name_other_machine(env: Mapping[str, str]) -> str:
    """What to tell somebody whose variables name another machine; "" where they name this one, or none."""
    host, context = env.get("DOCKER_HOST", ""), env.get("DOCKER_CONTEXT", "")
    if host and not host.startswith(LOCAL):
        named = f"DOCKER_HOST={host}"
    elif not host and context not in ("", "default"):
        # as Docker has it: the host wins
        named = f"DOCKER_CONTEXT={context}"
    else:
        return ""
    from sandbox.redaction import redact

    return f"{redact(named)} is not used: what is shown and done here is on this machine"
