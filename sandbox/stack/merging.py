"""How a later file changes an earlier one: the specification's rules, each at its path.

Mappings are merged key by key and lists grow; a list in which two elements mean one thing (ports, mounts, variables)
has the later one stand for both when it is read. What is told here are the exceptions.
"""

from __future__ import annotations

from sandbox.stack.errors import problem
from sandbox.stack.nodes import Entry, Mapping, Node, Reset, Scalar, Sequence, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.stack.errors import ComposeFileError

    Path = tuple[str, ...]
    Rule = Callable[[Node, Node, Path], Node]

_STARTED = "service_started"


def merged(base: Node, over: Node, path: Path = ()) -> Node:
    """`base` as `over` changes it; `path` is where both stand. Raises ComposeFileError where they do not fit.

    What `over` resets stays in the tree as such, so that it is reset in whatever the result is merged over.
    """
    if over.replaces:
        return over
    if isinstance(base, Reset) or _is_null(base):
        return over
    rule = _rule_at(path)
    if rule is not None:
        return rule(base, over, path)
    if _is_null(over):
        return base
    return _plain(base, over, path)


def _plain(base: Node, over: Node, path: Path) -> Node:
    if isinstance(base, Mapping):
        if not isinstance(over, Mapping):
            raise _misfit(base, over, path)
        return _mappings(base, over, path)
    if isinstance(base, Sequence):
        if not isinstance(over, Sequence):
            raise _misfit(base, over, path)
        return _appended(base, over)
    return over


def _mappings(base: Mapping, over: Mapping, path: Path) -> Mapping:
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        earlier = entries.get(key)
        entries[key] = entry if earlier is None else Entry(entry.place, merged(earlier.node, entry.node, (*path, key)))
    return Mapping(over.place, entries, base.weight + over.weight)


def _appended(base: Sequence, over: Sequence) -> Sequence:
    return Sequence(base.place, (*base.items, *over.items), base.weight + over.weight)


def _misfit(base: Node, over: Node, path: Path) -> ComposeFileError:
    return problem(
        over.place,
        ".".join(path),
        f"{kind_of(over)} cannot change {kind_of(base)}",
        cause=f"what it would change stands in {base.place}",
        mend="write !override before it, to put it in the other's place",
    )


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _replaced(_base: Node, over: Node, _path: Path) -> Node:
    return over


def _pairs(base: Node, over: Node, path: Path) -> Node:
    """NAME=VALUE lists and mappings, as one mapping."""
    return _plain(_as_mapping(base, "="), _as_mapping(over, "="), path) if not _is_null(over) else base


def _names(base: Node, over: Node, path: Path) -> Node:
    """A list of names is a mapping of them to nothing."""
    return _plain(_as_mapping(base, ""), _as_mapping(over, ""), path) if not _is_null(over) else base


def _dependencies(base: Node, over: Node, path: Path) -> Node:
    """A list says of each service what is said of one by default."""
    return base if _is_null(over) else _plain(_as_dependencies(base), _as_dependencies(over), path)


def _as_dependencies(node: Node) -> Node:
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            return node
        condition = Scalar(item.place, _STARTED, _STARTED)
        required = Scalar(item.place, True, "true")
        each = {"condition": Entry(item.place, condition), "required": Entry(item.place, required)}
        entries[item.value] = Entry(item.place, Mapping(item.place, each, 5))
    return Mapping(node.place, entries, node.weight)


def _lists(base: Node, over: Node, path: Path) -> Node:
    """A text is a list of one."""
    return base if _is_null(over) else _plain(_as_sequence(base), _as_sequence(over), path)


def _build(base: Node, over: Node, path: Path) -> Node:
    return base if _is_null(over) else _plain(_context(base), _context(over), path)


def _context(node: Node) -> Node:
    return Mapping(node.place, {"context": Entry(node.place, node)}, 3) if isinstance(node, Scalar) else node


