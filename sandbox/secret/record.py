"""A secret or a config as the database has it: everything but its content."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    #: which of the two; also the name of its table
    Kind = Literal["secret", "config"]

KINDS: tuple[Kind, ...] = ("secret", "config")
#: in what the content may be a template, Swarm's name of it
TEMPLATE_DRIVER = "golang"
#: what there may be of content, Swarm's limits
MOST_BYTES: dict[str, int] = {"secret": 500 * 1024, "config": 1000 * 1024}


class StoredObject(NamedTuple):
    """One row; `digest` is of the id and the content, so that equal contents do not show."""

    id: str
    name: str
    created_ns: int
    updated_ns: int
    #: counts the changes, from 1
    version: int
    labels: dict[str, str]
    digest: str
    size_bytes: int
    #: the language of the content, "golang", where it is a template
    template: str = ""
