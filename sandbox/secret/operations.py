"""What can be done with secrets and configs, for whoever asks: a command, a program, a stack. Values in, values out."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.secret.record import MOST_BYTES, TEMPLATE_DRIVER
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sandbox.grammar.filters import Filters
    from sandbox.operation_context import OperationContext
    from sandbox.secret.record import Kind, StoredObject

_FILTERS = ("id", "label", "name", "names")
_MOST_NAME = 64


class ObjectRequest(NamedTuple):
    """What a secret or a config is to be made of."""

    name: str
    data: bytes
    labels: tuple[tuple[str, str], ...] = ()
    #: "golang" where the content is a template, which each task of a service has its own text of
    template: str = ""

    def __repr__(self) -> str:
        return f"ObjectRequest(name={self.name!r}, data=…, labels={self.labels!r})"


def create(context: OperationContext, kind: Kind, request: ObjectRequest) -> str:
    """Keep it; its id. Raises UsageError for a name or a size that cannot be, ConflictError for a name that is taken,
    HostError.
    """
    from sandbox.secret.store import create_object

    check_name(kind, request.name)
    if not 0 < len(request.data) <= MOST_BYTES[kind]:
        raise UsageError(
            f"{kind} data must be larger than 0 and less than {MOST_BYTES[kind]} bytes",
            cause=f"there are {len(request.data)}",
        )
    if request.template not in ("", TEMPLATE_DRIVER):
        raise UsageError(
            f"unrecognized template driver {request.template}",
            cause=f"the content of a {kind} can be a template of Go's text/template",
            mend=f"--template-driver {TEMPLATE_DRIVER}",
        )
    with open_state(context.paths) as connection:
        labels = dict(request.labels)
        made = create_object(connection, context.paths, kind, request.name, labels, request.data, request.template)
    return made.id


def check_name(kind: Kind, name: str) -> None:
    """Raise UsageError for what cannot be a name."""
    plain = name.replace("-", "a").replace("_", "a").replace(".", "a")
    if not (plain.isascii() and plain.isalnum() and len(name) <= _MOST_NAME and (name[0] + name[-1]).isalnum()):
        raise UsageError(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be"
            " [a-zA-Z0-9]",
            cause=f"{name!r} was given for a {kind}",
        )


def list_all(context: OperationContext, kind: Kind, filters: Sequence[str] = ()) -> list[StoredObject]:
    """Those that pass every filter (id, label, name, names), by name. Raises UsageError, FilterError."""
    from sandbox.grammar.filters import parse_filters
    from sandbox.secret.store import list_objects

    wanted = parse_filters(filters, _FILTERS)
    with open_state(context.paths, durable=False) as connection:
        return [each for each in list_objects(connection, kind) if _fits(wanted, each)]


def find(context: OperationContext, kind: Kind, word: str) -> StoredObject:
    """The one of an id, a name or an id's beginning. Raises NotFoundError, ConflictError for several."""
    from sandbox.secret.store import find_object

    with open_state(context.paths, durable=False) as connection:
        return find_object(connection, kind, word)


def inspect(context: OperationContext, kind: Kind, word: str) -> dict[str, Any]:
    """The Engine's document: of a config with its content, of a secret never. Raises NotFoundError, SandboxError."""
    from sandbox.secret.document import describe_object

    return describe_object(context.paths, kind, find(context, kind, word))


def update(context: OperationContext, kind: Kind, word: str, labels: Mapping[str, str]) -> StoredObject:
    """Give it other labels, which is all that Swarm lets change. Raises NotFoundError."""
    from sandbox.secret.store import update_labels

    with open_state(context.paths) as connection:
        return update_labels(connection, kind, word, dict(labels))


def same_content(context: OperationContext, kind: Kind, word: str, data: bytes) -> bool:
    """Whether it has this very content. Raises NotFoundError."""
    from sandbox.secret.store import digest_of

    found = find(context, kind, word)
    return digest_of(found.id, data) == found.digest


def remove(context: OperationContext, kind: Kind, word: str) -> None:
    """Remove it with its content. Raises NotFoundError; ConflictError where a service uses it."""
    from sandbox.secret.store import remove_object

    with open_state(context.paths, frees=True) as connection:
        remove_object(connection, context.paths, kind, word)


def _fits(filters: Filters, found: StoredObject) -> bool:
    return (
        filters.match("id", found.id.startswith)
        and filters.match("name", found.name.startswith)
        and filters.match("names", lambda text: text == found.name)
        and filters.match_labels(found.labels)
    )
