"""Answers of name servers, kept for as long as they say."""

from __future__ import annotations

import time

from net.dns_wire import RECURSE, Question, Summary, with_lifetimes
from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds for which an answer is kept at most
LONGEST_LIFETIME = 3600
#: answers that are kept, and octets of one
_ANSWERS, _LARGEST_ANSWER = 2048, 4096
#: header bits by which answers differ: recursion, authentic data, checking disabled
_FLAGS = RECURSE | 0x0020 | 0x0010

#: questions with the same key have the same answer
QuestionKey = tuple[str, int, int, int, bool, bool]


class _Kept(NamedTuple):
    answer: bytes
    lifetimes: tuple[int, ...]
    #: of the clock, in seconds
    since: float
    until: float


def key_of(question: Question) -> QuestionKey:
    """What two questions must share to have the same answer."""
    return (
        question.name,
        question.kind,
        question.family,
        question.flags & _FLAGS,
        question.extended,
        question.signed,
    )


def boot_time() -> float:
    """Seconds since the host was started, those of its sleep too: an answer ages while a lid is closed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AnswerCache:
    """Answers by question. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._kept: dict[QuestionKey, _Kept] = {}

    def get(self, question: Question) -> bytes | None:
        """The answer, its lifetimes as they are now; None where none is kept."""
        key = key_of(question)
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._clock()
        if now >= kept.until:
            del self._kept[key]
            return None
        return with_lifetimes(kept.answer, kept.lifetimes, int(now - kept.since))

    def keep(self, question: Question, answer: bytes, summary: Summary, longest: int = LONGEST_LIFETIME) -> None:
        """Keep an answer for `longest` seconds at most; one that may not be kept is passed over."""
        lifetime = min(summary.lifetime, longest)
        if lifetime <= 0 or summary.cut or question.odd or len(answer) > _LARGEST_ANSWER:
            return
        while len(self._kept) >= _ANSWERS:
            del self._kept[next(iter(self._kept))]
        now = self._clock()
        self._kept[key_of(question)] = _Kept(answer, summary.lifetimes, now, now + lifetime)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
