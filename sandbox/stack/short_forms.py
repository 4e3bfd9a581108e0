"""The short forms: ports, volumes, devices, hosts, commands and files, as the long ones they stand for."""

from __future__ import annotations

from sandbox.stack.errors import problem, unexpected
from sandbox.stack.measures import Pairs, parse_duration_ns
from sandbox.stack.model import DeviceMapping, EnvFile, Port, Volume, VolumeBind, VolumeVolume
from sandbox.stack.nodes import Mapping, Scalar, Sequence, kind_of
from sandbox.stack.parts_model import DeviceRequest, FileGrant, Ulimit
from sandbox.stack.reading import is_null, text
from sandbox.stack.scalar_readers import integer, labels, text_or_number
from sandbox.stack.shell_words import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import Node
    from sandbox.stack.reading import Reading

_PROTOCOLS = ("tcp", "udp", "sctp")
_LARGEST_PORT = 65535
_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})


def command(reading: Reading, node: Node, path: str) -> object:
    """A list of words, or a text that a shell would split into them; nothing is None. Raises ComposeFileError."""
    reading.places[path] = node.place
    if is_null(node):
        return None
    if isinstance(node, Sequence):
        return tuple(text(reading, item, f"{path}[{number}]") for number, item in enumerate(node.items))
    written = text(reading, node, path)
    if reading.keeps(node):
        return written
    try:
        words, left_out = split_words(written)
    except ValueError as error:
        raise problem(node.place, path, f"{written!r} cannot be split into words", cause=str(error)) from error
    if left_out:
        reading.notes.append(
            f"{node.place}: {path}: {left_out!r} is left out, as by Docker's Compose: no shell reads it; "
            "write a list of sh, -c and a text for a shell"
        )
    return words


def container_name(reading: Reading, node: Node, path: str) -> str:
    """A name that a container may have. Raises ComposeFileError."""
    written = text(reading, node, path)
    allowed = written.isascii() and all(char.isalnum() or char in "_.-" for char in written)
    if not reading.keeps(node) and not (allowed and len(written) > 1 and written[0].isalnum()):
        raise problem(
            node.place,
            path,
            f"no container can have the name {written!r}",
            cause="a name is a letter or a digit, then letters, digits and _ . -",
        )
    return written


_PULLED = ("always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly")


def pull_policy(reading: Reading, node: Node, path: str) -> str:
    """When an image is pulled: a word, or every_SPAN. Raises ComposeFileError."""
    written = text(reading, node, path)
    word, _, span = written.partition("_")
    if written in _PULLED or reading.keeps(node) or (word == "every" and parse_duration_ns(span) is not None):
        return written
    from sandbox.near_names import nearest

    near = nearest(written, _PULLED)
    raise problem(
        node.place,
        path,
        f"{written!r} is none of {', '.join(_PULLED)}, every_SPAN",
        mend=f"write {near!r}" if near else "",
    )


def health_test(reading: Reading, node: Node, path: str) -> object:
    """A text is for a shell; a list says by its first word what it is. Raises ComposeFileError."""
    if isinstance(node, Sequence):
        words = command(reading, node, path)
        if isinstance(words, tuple) and words and words[0] not in ("NONE", "CMD", "CMD-SHELL"):
            raise problem(
                node.place,
                path,
                f"a test begins with CMD, CMD-SHELL or NONE, and not with {words[0]!r}",
                mend=f"write [CMD, {words[0]}, …]",
            )
        return words
    return ("CMD-SHELL", text(reading, node, path))


