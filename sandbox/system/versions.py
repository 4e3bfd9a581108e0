"""Which version this is, of this program and of what it stands on."""

from __future__ import annotations

import os
import sys

from sandbox.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: the Engine API whose documents and semantics are followed, and the oldest of which nothing would be missed
API_VERSION = "1.45"
LEAST_API_VERSION = "1.24"
PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}


def architecture() -> str:
    """That of this machine, as images call it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def describe_version() -> dict[str, Any]:
    """The engine's document of `version`."""
    details = {
        "ApiVersion": API_VERSION,
        "Arch": architecture(),
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        # clients print it under this name: there is none
        "GoVersion": f"none (Python {PYTHON_VERSION})",
        "KernelVersion": os.uname().release,
        "MinAPIVersion": LEAST_API_VERSION,
        "Os": "linux",
        "PythonVersion": PYTHON_VERSION,
    }
    engine = {name: value for name, value in details.items() if name != "Experimental"}
    return {
        "Platform": {"Name": "sandbox"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        **engine,
        "Experimental": False,
    }
