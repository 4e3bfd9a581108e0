"""Messages of the domain name system, RFC 1035: one question read, an answer built, an answer of others looked over.

A container writes what it likes: nothing here raises for any bytes. Names are texts in lower case without the last
dot; a byte that is not a plain character of a name stands as `\\123`, so that a dot inside a label is no dot.
"""

from __future__ import annotations

import struct

from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# kinds of records, RFC 1035, 3596, 6891
A, SOA, PTR, AAAA, OPT, ANY = 1, 6, 12, 28, 41, 255
IN = 1
# codes of an answer
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

#: bits of the header's second word
ANSWER, CUT, RECURSE, RECURSES = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE, _CHECKING_DISABLED, _DNSSEC_OK = 0x7800, 0x0010, 0x8000
#: octets of an answer by UDP for who names no size, and the size that is named to who has one
PLAIN_SIZE, OUR_SIZE = 512, 1232
#: octets of the largest message by TCP
LARGEST = 65535
#: records of one message that are looked at
_RECORDS = 512

_HEADER = struct.Struct(">HHHHHH")
_FIXED = struct.Struct(">HHIH")
_TO_QUESTION = b"\xc0\x0c"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_*/")


class Question(NamedTuple):
    """What is asked. `code` is NOERROR, or the code of the only answer there is to it: FORMERR, NOTIMP."""

    id: int
    flags: int
    code: int = NOERROR
    name: str = ""
    kind: int = 0
    #: class, IN but for curiosities
    family: int = IN
    #: offset after the question
    end: int = 12
    #: the most that the asker takes by UDP
    octets: int = PLAIN_SIZE
    #: the asker speaks EDNS, and asks for signatures
    extended: bool = False
    signed: bool = False
    #: offsets of the options of EDNS, of their length and after them; both 0 for none
    options: tuple[int, int] = (0, 0)
    #: it has records besides one of EDNS, a signature for one: it goes on as it is, and is not kept
    odd: bool = False


class Summary(NamedTuple):
    """What an answer of a server says, as far as who passes it on must know."""

    code: int
    #: it did not fit: the asker comes again by TCP
    cut: bool
    #: seconds for which it may be kept, 0 for not
    lifetime: int
    #: where in it the lifetimes of records stand
    lifetimes: tuple[int, ...]
    #: the addresses that it gives, of 4 and 16 octets
    addresses: tuple[bytes, ...]


class _Record(NamedTuple):
    kind: int
    family: int
    lifetime: int
    #: offset of the lifetime, and of the data with its end
    at: int
    start: int
    end: int


class _MalformedError(Exception):
    pass


def read_question(data: bytes) -> Question | None:
    """The question in `data`; None for what may not be answered at all: too short, or an answer itself."""
    if len(data) < _HEADER.size:
        return None
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    if flags & ANSWER:
        return None
    if flags & _OPCODE:
        return Question(number, flags, NOTIMP)
    if questions != 1 or answers or authorities:
        return Question(number, flags, FORMERR)
    try:
        name, end = _read_name(data, _HEADER.size)
        kind, family = struct.unpack_from(">HH", data, end)
        question = Question(number, flags, NOERROR, name, kind, family, end + 4)
        return _with_extension(question, data, more) if more else question
    except (_MalformedError, struct.error):
        return Question(number, flags, FORMERR)


def build_answer(
    question: Question,
    data: bytes,
    *,
    code: int = NOERROR,
    records: Sequence[tuple[int, bytes]] = (),
    lifetime: int = 0,
    limit: int = LARGEST,
) -> bytes:
    """The answer to `question`, which was read of `data`, with `records` (kind, data) of its name.

    `lifetime` is in seconds, `limit` in octets: what does not fit is left out, and the answer says so.
    """
    asked = data[12 : question.end] if question.code == NOERROR else b""
    extension = b"\0" + _FIXED.pack(OPT, OUR_SIZE, 0, 0) if question.extended else b""
    room = limit - 12 - len(asked) - len(extension)
    body: list[bytes] = []
    cut = 0
    for kind, content in records:
        record = _TO_QUESTION + _FIXED.pack(kind, IN, lifetime, len(content)) + content
        room -= len(record)
        if room < 0:
            cut = CUT
            break
        body.append(record)
    flags = ANSWER | RECURSES | cut | question.flags & (_OPCODE | RECURSE | _CHECKING_DISABLED) | code
    header = _HEADER.pack(question.id, flags, 1 if asked else 0, len(body), 0, 1 if extension else 0)
    return b"".join((header, asked, *body, extension))


def encode_name(name: str) -> bytes:
    """The octets of a name. Raises ValueError for one that is too long or has an empty label."""
    out = bytearray()
    for label in name.rstrip(".").split("."):
        octets = label.encode("latin-1", "replace")
        if not 0 < len(octets) < 64:
            raise ValueError(name)
        out += bytes((len(octets),)) + octets
    if len(out) > 254:
        raise ValueError(name)
    return bytes(out) + b"\0"


def question_to_pass_on(question: Question, data: bytes, number: int) -> bytes:
    """`data` with another number, and without options of EDNS, which are between two neighbours only (RFC 6891)."""
    start, end = question.options
    body = data[2:start] + b"\0\0" + data[end:] if start else data[2:]
    return number.to_bytes(2, "big") + body


