"""Whether this machine can execute the programs of an image that was made for another platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from net.programs import install_command
from sandbox.builder.sources.copy_sources import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.image.platforms import Platform

_BINFMT = "/proc/sys/fs/binfmt_misc"
#: what processors execute beside their own
_COMPATIBLE = frozenset({("amd64", "386"), ("arm64", "arm")})
#: how QEMU's user-mode emulators, and their entries in binfmt_misc, call an architecture
_EMULATED = {
    "amd64": "x86_64", "386": "i386", "arm64": "aarch64", "arm": "arm", "ppc64le": "ppc64le", "s390x": "s390x",
    "riscv64": "riscv64", "mips64le": "mips64el", "loong64": "loongarch64",
}  # fmt: skip


def check_runnable(document: Mapping[str, Any], native: Platform, binfmt: str = _BINFMT) -> None:
    """Raises StepError where a RUN over this image could not be executed here."""
    system, architecture = str(document.get("os") or native.os), str(document.get("architecture") or "")
    if not architecture or architecture == native.architecture:
        return
    if system == native.os and ((native.architecture, architecture) in _COMPATIBLE or _emulates(architecture, binfmt)):
        return
    raise StepError(
        f"cannot execute programs for {system}/{architecture} on this machine, which is {native}",
        cause=f"{binfmt} has no enabled entry for {architecture}",
        mend=f"{install_command('qemu-user-static binfmt-support')}, or FROM --platform=$BUILDPLATFORM for this stage",
    )


def _emulates(architecture: str, binfmt: str) -> bool:
    entry = f"{binfmt}/qemu-{_EMULATED.get(architecture, architecture)}"
    try:
        with open(entry) as file:
            return file.readline().strip() == "enabled"
    except OSError:
        return False
