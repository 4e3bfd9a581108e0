"""The driver `local`, which every volume has: its name, and the options that it takes."""

from __future__ import annotations

#: volumes are directories, and no driver makes others
DRIVER = "local"
