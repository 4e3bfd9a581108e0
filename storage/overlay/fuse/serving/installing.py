"""How pyfuse3 is had where it is not installed."""

from __future__ import annotations

import sys

#: by its own name, into the environment that runs this: what an index holds under the name of the product need not
#: be the product
INSTALL = (
    "sudo apt-get update && sudo apt-get install -y gcc pkg-config libfuse3-dev python3-dev && "
    f"{sys.executable} -m pip install pyfuse3"
)
