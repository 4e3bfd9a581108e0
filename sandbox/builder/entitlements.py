"""What a RUN may ask for beyond a container's rights. A file asks; only who types the command grants it (`--allow`).

A right that was not granted is refused wherever the RUN comes from: the file, ONBUILD of a base, a step that is cached,
and the shell that `--debug-shell` opens in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.instructions import Run
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.dockerfile.instructions import Instruction

NETWORK_HOST = "network.host"

_NEVER = {
    "security.insecure": "a build gets no more rights than a container",
    "device": "a build gets no devices",
}


def read_entitlements(texts: Iterable[str], network: str) -> frozenset[str]:
    """What `--allow` grants; `--network host` grants it to the file too. Raises UsageError."""
    granted = {NETWORK_HOST} if network == "host" else set()
    for text in texts:
        reason = _NEVER.get(text.partition("=")[0])
        if reason is not None:
            raise UsageError(f"--allow {text} is refused", cause=reason)
        if text != NETWORK_HOST:
            raise UsageError(f"--allow {text}: no such entitlement", mend=f"--allow {NETWORK_HOST}")
        granted.add(text)
    return frozenset(granted)


def check_entitlements(instructions: Iterable[Instruction], granted: frozenset[str]) -> None:
    """Raises DockerfileError for the first RUN that asks for what was not granted."""
    for instruction in instructions:
        if isinstance(instruction, Run):
            _check_run(instruction, granted)


def _check_run(run: Run, granted: frozenset[str]) -> None:
    if run.security != "sandbox":
        raise run.node.error(f"RUN --security={run.security} is refused: {_NEVER['security.insecure']}")
    if run.devices:
        raise run.node.error(f"RUN --device is refused: {_NEVER['device']}")
    if run.network == "host" and NETWORK_HOST not in granted:
        raise run.node.error(
            f"RUN --network=host is refused: {NETWORK_HOST} was not granted, and it reaches all that this machine"
            " reaches, its own loopback too",
            mend=f"sandbox build --allow {NETWORK_HOST} … where you trust the file and its base images",
        )
