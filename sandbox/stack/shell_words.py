"""A text as the words that Docker's Compose finds in it: quotes and backslashes, and nothing else of a shell."""

from __future__ import annotations

_ENDS = frozenset(";&|<>")
_SPACES = frozenset(" \t\r\n")
_ESCAPED = {"t": "\t", "n": "\n"}


class _Splitter:
    """The words so far, and the one that is being read."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.quote = ""
        self._word: str | None = None

    def add(self, char: str) -> None:
        self._word = (self._word or "") + char

    def ends_in(self, char: str) -> bool:
        return (self._word or "").endswith(char)

    def take_descriptor(self) -> str:
        """The word before a `>` where it names a descriptor, and is no word of the command."""
        if not self._word or self._word[0] not in "0123456789":
            return ""
        word, self._word = self._word, None
        return word

    def end_word(self) -> None:
        if self._word is not None:
            self.words.append(self._word)
        self._word = None


def split_words(text: str) -> tuple[tuple[str, ...], str]:
    """The words of `text`, and what is left out of it: a shell alone would make anything of what stands from a `;`,
    `&`, `|`, `<` or `>` on. Raises ValueError.
    """
    reading, escaped, left_out = _Splitter(), False, ""
    for position, char in enumerate(text):
        if escaped:
            reading.add(_ESCAPED.get(char, char))
            escaped = False
        elif char == "\\" and reading.quote != "'":
            escaped = True
        elif char in _SPACES and not reading.quote:
            reading.end_word()
        elif char in _ENDS and not reading.quote:
            left_out = (reading.take_descriptor() if char == ">" else "") + text[position:]
            break
        else:
            _read(reading, char)
    if escaped or reading.quote:
        raise ValueError("it ends behind a backslash" if escaped else f"a {reading.quote} has no end")
    reading.end_word()
    return tuple(reading.words), left_out


def _read(reading: _Splitter, char: str) -> None:
    """Take one character that ends no word."""
    if char in "\"'" and reading.quote in ("", char):
        reading.quote = "" if reading.quote else char
        reading.add("")
    elif char == "`" and reading.quote in ("", char):
        reading.quote = "" if reading.quote else char
        reading.add(char)
    elif char == "(" and not reading.quote:
        if not reading.ends_in("$"):
            raise ValueError("a ( stands outside of quotes")
        reading.quote = ")"
        reading.add(char)
    elif char == ")" and reading.quote in ("", ")"):
        reading.quote = "" if reading.quote else ")"
        reading.add(char)
    else:
        reading.add(char)
