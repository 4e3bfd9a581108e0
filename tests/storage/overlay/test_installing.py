"""What is to be typed where pyfuse3 is missing."""

from __future__ import annotations

import shlex
import subprocess
import sys

from storage.overlay.fuse.serving.installing import INSTALL


def test_pyfuse3_is_installed_by_its_own_name_into_this_environment() -> None:
    _system, _, pip = INSTALL.rpartition(" && ")
    words = shlex.split(pip)
    assert words[0] == sys.executable
    assert words[-1] == "pyfuse3"
    # the environment has pip, and pip these options: nothing is fetched
    subprocess.run([*words[:-1], "--help"], check=True, capture_output=True)
