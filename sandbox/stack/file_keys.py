"""The keys of a file's top level: networks, volumes, secrets, configs and models."""

from __future__ import annotations

from sandbox.stack import project
from sandbox.stack.errors import problem
from sandbox.stack.nodes import Mapping, Scalar
from sandbox.stack.reading import Reading, is_resource_name, text
from sandbox.stack.scalar_readers import boolean, host_path, integer, labels, scalar_text, text_or_number
from sandbox.stack.service_keys import SERVICES
from sandbox.stack.shapes import ContradictionError, Key, ListOf, MapOf, Object, Shape
from sandbox.stack.short_forms import external

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.stack.nodes import Node

_TEXT_PAIRS = MapOf(text)
_OPTIONS = MapOf(text_or_number)
_NO_PLUGINS = "there are no plug-ins"
POOL = Shape(
    "a pool of addresses",
    project.Pool,
    {"subnet": Key(text), "gateway": Key(text), "ip_range": Key(text), "aux_addresses": Key(_TEXT_PAIRS)},
)
IPAM = Shape(
    "ipam",
    project.Ipam,
    {"driver": Key(text), "config": Key(ListOf(Object(POOL))), "options": Key(_TEXT_PAIRS)},
)


class _NetworkArguments:
    """What a resource is made of: the old form of `external` may hold its name."""

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, **values: object) -> object:
        outer = values.pop("external", None)
        if isinstance(outer, tuple):
            is_external, name = outer
            values["external"] = is_external
            if name and values.setdefault("name", name) != name:
                raise ContradictionError(
                    f"'name' and the name below 'external' conflict: {values['name']!r}, {name!r}",
                    f"write name: {values['name']} and external: true",
                )
        return self._make(**values)


NETWORK = Shape(
    "a network",
    _NetworkArguments(project.Network),
    {
        "attachable": Key(boolean),
        "driver": Key(text),
        "driver_opts": Key(_OPTIONS),
        "enable_ipv4": Key(boolean),
        "enable_ipv6": Key(boolean),
        "external": Key(external),
        "internal": Key(boolean),
        "ipam": Key(Object(IPAM)),
        "labels": Key(labels),
        "name": Key(text),
    },
)
VOLUME = Shape(
    "a volume",
    _NetworkArguments(project.NamedVolume),
    {
        "driver": Key(text),
        "driver_opts": Key(_OPTIONS),
        "external": Key(external),
        "labels": Key(labels),
        "name": Key(text),
    },
)
_FILE_OBJECT = {
    "environment": Key(text),
    "external": Key(external),
    "file": Key(host_path),
    "labels": Key(labels),
    "name": Key(text),
    "template_driver": Key(text, "warned", "of stacks: there it is heeded"),
}
SECRET = Shape(
    "a secret",
    _NetworkArguments(project.FileObject),
    {**_FILE_OBJECT, "driver": Key(text, "refused", _NO_PLUGINS), "driver_opts": Key(_OPTIONS, "refused", _NO_PLUGINS)},
)
CONFIG = Shape("a config", _NetworkArguments(project.FileObject), {**_FILE_OBJECT, "content": Key(text)})
MODEL = Shape(
    "a model",
    project.Model,
    {"name": Key(text), "model": Key(text), "context_size": Key(integer), "runtime_flags": Key(ListOf(text))},
    required=("model",),
)


def _all(shape: Shape, what: str, *, may_be_null: bool) -> MapOf:
    return MapOf(Object(shape, may_be_null=may_be_null), what, is_name=is_resource_name)


FILE = Shape(
    "a Compose file",
    project.File,
    {
        "configs": Key(_all(CONFIG, "a mapping of configs", may_be_null=False)),
        "models": Key(_all(MODEL, "a mapping of models", may_be_null=False), "refused", "there is no runner here"),
        "name": Key(text),
        "networks": Key(_all(NETWORK, "a mapping of networks", may_be_null=True)),
        "secrets": Key(_all(SECRET, "a mapping of secrets", may_be_null=False)),
        "services": Key(SERVICES),
        "version": Key(scalar_text, "warned", "it changes nothing"),
        "volumes": Key(_all(VOLUME, "a mapping of volumes", may_be_null=True)),
    },
    done_before=("include",),
)


def read_file(reading: Reading, tree: Mapping) -> project.File:
    """What a merged tree says. Raises ComposeFileError."""
    _check_version(tree)
    found = Object(FILE)(reading, tree, "")
    assert isinstance(found, project.File)
    return found


def _check_version(tree: Mapping) -> None:
    version: Node | None = tree.get("version")
    if version is not None and not (isinstance(version, Scalar) and isinstance(version.value, str)):
        raise problem(version.place, "version", "the version is a text", mend="remove it: it changes nothing")
