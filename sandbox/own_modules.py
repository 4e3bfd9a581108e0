"""Where an interpreter that is started for us finds our modules: by itself it looks at nothing of its caller's."""

from __future__ import annotations

import os
import sys

from sandbox.version import __file__ as own_file


def module_places() -> list[str]:
    """What this process has as `sys.path`, and where it has this package from, by whatever finder."""
    places = [path for path in sys.path if path.startswith("/")]
    own = os.path.dirname(os.path.dirname(os.path.abspath(own_file)))
    return places if own in places else [own, *places]
