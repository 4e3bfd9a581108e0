"""What is told of a project's run while it is on."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    State = Literal["working", "done", "warning", "error"]


class Progress(NamedTuple):
    """One thing of a project ("Container demo-web-1"), and what becomes of it ("Creating")."""

    subject: str
    text: str
    state: State = "working"


if TYPE_CHECKING:
    Tell = Callable[[Progress], None]