def short_ports(reading: Reading, node: Node, path: str) -> tuple[Port | str, ...]:
    """The ports that a text or a number stands for: a range is several. Raises ComposeFileError."""
    written = text_or_number(reading, node, path)
    if reading.keeps(node):
        return (written,)
    raw, _, protocol = written.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise problem(node.place, path, f"invalid protocol {protocol!r} in {written!r}", mend="tcp, udp or sctp")
    *rest, target_text = raw.split(":")
    published_text = rest[-1] if rest else ""
    address = ":".join(rest[:-1])
    host_ip = address.removeprefix("[").removesuffix("]")
    targets = _range(node, path, written, target_text)
    published = _range(node, path, written, published_text) if published_text else None
    if host_ip and not is_address(host_ip):
        raise problem(node.place, path, f"invalid IP address {host_ip!r} in {written!r}")
    if published is None:
        ports = [Port(mode="ingress", host_ip=host_ip, target=each, protocol=protocol) for each in targets]
    elif len(targets) == 1:
        ports = [Port("", "ingress", host_ip, targets[0], published_text, protocol)]
    elif len(published) == len(targets):
        ports = [
            Port("", "ingress", host_ip, target, str(own), protocol)
            for target, own in zip(targets, published, strict=True)
        ]
    else:
        raise problem(
            node.place, path, f"invalid ranges in {written!r}: {len(published)} ports stand before {len(targets)}"
        )
    return tuple(sorted(ports, key=lambda port: f"{port.target}/{port.protocol}"))


def _range(node: Node, path: str, whole: str, written: str) -> range:
    first, dash, last = written.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(each.isascii() and each.isdigit() and len(each) < 6 and int(each) <= _LARGEST_PORT for each in numbers):
        expected = "[[IP:]HOST:]CONTAINER[/PROTOCOL], ports from 1 to 65535"
        raise problem(node.place, path, f"invalid port {written!r} in {whole!r}", cause=f"a port is {expected}")
    if int(numbers[-1]) < int(first):
        raise problem(node.place, path, f"invalid range {written!r} in {whole!r}")
    return range(int(first), int(numbers[-1]) + 1)


def is_address(written: str) -> bool:
    """Whether `written` is an address of IPv4 or IPv6."""
    from sandbox.grammar.hosts import canonical_address

    return canonical_address(written) is not None


def port_number(reading: Reading, node: Node, path: str) -> object:
    """A container's port. Raises ComposeFileError."""
    number = integer(reading, node, path)
    if isinstance(number, int) and not 0 < number <= _LARGEST_PORT:
        raise unexpected(node.place, path, "a port from 1 to 65535", f"the number {number}")
    return number


def short_volume(reading: Reading, node: Node, path: str) -> Volume | str:
    """The mount that SOURCE:TARGET[:MODES] stands for. Raises ComposeFileError."""
    written = text(reading, node, path)
    if reading.keeps(node):
        return written
    assert isinstance(node, Scalar)
    parts = split_volume(written)
    if not written or "" in parts:
        raise problem(node.place, path, f"invalid volume {written!r}: a part of it is empty", cause=_VOLUME_FORM)
    if len(parts) > 3:
        raise problem(node.place, path, f"invalid volume {written!r}: too many colons", cause=_VOLUME_FORM)
    if len(parts) == 1:
        return Volume("volume", "", clean(parts[0]), volume=VolumeVolume())
    source, target, *modes = parts
    options = modes[0].split(",") if modes else []
    is_path = source[0] in "./~" or source.startswith("\\\\") or _is_drive(source[:2])
    bind = VolumeBind() if is_path else None
    named = None if is_path else VolumeVolume()
    for option in options:
        if option in _PROPAGATION:
            bind = (bind or VolumeBind())._replace(propagation=option)
        elif option in ("z", "Z"):
            bind = (bind or VolumeBind())._replace(selinux=option)
        elif option == "nocopy":
            named = (named or VolumeVolume())._replace(nocopy=True)
    if is_path:
        resolved = reading.path(node._replace(value=source, text=source)) if source[0] in "./~" else source
        return Volume("bind", resolved, clean(target), "ro" in options, bind=bind, volume=named)
    return Volume("volume", source, clean(target), "ro" in options, bind=bind, volume=named)


_VOLUME_FORM = "a volume is TARGET, NAME:TARGET or PATH:TARGET, with :ro and the like behind it"


def split_volume(written: str) -> list[str]:
    """The parts between colons; not those of a drive's letter, nor of a `${…}` that is left as it is."""
    parts: list[str] = [""]
    depth = 0
    for position, char in enumerate(written):
        if written.startswith("${", position):
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        is_of_drive = _is_drive(f"{parts[-1]}:") and written[position + 1 : position + 2] in ("\\", "/")
        if char == ":" and not depth and not is_of_drive:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _is_drive(written: str) -> bool:
    return len(written) == 2 and written[0].isalpha() and written[1] == ":"