def is_answer_to(answer: bytes, asked: bytes, end: int) -> bool:
    """Whether `answer` has the number and the question of `asked`, whose question ends at the offset `end`."""
    return (
        len(answer) >= end
        and answer[:2] == asked[:2]
        and bool(answer[2] & 0x80)
        and answer[4:6] == b"\0\1"
        # letters may come back in another case; lengths of labels are no letters, kind and class may look like some
        and answer[12 : end - 4].lower() == asked[12 : end - 4].lower()
        and answer[end - 4 : end] == asked[end - 4 : end]
    )


def answer_for(question: Question, data: bytes, answer: bytes, *, limit: int = LARGEST) -> bytes:
    """An `answer` to the same question of another asker, for this one: number and letters as this one wrote them.

    One of more than `limit` octets becomes one that says it did not fit.
    """
    if len(answer) > limit:
        cut_answer = build_answer(question, data, code=answer[3] & 0x0F, limit=limit)
        return cut_answer[:2] + bytes((cut_answer[2] | CUT >> 8,)) + cut_answer[3:]
    return data[:2] + answer[2:12] + data[12 : question.end] + answer[question.end :]


def summarize(answer: bytes, end: int) -> Summary | None:
    """What `answer` says, whose question ends at the offset `end`; None for octets that are no message."""
    try:
        _, flags, _, answers, authorities, more = _HEADER.unpack_from(answer)
        records = list(_records(answer, end, answers + authorities + more))
    except (_MalformedError, struct.error):
        return None
    code = flags & 0x0F
    given, behind = records[:answers], records[answers : answers + authorities]
    addresses = tuple(
        answer[record.start : record.end]
        for record in given
        if record.family == IN and (record.kind, record.end - record.start) in ((A, 4), (AAAA, 16))
    )
    return Summary(
        code,
        bool(flags & CUT),
        _lifetime(answer, code, given, behind),
        tuple(record.at for record in records if record.kind != OPT),
        addresses,
    )


def with_lifetimes(answer: bytes, offsets: Sequence[int], passed: int) -> bytes:
    """`answer` after it was kept for `passed` seconds: each lifetime is that much shorter."""
    aged = bytearray(answer)
    for offset in offsets:
        (left,) = struct.unpack_from(">I", aged, offset)
        struct.pack_into(">I", aged, offset, max(left - passed, 0))
    return bytes(aged)


def address_of_pointer(name: str) -> str:
    """The address that a name of in-addr.arpa or ip6.arpa stands for, "" for any other name."""
    if name.endswith(".in-addr.arpa"):
        parts = name[: -len(".in-addr.arpa")].split(".")[::-1]
        if len(parts) == 4 and all(part.isascii() and part.isdigit() and str(int(part)) == part for part in parts):
            return ".".join(parts) if all(int(part) < 256 for part in parts) else ""
    elif name.endswith(".ip6.arpa"):
        nibbles = name[: -len(".ip6.arpa")].split(".")[::-1]
        if len(nibbles) == 32 and all(len(nibble) == 1 and nibble in "0123456789abcdef" for nibble in nibbles):
            text = "".join(nibbles)
            return ":".join(text[at : at + 4] for at in range(0, 32, 4))
    return ""


def _with_extension(question: Question, data: bytes, more: int) -> Question:
    records = list(_records(data, question.end, more))
    found = [record for record in records if record.kind == OPT]
    if not found:
        return question._replace(odd=True)
    record = found[0]
    return question._replace(
        extended=True,
        signed=bool(record.lifetime & _DNSSEC_OK),
        # the class of this record is a size
        octets=max(record.family, PLAIN_SIZE),
        options=(record.start - 2, record.end) if record.end > record.start else (0, 0),
        odd=len(records) > 1 or bool(record.lifetime >> 16),
        code=FORMERR if len(found) > 1 else NOERROR,
    )


def _lifetime(answer: bytes, code: int, given: Sequence[_Record], behind: Sequence[_Record]) -> int:
    if given and code == NOERROR:
        return min(record.lifetime for record in given)
    # no such name, or none of that kind: RFC 2308 keeps it as its zone says
    for record in behind:
        if record.kind == SOA and code in (NOERROR, NXDOMAIN) and record.end - record.start >= 22:
            return min(record.lifetime, int.from_bytes(answer[record.end - 4 : record.end], "big"))
    return 0


def _records(data: bytes, offset: int, count: int) -> Iterator[_Record]:
    if count > _RECORDS:
        raise _MalformedError
    for _ in range(count):
        offset = _skip_name(data, offset)
        kind, family, lifetime, length = _FIXED.unpack_from(data, offset)
        start = offset + _FIXED.size
        if start + length > len(data):
            raise _MalformedError
        # a lifetime with the highest bit is none, RFC 2181
        yield _Record(
            kind, family, lifetime if lifetime < 1 << 31 or kind == OPT else 0, offset + 4, start, start + length
        )
        offset = start + length


def _skip_name(data: bytes, offset: int) -> int:
    while True:
        if offset >= len(data):
            raise _MalformedError
        length = data[offset]
        if length == 0:
            return offset + 1
        if length >= 0xC0:
            return offset + 2
        if length >= 0x40:
            raise _MalformedError
        offset += length + 1


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    octets = 0
    while True:
        if offset >= len(data):
            raise _MalformedError
        length = data[offset]
        offset += 1
        if length == 0:
            return ".".join(labels), offset
        label = data[offset : offset + length].lower()
        octets += length + 1
        # a pointer too: a question's name has nothing before it to point to but the number, which changes on its way
        if length >= 0x40 or len(label) < length or octets > 254:
            raise _MalformedError
        labels.append(label.decode() if _PLAIN.issuperset(label) else _escaped(label))
        offset += length


def _escaped(label: bytes) -> str:
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in label)
