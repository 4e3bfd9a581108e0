"""The packages' `named_tuple`s against `typing.NamedTuple`: what a reader of either expects holds for both."""

from __future__ import annotations

import copy
import pickle
import typing
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import named_tuple
from storage import named_tuple as storage_named_tuple
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable


class Ours(named_tuple.NamedTuple):
    """A value."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(self.third)

    @classmethod
    def of(cls, text: str) -> Ours:
        return cls(int(text))


class Theirs(typing.NamedTuple):
    """A value."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()


class OursOfTrees(storage_named_tuple.NamedTuple):
    """A value."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(self.third)

    @classmethod
    def of(cls, text: str) -> OursOfTrees:
        return cls(int(text))


class EmptyOfTrees(storage_named_tuple.NamedTuple):
    pass


class Empty(named_tuple.NamedTuple):
    pass


USES: list[Callable[[Any], Any]] = [  # Any: either of two classes that share no type
    lambda kind: tuple(kind(1)),
    lambda kind: tuple(kind(1, third=(3,))),
    lambda kind: tuple(kind(*(1, "x", (2,)))),
    lambda kind: kind(first=1).second,
    lambda kind: kind(1)._replace(second="b")._asdict(),
    lambda kind: tuple(kind._make([1, "b", ()])),
    lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__),
    lambda kind: repr(kind(1)).partition("(")[2],
    lambda kind: (kind(1) == (1, "two", ()), kind(1) < kind(2), hash(kind(1)) == hash(kind(1))),
    lambda kind: tuple(copy.deepcopy(kind(1))),
    lambda kind: pickle.loads(pickle.dumps(kind(1))) == kind(1),
    lambda kind: kind.__doc__,
    lambda kind: sorted(kind.__annotations__),
    lambda kind: hasattr(kind(1), "__dict__"),
]


@pytest.mark.parametrize("ours", [Ours, OursOfTrees])
@pytest.mark.parametrize("use", USES)
def test_it_does_what_typing_does(use: Callable[[Any], Any], ours: type) -> None:
    assert use(ours) == use(Theirs)


BAD_USES: list[Callable[[Any], Any]] = [
    lambda kind: kind(),
    lambda kind: kind(1, "b", (), 4),
    lambda kind: kind(1, first=1),
    lambda kind: kind(1, fourth=4),
    lambda kind: kind._make([1]) and kind._make([]),
    lambda kind: kind(1)._replace(fourth=4),
    lambda kind: setattr(kind(1), "first", 2),
    lambda kind: setattr(kind(1), "fourth", 2),
]


@pytest.mark.parametrize("kind", [Theirs, Ours, OursOfTrees])
@pytest.mark.parametrize("use", BAD_USES)
def test_it_refuses_what_typing_refuses(use: Callable[[Any], Any], kind: type) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        use(kind)


@pytest.mark.parametrize("value", [Ours.of("7"), OursOfTrees.of("7")])
def test_methods_and_patterns_work(value: Ours | OursOfTrees) -> None:
    assert value.length == 0
    match value:
        case Ours(first, second=second) | OursOfTrees(first, second=second):
            assert (first, second) == (7, "two")
    assert (Empty(), EmptyOfTrees()) == ((), ())


def test_the_two_lower_packages_have_the_same_one() -> None:
    assert (REPOSITORY / "net/named_tuple.py").read_text() == (REPOSITORY / "storage/named_tuple.py").read_text()