def clean(path: str) -> str:
    """A path of a container without doubled slashes, `.` and `..`, as it is compared and printed."""
    import posixpath

    cleaned = posixpath.normpath(path) if path else path
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def short_device(reading: Reading, node: Node, path: str) -> DeviceMapping | str:
    """SOURCE[:TARGET[:PERMISSIONS]]. Raises ComposeFileError."""
    written = text(reading, node, path)
    if reading.keeps(node):
        return written
    parts = written.split(":")
    if len(parts) > 3 or not parts[0]:
        raise problem(
            node.place, path, f"invalid device {written!r}", cause="a device is SOURCE[:TARGET[:PERMISSIONS]]"
        )
    target = parts[1] if len(parts) > 1 and parts[1] else parts[0]
    return DeviceMapping(parts[0], target, parts[2] if len(parts) > 2 else "rwm")


def short_env_file(reading: Reading, node: Node, path: str) -> EnvFile:
    """A path alone. Raises ComposeFileError."""
    text(reading, node, path)
    assert isinstance(node, Scalar)
    return EnvFile(reading.path(node))


def short_grant(reading: Reading, node: Node, path: str) -> FileGrant:
    """The name of a secret or of a config. Raises ComposeFileError."""
    return FileGrant(text(reading, node, path))


def short_ulimit(reading: Reading, node: Node, path: str) -> Ulimit:
    """One number for both limits. Raises ComposeFileError."""
    number = integer(reading, node, path)
    return Ulimit(single=number if isinstance(number, int) else 0)


def all_gpus(reading: Reading, node: Node, path: str) -> tuple[DeviceRequest, ...]:
    """The word `all`. Raises ComposeFileError."""
    if text(reading, node, path) != "all":
        raise unexpected(node.place, path, "'all' or a list", kind_of(node))
    return (DeviceRequest(count=-1),)


def device_count(reading: Reading, node: Node, path: str) -> object:
    """A number of devices, -1 for `all`. Raises ComposeFileError."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.lower() == "all":
        reading.places[path] = node.place
        return -1
    return integer(reading, node, path)


def hosts(reading: Reading, node: Node, path: str) -> object:
    """NAME=ADDRESS pairs, of a list or of a mapping to one address or several. Raises ComposeFileError."""
    reading.places[path] = node.place
    found: list[str] = []
    if isinstance(node, Mapping):
        for name, entry in node.entries.items():
            items = entry.node.items if isinstance(entry.node, Sequence) else (entry.node,)
            for item in items:
                found.append(f"{name}={_bare(text(reading, item, f'{path}.{name}'))}")
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            written = text(reading, item, f"{path}[{number}]")
            separator = "=" if "=" in written else ":"
            name, is_there, addresses = written.partition(separator)
            if not name or not is_there:
                raise problem(item.place, f"{path}[{number}]", f"{written!r} is no NAME=ADDRESS")
            found += [f"{name}={_bare(address)}" for address in addresses.split(",")]
    else:
        raise unexpected(node.place, path, "a mapping of names to addresses", kind_of(node))
    return tuple(sorted(found))


def _bare(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address


def ssh_keys(reading: Reading, node: Node, path: str) -> object:
    """`default`, or ID=PATH; a mapping says the same. Raises ComposeFileError."""
    found = labels(reading, node, path)
    if not isinstance(found, Pairs):
        return found
    return tuple(f"{name}={value}" if value else name for name, value in found)


def external(reading: Reading, node: Node, path: str) -> object:
    """true, false, or the old mapping with a name: (whether, the name). Raises ComposeFileError."""
    from sandbox.stack.scalar_readers import boolean

    if not isinstance(node, Mapping):
        return boolean(reading, node, path), ""
    reading.places[path] = node.place
    for key, entry in node.entries.items():
        if key != "name" and not key.startswith("x-"):
            raise problem(entry.place, f"{path}.{key}", f"'external' has no key {key!r}", mend="write external: true")
    name = node.get("name")
    return True, "" if name is None else text(reading, name, f"{path}.name")
