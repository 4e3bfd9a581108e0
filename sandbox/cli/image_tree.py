"""`images --tree`: each image under its names, and below it what it is for, in the columns of Docker 28."""

from __future__ import annotations

from sandbox.humane import display_width, ellipsis, human_size, printable, short_id
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.image.tree import TreeImage

_DIGITS = 3
_GAP = "   "
#: titles and widths; numbers of bytes stand on the right
_ID, _DISK, _CONTENT, _EXTRA = ("ID", 12), ("DISK USAGE", 10), ("CONTENT SIZE", 12), ("EXTRA", 5)
_LEAST_NAME_WIDTH = 12
_UNTAGGED = "<untagged>"
_LEGEND = "i Info →   U  In Use "
_IN_USE = "U"


class _Details(NamedTuple):
    id: str
    disk: str
    content: str
    extra: str


def tree_lines(images: Sequence[TreeImage], width: int = 0) -> list[str]:
    """The table. For a terminal of `width` columns names are cut, and what has no room is left out; 0 is for no
    terminal, where nothing is.
    """
    names = [name for image in images for name in (_names(image)[-1], _child_name(image))]
    widest = max([len("IMAGE"), *map(display_width, names)])
    columns = [_ID, _DISK, _CONTENT, _EXTRA]
    room = widest
    if width:
        room, columns = _fit(width, columns)
        room = min(room, widest)
    lines = [_LEGEND.rjust(width).rstrip(), ""] if width else []
    lines.append(_line("IMAGE", room, [title for title, _ in columns], columns))
    for position, image in enumerate(images):
        # apart, for each has something below it
        lines += [""] * (position > 0)
        lines += _image_lines(image, room, columns, width)
    return lines


def _fit(width: int, columns: list[tuple[str, int]]) -> tuple[int, list[tuple[str, int]]]:
    room = width
    for position, (_title, wide) in enumerate(columns):
        if room - wide - len(_GAP) < _LEAST_NAME_WIDTH:
            return room, columns[:position]
        room -= wide + len(_GAP)
    return room, columns


def _image_lines(image: TreeImage, room: int, columns: Sequence[tuple[str, int]], width: int) -> Iterator[str]:
    *others, last = _names(image)
    for name in others:
        yield ellipsis(name, width) if width else name
    record, extra = image.record, _IN_USE if image.in_use else ""
    disk, content = (human_size(size, _DIGITS) for size in (_disk_bytes(image), image.content_bytes))
    yield _line(last, room, _Details(short_id(record.id), disk, content, extra), columns)
    yield _line(_child_name(image), room, _Details(short_id(record.manifest_digest), disk, content, extra), columns)


def _names(image: TreeImage) -> list[str]:
    return [printable(name) for name in image.names] or [_UNTAGGED]


def _child_name(image: TreeImage) -> str:
    return f"└─ {printable(image.record.platform)}"


def _disk_bytes(image: TreeImage) -> int:
    """Docker's sum: what is unpacked, and the blobs."""
    return image.record.size_bytes + image.content_bytes


def _line(name: str, room: int, cells: Sequence[str], columns: Sequence[tuple[str, int]]) -> str:
    name = ellipsis(name, room)
    parts = [name + " " * (room - display_width(name))]
    for cell, (title, width) in zip(cells, columns, strict=False):
        parts.append(cell.rjust(width) if title in (_DISK[0], _CONTENT[0]) else cell.ljust(width))
    return _GAP.join(parts).rstrip()
