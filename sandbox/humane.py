"""Sizes, times and texts as Docker shows them to people (the go-units package, and the CLI's formatter)."""

from __future__ import annotations

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
#: seconds below which a unit is used, the length of the unit, and its name
_LONG_UNITS = ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 730, 24 * 30, "months"))
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def human_duration(seconds: float) -> str:
    """A span in one unit: "Less than a second", "About a minute", "2 hours"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for below, length, name in _LONG_UNITS:
        if hours < below:
            return f"{hours // length} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(then_ns: int, now_ns: int) -> str:
    """How long before `now_ns` the Unix time `then_ns` was: "2 hours ago"; "N/A" where it is not known."""
    if then_ns <= 0:
        return "N/A"
    return f"{human_duration((now_ns - then_ns) / 1e9)} ago"


def human_size(size_bytes: float, digits: int = 4) -> str:
    """Decimal units: "1.235MB"; listings use three digits."""
    return _scaled(size_bytes, 1000, _DECIMAL, digits)


def binary_size(size_bytes: float) -> str:
    """Binary units: "1.205GiB"."""
    return _scaled(size_bytes, 1024, _BINARY, 4)


def _scaled(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    index = 0
    while size >= base and index < len(units) - 1:
        size /= base
        index += 1
    text = f"{size:.{digits}g}"
    if "e" in text and index < len(units) - 1 and base == 1000:
        # 999.9 with three digits would be 1e+03MB: people want 1GB
        return f"{size / base:.{digits}g}{units[index + 1]}"
    if "e" in text:
        text = f"{size:.0f}"
    return text + units[index]


def short_id(text: str) -> str:
    """The first 12 characters of an id or digest, without its algorithm."""
    return text.partition(":")[2][:12] if ":" in text else text[:12]


def display_width(text: str) -> int:
    """The columns a terminal gives to `text`."""
    if text.isascii():
        return len(text)
    # rarely needed, and a shared object of its own on some systems
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def ellipsis(text: str, width: int) -> str:
    """At most `width` columns of `text`; where it is cut, the last is an ellipsis."""
    if width <= 0:
        return ""
    if display_width(text) <= width:
        return text
    if width == 1:
        return text[:1]
    kept, used = [], 0
    for character in text:
        used += display_width(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def quoted(text: str) -> str:
    """`text` in double quotes, escaped as Go's strconv.Quote does."""
    body = "".join(
        "\\" + c if c in '"\\' else c if c.isprintable() else _escape(c) for c in text
    )  # fmt: skip
    return f'"{body}"'


def quoted_command(words: tuple[str, ...], *, truncate: bool = True) -> str:
    """The COMMAND column: the words joined, arguments with blanks in quotes, cut to 20 columns, the whole quoted."""
    text = " ".join((*words[:1], *(f"'{word}'" if " " in word else word for word in words[1:])))
    return quoted(ellipsis(text, 20) if truncate else text)


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal written as an escape.

    Names, labels and commands come from hostile images: an escape sequence in one could rewrite the screen.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    known = _ESCAPES.get(character)
    if known:
        return known
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def rfc3339(time_ns: int) -> str:
    """A Unix time in UTC with nanoseconds, as Docker's JSON has it; Go's zero time for 0."""
    from time import gmtime, strftime

    if time_ns == 0:
        return "0001-01-01T00:00:00Z"
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds)) + fraction + "Z"


def created_at(time_ns: int) -> str:
    """The CreatedAt field of listings: local time, "2026-11-23 22:41:05 +0000 UTC"."""
    from time import localtime, strftime

    return strftime("%Y-%m-%d %H:%M:%S %z %Z", localtime(time_ns // 1_000_000_000))


def local_time(time_ns: int) -> str:
    """RFC 3339 in local time, "2026-11-23T22:41:05+01:00"; of UTC with a Z, as Go writes it."""
    from time import localtime, strftime

    moment = localtime(time_ns // 1_000_000_000)
    zone = strftime("%z", moment)
    return strftime("%Y-%m-%dT%H:%M:%S", moment) + (f"{zone[:3]}:{zone[3:]}" if moment.tm_gmtoff else "Z")


def short_digest(digest: str) -> str:
    """The twelve digits people know a layer by."""
    return digest.removeprefix("sha256:")[:12]
