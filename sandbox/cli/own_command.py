"""How this program is called from anywhere: what a unit, a crontab or a script of ours begins with."""

from __future__ import annotations

import os
import sys


def own_command() -> tuple[str, ...]:
    """The words, of which the first is an absolute path."""
    path = os.path.abspath(sys.argv[0])
    if os.path.basename(path) != "__main__.py" and os.path.isfile(path) and os.access(path, os.X_OK):
        return (path,)
    return (sys.executable, "-m", "sandbox")
