"""What a command line changes in a service. One that is made is a service of its image alone, changed: an option of
`create` is the `-add` option of `update`.
"""

from __future__ import annotations

from sandbox.cli.container_options.reading import invalid_argument
from sandbox.cli.service_options.table import UNSUPPORTED
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import TypeVar

    from sandbox.cli.command import Invocation
    from sandbox.secret.record import Kind

    _T = TypeVar("_T")


class Lookups(NamedTuple):
    """What names are asked of, where options name things."""

    #: a kind ("secret", "config") and a name -> the object's id. Raises NotFoundError
    object_id: Callable[[Kind, str], str]
    #: a network's name or id -> its name. Raises NotFoundError
    network_name: Callable[[str], str]


class Changes(NamedTuple):
    """The options of one call."""

    invocation: Invocation
    lookups: Lookups
    is_update: bool = False

    def any_given(self, *keys: str) -> bool:
        return any(self.invocation.given(key) for key in keys)

    def key_added(self, key: str) -> str:
        """The option that adds to a list."""
        return f"{key}-add" if self.is_update else key

    def has_list(self, key: str) -> bool:
        """Whether a list is changed."""
        return self.invocation.given(self.key_added(key)) or (self.is_update and self.invocation.given(f"{key}-rm"))

    def added(self, key: str, parse: Callable[[str], _T]) -> tuple[_T, ...]:
        """What is added to a list, read. Raises UsageError."""
        name = self.key_added(key)
        return tuple(self._parse(name, text, parse) for text in self.invocation.texts(name))

    def removed(self, key: str) -> frozenset[str]:
        """What is taken off a list, as it was typed."""
        return frozenset(self.invocation.texts(f"{key}-rm")) if self.is_update else frozenset()

    def one(self, key: str, present: _T, parse: Callable[[str], _T]) -> _T:
        """The value of an option; `present` where it was not given. Raises UsageError."""
        text = self.invocation.text(key) if self.invocation.given(key) else None
        return present if text is None else self._parse(key, text, parse)

    def text(self, key: str, present: str | None) -> str | None:
        """A text; an empty one is none, and takes away what was said before."""
        return (self.invocation.text(key) or None) if self.invocation.given(key) else present

    def flag(self, key: str, present: bool | None) -> bool | None:
        return self.invocation.flag(key) if self.invocation.given(key) else present

    def whole_number(self, key: str, present: int) -> int:
        """A number that is not negative. Raises UsageError."""
        if not self.invocation.given(key):
            return present
        number = self.invocation.number(key) or 0
        if number < 0:
            text = str(number)
            slip = UsageError(f'strconv.ParseUint: parsing "{text}": invalid syntax', mend=f"--{key} 1")
            raise invalid_argument(self.invocation, key, text, slip)
        return number

    def duration_ns(self, key: str, present_ns: int) -> int:
        """A span of time that is not negative. Raises UsageError."""
        from sandbox.grammar.durations import parse_duration

        span_ns = self.one(key, present_ns, parse_duration)
        if span_ns < 0:
            raise UsageError(f"--{key} cannot be negative", mend=f"--{key} 10s")
        return span_ns

    def one_of(self, key: str, present: str, known: tuple[str, ...]) -> str:
        """A word out of a few. Raises UsageError."""
        value = self.text(key, present) or present
        if value not in known:
            raise UsageError(f"--{key}: {value!r} is none of {', '.join(known)}", mend=f"--{key} {known[0]}")
        return value

    def _parse(self, key: str, text: str, parse: Callable[[str], _T]) -> _T:
        try:
            return parse(text)
        except UsageError as error:
            raise invalid_argument(self.invocation, key, text, error) from error


def merged(
    present: Iterable[_T], added: Iterable[_T], key: Callable[[_T], Hashable], removed: Callable[[_T], bool]
) -> tuple[_T, ...]:
    """A list without what is removed, with what is added: that takes the place of what has the same key."""
    found = {key(each): each for each in present if not removed(each)}
    found.update((key(each), each) for each in added)
    return tuple(found.values())


def refuse_unsupported(invocation: Invocation) -> None:
    """Raise UsageError for an option that means another machine or another system; what says nothing is let pass."""
    for key, why in UNSUPPORTED.items():
        if invocation.values.get(key) not in (None, "", ()):
            raise UsageError(f"--{key} is not supported", cause=why, mend=f"leave out --{key}")
    if (invocation.text("isolation") or "default") != "default":
        raise UsageError("--isolation is not supported", cause="it is of containers of Windows", mend="leave it out")
