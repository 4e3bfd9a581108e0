"""Files of a project that lie elsewhere: `oci://REPOSITORY`, wherever a file may be named. Who loads the project brings
them here; nothing is known of registries in this room.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: the absolute path of the file that a name stands for
    Fetch = Callable[[str], str]

OCI = "oci://"


def is_remote(path: str) -> bool:
    """Whether the file is to be brought from elsewhere."""
    return path.startswith(OCI)
