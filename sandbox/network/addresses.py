"""Addresses as numbers, and which one a container gets next. Pure."""

from __future__ import annotations

# not `socket`, nor `ipaddress`: `run` has this on its way
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


class Span(NamedTuple):
    """All addresses of "address/prefix", both ends counted."""

    first: int
    last: int
    version: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


def number_of(address: str) -> int:
    """The address as a number. ValueError for what is none."""
    try:
        return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address), "big")
    except OSError:
        raise ValueError(address) from None


def text_of(number: int, version: int) -> str:
    """The address with this number, as the kernel prints it."""
    return inet_ntop(
        *((AF_INET6, number.to_bytes(16, "big")) if version == 6 else (AF_INET, number.to_bytes(4, "big")))
    )


def span_of(subnet: str) -> Span:
    """The addresses of a subnet, whose host bits may be set. ValueError for what is none."""
    address, slash, bits = subnet.partition("/")
    version, width = (6, 128) if ":" in address else (4, 32)
    if not slash or not bits.isascii() or not bits.isdigit() or int(bits) > width:
        raise ValueError(subnet)
    size = 1 << (width - int(bits))
    first = number_of(address) & ~(size - 1)
    return Span(first, first + size - 1, version)


def usable_span(subnet: str, address_range: str = "") -> Span:
    """What containers may have of a subnet: no network address, no broadcast address, only what lies in the range."""
    whole = span_of(subnet)
    # of two addresses both are usable (RFC 3021), and of one that one
    ends = 0 if whole.last - whole.first < 2 else 1
    first, last = whole.first + ends, whole.last - (ends if whole.version == 4 else 0)
    if address_range:
        part = span_of(address_range)
        first, last = max(first, part.first), min(last, part.last)
    return Span(first, last, whole.version)


def next_free(span: Span, after: int, taken: AbstractSet[int]) -> int | None:
    """The first address of the span beyond `after` that is not taken, from the start again behind the end; None where
    all are.
    """
    size = span.last - span.first + 1
    if size <= 0:
        return None
    start = after + 1 if span.first <= after < span.last else span.first
    for step in range(min(size, len(taken) + 1)):
        number = span.first + (start - span.first + step) % size
        if number not in taken:
            return number
    return None
