"""A project as a value: its services, and what they share."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.stack.model import Service
    from sandbox.stack.parts_model import Extensions, Texts
    from sandbox.stack.places import Place


class Pool(NamedTuple):
    """A range of addresses of a network."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Texts = ()
    extensions: Extensions = ()


class Ipam(NamedTuple):
    driver: str = ""
    config: tuple[Pool, ...] = ()
    options: Texts = ()
    extensions: Extensions = ()


class Network(NamedTuple):
    name: str = ""
    driver: str = ""
    driver_opts: Texts = ()
    ipam: Ipam = Ipam()
    external: bool = False
    internal: bool = False
    attachable: bool = False
    labels: Texts = ()
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    extensions: Extensions = ()


class NamedVolume(NamedTuple):
    name: str = ""
    driver: str = ""
    driver_opts: Texts = ()
    external: bool = False
    labels: Texts = ()
    extensions: Extensions = ()


class FileObject(NamedTuple):
    """A secret or a config of the project; `content` is a config's own."""

    name: str = ""
    file: str = ""
    environment: str = ""
    content: str = ""
    external: bool = False
    labels: Texts = ()
    driver: str = ""
    driver_opts: Texts = ()
    template_driver: str = ""
    extensions: Extensions = ()


class Model(NamedTuple):
    name: str = ""
    model: str = ""
    context_size: int = 0  # tokens, of several characters each
    runtime_flags: tuple[str, ...] = ()
    extensions: Extensions = ()


class File(NamedTuple):
    """What the files of a project say together, read and not yet completed."""

    name: str = ""
    version: str = ""
    services: Pairs[Service] = Pairs()
    networks: Pairs[Network] = Pairs()
    volumes: Pairs[NamedVolume] = Pairs()
    secrets: Pairs[FileObject] = Pairs()
    configs: Pairs[FileObject] = Pairs()
    models: Pairs[Model] = Pairs()
    extensions: Extensions = ()


class Project(NamedTuple):
    """A project that is whole: every name stands, every reference leads somewhere."""

    name: str
    services: Pairs[Service] = Pairs()
    networks: Pairs[Network] = Pairs()
    volumes: Pairs[NamedVolume] = Pairs()
    secrets: Pairs[FileObject] = Pairs()
    configs: Pairs[FileObject] = Pairs()
    models: Pairs[Model] = Pairs()
    extensions: Extensions = ()
    #: services that no profile asks for
    disabled: Pairs[Service] = Pairs()
    #: profiles that were asked for
    profiles: tuple[str, ...] = ()
    #: absolute paths, in the order in which they change each other
    files: tuple[str, ...] = ()
    working_directory: str = ""
    #: those that were named, as they were
    env_files: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    #: where a value was written, by its path: "services.web.ports[1]"
    places: Mapping[str, Place] = {}
    #: between the parts of a container's or an image's name: "_" with Compose's `--compatibility`
    separator: str = "-"
    #: whether limits that the machine cannot hold are left out
    best_effort: bool = False
    #: what a person should know of the files, which is no error
    notes: tuple[str, ...] = ()

    @property
    def all_services(self) -> Pairs[Service]:
        """Those that are off as well."""
        return Pairs.of((*self.services, *self.disabled))
