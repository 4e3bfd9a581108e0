"""The texts inside tar headers: numbers, PAX records, sparse maps (pax(1), GNU tar manual §Basic Tar Format).

Every function takes hostile bytes and answers with a bounded value or StorageError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Segment = tuple[int, int]
"""Offset and length of a piece of data in a sparse file."""

MAX_SIZE = (1 << 63) - 1
_MAX_SEGMENTS = 100_000
_MAX_TIME_NS = (1 << 40) * 1_000_000_000


def malformed(what: str) -> StorageError:
    """The one error for an archive that is not a tar archive as the standards have it."""
    return StorageError("the archive is malformed", cause=what)


def parse_number(field: bytes) -> int:
    """A numeric header field: octal digits, or base-256 where the first bit is set (GNU). Raises StorageError."""
    try:
        number = int(field.rstrip(b"\0 "), 8)
        if number >= 0:
            return number
    except ValueError:
        pass
    # what is empty, odd or wrong takes the slow way; half a dozen fields of each member do not
    if field and field[0] & 0x80:
        if field[0] == 0xFF:
            raise malformed("a negative number in a header")
        number = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    else:
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if not digits:
            return 0
        if not digits.isdigit():
            raise malformed(f"not a number in a header: {field[:24]!r}")
        try:
            number = int(digits, 8)
        except ValueError:
            raise malformed(f"not an octal number in a header: {field[:24]!r}") from None
    if number > MAX_SIZE:
        raise malformed("a number in a header is too large")
    return number


def parse_mtime(field: bytes) -> int:
    """A header's mtime in nanoseconds; times before 1970 are allowed here alone."""
    seconds = int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else parse_number(field)
    return bounded_time(seconds * 1_000_000_000)


def bounded_time(time_ns: int) -> int:
    """The nearest time, in ns, that the system call's types hold; the kernel clamps further to what the file system can
    keep.
    """
    return min(max(time_ns, -_MAX_TIME_NS), _MAX_TIME_NS)


def parse_decimal(text: bytes) -> int:
    """A non-negative decimal number from a PAX record. Raises StorageError."""
    if not text.isdigit() or len(text) > 19 or int(text) > MAX_SIZE:
        raise malformed(f"not a number in a PAX record: {text[:24]!r}")
    return int(text)


def parse_pax_time(text: bytes) -> int:
    """`seconds[.fraction]` in nanoseconds, digits beyond the ninth cut off. Raises StorageError."""
    negative = text.startswith(b"-")
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 19 or (fraction and not fraction.isdigit()):
        raise malformed(f"not a time in a PAX record: {text[:40]!r}")
    time_ns = int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
    return bounded_time(-time_ns if negative else time_ns)


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header. GNU.sparse 0.0 repeats two keywords: those come back joined as a 0.1 map.

    Raises StorageError.
    """
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        length_text = data[position:space] if space > 0 else b""
        if not length_text.isdigit():
            raise malformed("a PAX record without a length")
        end = position + int(length_text)
        if end > len(data) or end <= space + 1 or data[end - 1] != 0x0A:
            raise malformed("a PAX record with a wrong length")
        keyword, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not keyword or b"\0" in keyword:
            raise malformed("a PAX record without a keyword")
        if keyword in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse.append(value)
        else:
            records[keyword] = value
        position = end
    if sparse:
        records[b"GNU.sparse.map"] = b",".join(sparse)
    return records


def parse_sparse_map(text: bytes) -> list[Segment]:
    """GNU.sparse.map of PAX sparse format 0.1."""
    return pair_segments([parse_decimal(number) for number in text.split(b",")] if text else [])


def pair_segments(numbers: Sequence[int]) -> list[Segment]:
    """Offsets and lengths, one after the other, as segments. Raises StorageError."""
    if len(numbers) % 2 or len(numbers) > 2 * _MAX_SEGMENTS:
        raise malformed("a sparse map with an odd or excessive count")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def parse_old_sparse(block: bytes, start: int, count: int) -> list[Segment]:
    """The segments in a GNU header or extension block: `count` pairs of 12-byte numbers from `start`; an empty pair
    ends them.
    """
    segments = []
    for position in range(start, start + 24 * count, 24):
        if block[position] == 0:
            break
        offset = parse_number(block[position : position + 12])
        segments.append((offset, parse_number(block[position + 12 : position + 24])))
    return segments


def check_segments(segments: Sequence[Segment], stored_size: int, real_size: int) -> None:
    """Segments ascend, stay inside the file, and have together as many bytes as are stored.

    Raises StorageError otherwise.
    """
    if len(segments) > _MAX_SEGMENTS:
        raise malformed("a sparse map with too many segments")
    position = total = 0
    for offset, length in segments:
        if offset < position or offset + length > real_size:
            raise malformed("a sparse map that overlaps or leaves its file")
        position = offset + length
        total += length
    if total != stored_size:
        raise malformed("a sparse map that does not match its data")
