"""Where an operation works: all that it may know of who asks for it.

Operations print nothing and read no environment, no current directory and no standard stream of the process they run
in. What they need of such things comes in: here, and as descriptors in their arguments.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths


def silent_progress() -> Progress:
    """A progress that is told to nobody."""
    from sandbox.image.transfer.progress import QuietProgress  # where something is transferred only

    return QuietProgress()


class OperationContext(NamedTuple):
    """Paths and environment of who asks."""

    paths: Paths
    #: proxies, certificates, credentials of registries, the bus of a systemd
    env: Mapping[str, str]
    #: called where a transfer begins: many operations need none
    open_progress: Callable[[], Progress] = silent_progress
