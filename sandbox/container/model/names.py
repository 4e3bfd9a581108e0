"""Names of containers: the rule they obey, and names made up for those who gave none."""

from __future__ import annotations

import os

from sandbox.errors import UsageError

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_.-")

_ADJECTIVES = (
    "agile amber apt balmy bold brisk calm candid clear clever coral cosy crisp deft eager early easy fair fleet fond "
    "frank fresh gentle glad golden grand happy hardy hazel honest humble jolly jovial keen kind level light lively "
    "loyal lucid lunar mellow merry mild modest neat nimble noble olive open patient placid plucky polite proud quick "
    "quiet rapid ready robust rosy round sage serene sharp silent silver smart smooth sober solar solid spry stable "
    "steady sturdy sunny sure swift tidy tranquil true upbeat vivid warm whole wise witty zesty"
)
#: people of computing and of mathematics
_SURNAMES = (
    "abel allen backus banach bartik bell boole borg brooks cerf cantor church clarke conway cook cray curry dahl "
    "dijkstra diffie easley engelbart erdos euler floyd frege galois gauss germain godel goldberg gray hamming "
    "hamilton hellman hilbert hoare holberton hopper huffman iverson jacobi johnson kahan kahn karp kay keller kleene "
    "knuth kolmogorov lagrange lamport leibniz liskov lovelace lukasiewicz markov mccarthy milner mirzakhani moore "
    "naur newell noether nygaard pascal perlis perlman peter postel rabin riemann ritchie robinson sammet scott "
    "shannon shaw simon stallman stearns stibitz tarjan tarski thompson turing ulam vaughan wilkes wirth yao zuse"
)


def check_name(name: str) -> str:
    """`name` without the leading slash Docker prints; raises UsageError where it breaks the rule.

    The rule keeps a name from ever being read as a path or an option.
    """
    bare = name.removeprefix("/")
    if len(bare) < 2 or bare[0] not in _FIRST or not _REST.issuperset(bare):
        raise UsageError(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            mend="--name web-1; two characters are the least",
        )
    if len(bare) > 255:
        raise UsageError(f"Invalid container name ({name[:40]}…): it has more than 255 characters")
    return bare


def random_name(attempt: int = 0) -> str:
    """A made-up name such as "serene_hopper"; a digit is added from the third `attempt` on."""
    number = int.from_bytes(os.urandom(4), "big")
    adjectives, surnames = _ADJECTIVES.split(), _SURNAMES.split()
    adjective = adjectives[number % len(adjectives)]
    surname = surnames[number // len(adjectives) % len(surnames)]
    return f"{adjective}_{surname}" + (str(number % 10 ** (attempt - 1)) if attempt >= 2 else "")
