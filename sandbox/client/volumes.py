"""A client's volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client.filter_texts import filter_texts
from sandbox.client.model import Model
from sandbox.volume.operations import VolumeRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.client.calls import Caller


class Volume(Model):
    """One volume. `attrs` is Docker's document of it, as of when it was looked up."""

    #: a volume has no other id
    _ID_FIELD = "Name"

    def __repr__(self) -> str:
        return f"<Volume: {self.name}>"

    @property
    def name(self) -> str:
        return self.id

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.attrs["Labels"] or {})

    def reload(self) -> None:
        """Look `attrs` up anew. Raises NotFound."""
        self.attrs = self._caller.call("volume.inspect", self.name)

    def remove(self, force: bool = False) -> None:
        """Remove the volume with its data. Raises Conflict where a container mounts it, NotFound unless `force`."""
        self._caller.call("volume.remove", self.name, force=force)


class VolumeCollection:
    """The volumes of a client: `client.volumes`."""

    def __init__(self, caller: Caller, created: Callable[[Volume], None]) -> None:
        self._caller = caller
        self._created = created

    def create(
        self,
        name: str | None = None,
        *,
        driver: str = "local",
        driver_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or find the one that has the name; `driver_opts` are of `sandbox volume create -o`. Raises
        InvalidArgument, NotSupported.
        """
        options, marks = tuple((driver_opts or {}).items()), tuple((labels or {}).items())
        made = self.get(self._caller.call("volume.create", VolumeRequest(name or "", marks, driver, options)).name)
        self._created(made)
        return made

    def get(self, volume_id: str) -> Volume:
        """The volume of a name. Raises NotFound."""
        return Volume(self._caller, self._caller.call("volume.inspect", volume_id))

    def list(self, filters: Mapping[str, object] | None = None) -> list[Volume]:
        """The volumes that pass the filters (dangling, driver, label, name), by name. Raises InvalidArgument."""
        return [self.get(name) for name in self._caller.call("volume.names", filter_texts(filters))]

    def prune(self, filters: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove the volumes that no container mounts and that pass the filters (all, label, label!), without "all" the
        unnamed ones alone: "VolumesDeleted", "SpaceReclaimed" (bytes). Raises InvalidArgument.
        """
        names, freed_bytes = self._caller.call("volume.prune", filter_texts(filters))
        return {"VolumesDeleted": list(names), "SpaceReclaimed": freed_bytes}
