"""What a worker can be asked to do. A request names an operation of this table, and never a module or a function.

An operation is a function of values that returns a value and raises errors of ours (`values` has what a value is). It
prints nothing, and what it needs of its caller are its arguments; a descriptor comes as `Descriptor`. Where it gives an
iterator each item is told as progress, and the result is None. To offer one, add a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


#: a shell's status for what SIGINT ended; that of a worker whose call was cancelled
INTERRUPTED_STATUS = 130


class Operation(NamedTuple):
    """Where an operation is found."""

    module: str
    function: str
    #: the keyword by which it takes a function to tell its progress to, one value at a time; "" where it has none
    reports: str = ""
    #: goes on for as long as a container or a person likes: not one of the few that may be on at once
    lasts: bool = False


OPERATIONS: Mapping[str, Operation] = {}

#: what the prepared process imports besides the modules of the operations: what these import as they go, and nothing
#: that a monitor, which is forked from a worker, must not carry for weeks
PRELOADED: tuple[str, ...] = (
    "sandbox.container.monitor.process",
    "sandbox.state",
)
