"""Which images there are, each under its names: what `images` lists."""

from __future__ import annotations

import time

from sandbox.errors import ImageError
from sandbox.grammar.filters import parse_filters, parse_time
from sandbox.image.references import matches, parse_reference
from sandbox.image.store import children_of, digests_of, get_image, list_images, names_of
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from sandbox.grammar.filters import Filters
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord

NONE = "<none>"
_FILTERS = frozenset({"dangling", "label", "before", "since", "reference", "until"})


class ListRequest(NamedTuple):
    """Which images are listed, and how."""

    #: a name, or a pattern of names; "" is all
    pattern: str = ""
    #: "KEY=VALUE" as of `images --filter`
    filters: tuple[str, ...] = ()
    #: a line for each digest of a repository
    digests: bool = False
    #: also the nameless images that others were made of
    all: bool = False


class ImageLine(NamedTuple):
    """An image under one of its names; NONE stands for what it has not."""

    image: ImageRecord
    repository: str
    tag: str
    digest: str


def list_lines(connection: sqlite3.Connection, request: ListRequest) -> Iterator[ImageLine]:
    """The images asked for, the newest first, a line for each name. Raises UsageError, FilterError, NotFoundError."""
    filters = parse_filters(request.filters, _FILTERS)
    pattern = _pattern(request.pattern) if request.pattern else None
    bounds = _Bounds(connection, filters)
    for image in list_images(connection):
        if not bounds.accept(image):
            continue
        names, digests = names_of(connection, image.id), digests_of(connection, image.id)
        dangling = filters.flag("dangling")
        if dangling is not None and dangling != (not names):
            continue
        if not names and not digests and not (request.all and not dangling) and children_of(connection, image.id):
            continue
        for line in _lines_of(image, names, digests, with_digests=request.digests):
            reference = None if line.repository == NONE else line
            if _matches(reference, pattern, filters):
                yield line


def _lines_of(
    image: ImageRecord, names: Sequence[Reference], digests: Sequence[Reference], *, with_digests: bool
) -> Iterator[ImageLine]:
    by_repository: dict[str, list[str]] = {}
    for digest in digests:
        by_repository.setdefault(digest.familiar_repository, []).append(digest.digest)
    for name in names:
        repository = name.familiar_repository
        shown = by_repository.get(repository, [NONE])
        for digest_text in shown if with_digests else shown[:1]:
            yield ImageLine(image, repository, name.tag, digest_text)
    named = {name.familiar_repository for name in names}
    for repository, texts in by_repository.items():
        # pulled by digest, or its tag has moved to a newer image
        if repository not in named:
            yield ImageLine(image, repository, NONE, texts[0])
    if not names and not digests:
        yield ImageLine(image, NONE, NONE, NONE)


class _Bounds:
    """The filters that look at the image alone."""

    def __init__(self, connection: sqlite3.Connection, filters: Filters) -> None:
        now = time.time_ns()
        self._filters = filters
        self._before = [get_image(connection, text).created_ns for text in filters.of("before")]
        self._before += [parse_time(text, now) for text in filters.of("until")]
        self._since = [get_image(connection, text).created_ns for text in filters.of("since")]

    def accept(self, image: ImageRecord) -> bool:
        labels = (image.config.get("config") or {}).get("Labels") or {}
        return (
            all(image.created_ns < bound for bound in self._before)
            and all(image.created_ns > bound for bound in self._since)
            and self._filters.match_labels(labels)
        )


def _pattern(text: str) -> str:
    """The argument of `images`: a pattern stays, a name is brought into its familiar form."""
    if any(letter in text for letter in "*?["):
        return text
    try:
        return parse_reference(text).familiar
    except ImageError:
        # what can be no name is none that is here
        return text


def _matches(line: ImageLine | None, pattern: str | None, filters: Filters) -> bool:
    if pattern is None and not filters.given("reference"):
        return True
    if line is None:
        return False
    tag = "" if line.tag == NONE else f":{line.tag}"
    reference = parse_reference(line.repository + tag)
    if pattern is not None and not matches(pattern, reference):
        return False
    return filters.match("reference", lambda value: matches(value, reference))
