"""What may stand between a noun and its verb: `compose -f FILE config`."""

from __future__ import annotations

import sys

from sandbox.cli.index import NOUN_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.flags import Option


def noun_options(noun: str) -> tuple[Option, ...]:
    """The options of a noun; imports the module that says them."""
    name = NOUN_OPTIONS.get(noun)
    if name is None:
        return ()
    # importlib is an import of its own
    __import__(name)
    options: tuple[Option, ...] = sys.modules[name].OPTIONS
    return options


def options_everywhere(noun: str) -> tuple[Option, ...]:
    """Those of the noun's options that may stand behind its verbs too."""
    every = noun_options(noun)
    names: tuple[str, ...] = vars(sys.modules[NOUN_OPTIONS[noun]])["EVERYWHERE"]
    return tuple(option for option in every if option.key in names)
