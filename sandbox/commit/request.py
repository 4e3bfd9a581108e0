"""What is asked of `commit`."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.image.references import Reference


class CommitRequest(NamedTuple):
    """What to make of a container; `changes` are instructions of a Dockerfile."""

    name: Reference | None = None
    author: str = ""
    comment: str = ""
    changes: tuple[str, ...] = ()
    #: hold the container's processes while it is read; they go on also where the one who asks is killed
    pause: bool = True