def _logging(base: Node, over: Node, path: Path) -> Node:
    """The options of one driver mean nothing to another."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        before, after = base.get("driver"), over.get("driver")
        if (
            isinstance(before, Scalar)
            and isinstance(after, Scalar)
            and before.value is not None
            and before.value != after.value
        ):
            return over
    return base if _is_null(over) else _plain(base, over, path)


def _hosts(base: Node, over: Node, path: Path) -> Node:
    """A name may have several addresses: the two forms do not overlap, and one pair stands once."""
    first, second = _host_list(base), _host_list(over)
    if not isinstance(first, Sequence) or not isinstance(second, Sequence):
        return _plain(first, second, path) if not _is_null(over) else base
    known = {item.value for item in first.items if isinstance(item, Scalar)}
    fresh = tuple(item for item in second.items if not (isinstance(item, Scalar) and item.value in known))
    return _appended(first, second._replace(items=fresh))


def _host_list(node: Node) -> Node:
    if not isinstance(node, Mapping):
        return node
    items: list[Node] = []
    for name, entry in node.entries.items():
        addresses = entry.node.items if isinstance(entry.node, Sequence) else (entry.node,)
        for address in addresses:
            text = f"{name}={address.text}" if isinstance(address, Scalar) else name
            items.append(Scalar(entry.node.place, text, text))
    return Sequence(node.place, tuple(items), node.weight)


def _pools(base: Node, over: Node, path: Path) -> Node:
    """The pools of a network are told apart by their subnets."""
    if not isinstance(base, Sequence) or not isinstance(over, Sequence):
        return _plain(base, over, path)
    items = list(base.items)
    for pool in over.items:
        subnet = _subnet(pool)
        same = next((n for n, item in enumerate(items) if subnet and _subnet(item) == subnet), None)
        if same is None:
            items.append(pool)
        else:
            items[same] = merged(items[same], pool, (*path, "*"))
    return Sequence(base.place, tuple(items), base.weight + over.weight)


def _subnet(node: Node) -> str:
    subnet = node.get("subnet") if isinstance(node, Mapping) else None
    return subnet.text if isinstance(subnet, Scalar) else ""


def _as_mapping(node: Node, separator: str) -> Node:
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            # the reader of the list says what is wrong with it
            return node
        name, found, value = item.value.partition(separator) if separator else (item.value, "", "")
        entries[name] = Entry(item.place, Scalar(item.place, value if found else None, value))
    return Mapping(node.place, entries, node.weight)


def _as_sequence(node: Node) -> Node:
    return node if isinstance(node, Sequence) else Sequence(node.place, (node,), 1 + node.weight)


_SERVICE = ("services", "*")
_RULES: dict[Path, Rule] = {
    ("networks", "*", "ipam", "config"): _pools,
    **{(noun, "*", "labels"): _pairs for noun in ("networks", "volumes", "secrets", "configs")},
    **{(*_SERVICE, *key): _pairs for key in (
        ("annotations",), ("build", "args"), ("build", "additional_contexts"), ("build", "labels"),
        ("deploy", "labels"), ("environment",), ("labels",), ("sysctls",),
    )},
    **{(*_SERVICE, key): _names for key in ("models", "networks")},
    (*_SERVICE, "depends_on"): _dependencies,
    **{(*_SERVICE, key): _lists for key in ("dns", "dns_opt", "dns_search", "env_file", "label_file", "tmpfs")},
    **{(*_SERVICE, *key): _replaced for key in (
        ("command",), ("entrypoint",), ("healthcheck", "test"), ("ulimits", "*"), ("build", "ulimits", "*"),
    )},
    **{(*_SERVICE, *key): _hosts for key in (("extra_hosts",), ("build", "extra_hosts"))},
    (*_SERVICE, "build"): _build,
    (*_SERVICE, "logging"): _logging,
}  # fmt: skip


def _rule_at(path: Path) -> Rule | None:
    """The rule for a path; a service, a network and a limit may have any name."""
    general = list(path)
    if len(general) > 1:
        general[1] = "*"
    if "ulimits" in general[2:-1]:
        general[-1] = "*"
    return _RULES.get(tuple(general))
