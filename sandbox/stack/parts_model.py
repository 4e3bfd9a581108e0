"""Values that a service, its build and its deployment share: granted files, limits, devices."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.measures import Mode, Pairs

    Extensions = Pairs[object] | tuple[()]
    Variables = Pairs[str | None] | tuple[()]
    Texts = Pairs[str] | tuple[()]


class FileGrant(NamedTuple):
    """A secret or a config as a service has it."""

    source: str = ""
    target: str = ""
    uid: str = ""
    gid: str = ""
    #: permission bits
    mode: Mode | None = None
    extensions: Extensions = ()


class DeviceRequest(NamedTuple):
    """Devices of a driver; `count` -1 is all there are."""

    capabilities: tuple[str, ...] = ()
    driver: str = ""
    count: int = 0  # type: ignore[assignment]  # a tuple has a method of this name, which nobody calls
    device_ids: tuple[str, ...] = ()
    options: Texts = ()
    extensions: Extensions = ()


class Ulimit(NamedTuple):
    """Either `single`, or both of the others."""

    single: int = 0
    soft: int = 0
    hard: int = 0
    extensions: Extensions = ()

    def printed(self) -> object:
        """As `config` has it."""
        return self.single if self.single else {"soft": self.soft, "hard": self.hard}
