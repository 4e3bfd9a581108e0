"""`extends`: a service that begins as another one, of the same file or of one beside it."""

from __future__ import annotations

from sandbox.stack.errors import problem, unexpected, unknown_key
from sandbox.stack.merging import merged
from sandbox.stack.nodes import Mapping, Scalar, kind_of, without_resets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.stack.nodes import Entry, Node

    #: a file's tree, given where it is named and its path as written
    OpenFile = Callable[[Scalar, str], Mapping]

_KEYS = ("file", "service")
_DEEPEST = 100


def with_extended(tree: Mapping, open_file: OpenFile) -> Mapping:
    """`tree` with what each of its services extends below it. Raises ComposeFileError, for a circle too."""
    services = tree.get("services")
    if not isinstance(services, Mapping):
        return tree
    entries: dict[str, Entry] = {}
    for name, entry in services.entries.items():
        entries[name] = entry._replace(node=_extended(name, services, open_file, ()))
    whole = tree.entries["services"]._replace(node=services._replace(entries=entries))
    return tree._replace(entries={**tree.entries, "services": whole})


def _extended(name: str, services: Mapping, open_file: OpenFile, above: tuple[tuple[str, str], ...]) -> Node:
    entry = services.entries[name]
    service = entry.node
    reference = service.get("extends") if isinstance(service, Mapping) else None
    if not isinstance(service, Mapping) or reference is None:
        return service
    path = f"services.{name}.extends"
    here = (service.place.source.path, name)
    if here in above:
        circle = " -> ".join(each for _, each in (*above[above.index(here) :], here))
        raise problem(reference.place, path, f"services extend each other in a circle: {circle}")
    if len(above) >= _DEEPEST:
        raise problem(reference.place, path, f"services extend each other more than {_DEEPEST} deep")
    file, base_name = _reference(reference, path)
    others = services if file is None else _services_of(open_file(file, f"{path}.file"), file, path)
    if base_name.text not in others.entries:
        from sandbox.near_names import nearest

        near = nearest(base_name.text, others.entries)
        raise problem(
            base_name.place,
            path,
            f"there is no service {base_name.text!r} in {others.place.source.name}",
            mend=f"write {near!r}" if near else "",
        )
    base = without_resets(_extended(base_name.text, others, open_file, (*above, here)))
    own = service._replace(entries={key: each for key, each in service.entries.items() if key != "extends"})
    return merged(base, own, ("services", name))


def _reference(node: Node, path: str) -> tuple[Scalar | None, Scalar]:
    """The file, where one is named, and the service."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return None, node
    if not isinstance(node, Mapping):
        raise unexpected(node.place, path, "a service's name, or a mapping with 'service' and 'file'", kind_of(node))
    for key, entry in node.entries.items():
        if key not in _KEYS:
            raise unknown_key(entry.place, f"{path}.{key}", key, "extends", _KEYS)
    service, file = node.get("service"), node.get("file")
    if not isinstance(service, Scalar) or not isinstance(service.value, str):
        raise problem(node.place, path, "'service' is missing: the name of the one that is extended")
    if file is not None and (not isinstance(file, Scalar) or not isinstance(file.value, str)):
        raise unexpected(file.place, f"{path}.file", "a path", kind_of(file))
    return file, service


def _services_of(tree: Mapping, file: Scalar, path: str) -> Mapping:
    services = tree.get("services")
    if not isinstance(services, Mapping):
        raise problem(file.place, path, f"{file.text} has no services")
    return services
