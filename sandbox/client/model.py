"""What a client's containers, images and volumes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.client.calls import Caller


class Model:
    """One thing that has an id. `attrs` is Docker's document of it, as of when it was looked up. Two of one kind with
    the same id are equal.
    """

    _ID_FIELD = "Id"

    def __init__(self, caller: Caller, attrs: dict[str, Any]) -> None:
        self._caller = caller
        self.attrs = attrs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.id == self.id

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.id))

    @property
    def id(self) -> str:
        return str(self.attrs[self._ID_FIELD])

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id."""
        return self.id[:12]
