"""What several containers write, told apart: each line behind the name of its container, in a colour of its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: of SGR, in Compose's order: as many names in a row look different
_COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")
_LONGEST_PART = 64 * 1024


class Prefixes:
    """What stands before the lines of each container: "web-1  | ", all as wide as the longest name that is known.

    A name is known once it was given or asked for; its colour is the next of a row. Without `shown` all are "".
    """

    def __init__(self, names: Iterable[str] = (), *, colour: bool, shown: bool = True) -> None:
        self._colour = colour
        self._shown = shown
        self._codes: dict[str, str] = {}
        for name in names:
            self._learn(name)

    def of(self, name: str) -> str:
        """The prefix of a container's lines; `name` is that without its project."""
        if not self._shown:
            return ""
        self._learn(name)
        width = max(map(len, self._codes)) + 1
        return self.coloured(name, f"{name:<{width}} | ")

    def coloured(self, name: str, text: str) -> str:
        """`text` in the colour of that container, where there are colours."""
        self._learn(name)
        return f"\x1b[{self._codes[name]}m{text}\x1b[0m" if self._colour else text

    def _learn(self, name: str) -> None:
        if name not in self._codes:
            self._codes[name] = _COLOURS[len(self._codes) % len(_COLOURS)]


class LineWriter:
    """Puts pieces of output together to lines, and hands each on behind its prefix.

    `prefix` is asked for at each line, as names may have become longer meanwhile; `write` gets whole lines.
    """

    def __init__(self, write: Callable[[bytes], None], prefix: Callable[[], str]) -> None:
        self._write = write
        self._prefix = prefix
        self._rest = b""

    @property
    def is_at_start(self) -> bool:
        """Whether the next piece begins a line."""
        return not self._rest

    def feed(self, data: bytes) -> None:
        """Take what was written next."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write(self._prefix().encode() + line.removesuffix(b"\r") + b"\n")
        if len(self._rest) > _LONGEST_PART:
            # a program that never ends its line is shown in parts, and not kept for ever
            self.flush()

    def flush(self) -> None:
        """Hand on what is left of a line that was not ended."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write(self._prefix().encode() + rest + b"\n")
