"""Which of the names that are known was meant by one that is not. Imported where an error is on its way only."""

from __future__ import annotations

from posixpath import commonprefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: comparing takes time by the square of the length, and no name of ours is long
_LONGEST = 40
#: nor is anybody to wait for a directory or a registry of many thousand names to be compared
_MOST = 500


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that is close to `word` without being it, whatever their cases; "" where none is."""
    if not 0 < len(word) <= _LONGEST:
        return ""
    folded = {name.lower(): name for name in known if len(name) <= 2 * _LONGEST}
    lowered = word.lower()
    if lowered in folded:
        return "" if word == folded[lowered] else folded[lowered]
    if len(folded) > _MOST:
        # a slip is seldom in the first letter, and hardly ever in how many there are
        like = sorted(
            (name for name in folded if name[:1] == lowered[0] and abs(len(name) - len(lowered)) <= 2),
            key=lambda name: (-len(commonprefix((name, lowered))), name),
        )
        folded = {name: folded[name] for name in like[:_MOST]}
    # of names equally far, the one of the same letters: two of them changed places (RNU is RUN, not ENV); then one of
    # the same length: a wrong letter is more likely than one too many (rum is run, not rm)
    ranked = (
        (_distance(lowered, name), sorted(name) != sorted(lowered), len(name) != len(lowered), name) for name in folded
    )
    distance, _, _, near = min(ranked, default=(99, True, True, ""))
    if distance > 2 or distance >= len(word):
        from difflib import get_close_matches

        near = next(iter(get_close_matches(lowered, folded, n=1)), "")
    return folded[near] if near else ""


def _distance(one: str, other: str) -> int:
    """How many characters must be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, against in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (char != against))
    return row[-1]
