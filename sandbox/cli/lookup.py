"""Which command words mean, global options read on the way."""

from __future__ import annotations

import sys

from sandbox.cli.command import Command, Context
from sandbox.cli.flags import Option, option
from sandbox.cli.index import ALIASES, COMMANDS, INSTEAD, NOT_BUILT, NOUN_SUMMARIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

GLOBAL_OPTIONS: tuple[Option, ...] = (
    option("-D --debug", "flag", "Show tracebacks and what is asked of the kernel"),
    option("-v --version", "flag", "Print version information and quit"),
    option("-h --help", "flag", "Show this message and quit"),
    option("--install-completion", "text", "Install completion for the current shell, or for SHELL", "shell",
           bare="auto"),
    option("--show-completion", "text", "Print the completion script for the current shell, or for SHELL", "shell",
           bare="auto"),
    option("-H --host", "list", "Of Docker: the daemon to connect to", hidden=True),
    option("-c --context", "text", "Of Docker: the daemon to connect to", hidden=True),
    option("--config", "text", "Of Docker: the directory of its configuration", hidden=True),
    option("-l --log-level", "text", "Of Docker: what its client logs", hidden=True),
    *(option(f"--tls{name}", "flag", "Of Docker: how to reach the daemon", hidden=True) for name in ("", "verify")),
    *(option(f"--tls{name}", "text", "Of Docker: how to reach the daemon", hidden=True)
      for name in ("cacert", "cert", "key")),
)  # fmt: skip


#: the nouns whose verbs stand at the top level too
_LIFTED = ("container", "image", "system")


def find_command(target: str) -> Command:
    """The command of a full path such as "container run"; imports its module."""
    name = f"sandbox.cli.commands.{COMMANDS[target][0]}"
    # importlib is an import of its own
    __import__(name)
    module = sys.modules[name]
    for command in module.COMMANDS:
        if command.path == target:
            assert isinstance(command, Command)
            return command
    raise AssertionError(f"{module.__name__} does not hold {target}")


def unknown_command(context: Context, path: str, topics: Collection[str] = ()) -> int:
    """Say that there is no command `path`, and what may have been meant; `topics` of help may have been, too."""
    from sandbox.near_names import nearest

    noun, _, word = path.rpartition(" ")
    if path in NOT_BUILT or path.split()[0] in NOT_BUILT or (noun in _LIFTED and word in NOT_BUILT):
        instead = next((INSTEAD[key] for key in (path, word, path.split()[0]) if key in INSTEAD), "")
        mend = f"\nUse instead: {instead}" if instead else ""
        context.note(f"sandbox: '{path}' is not built yet{mend}\n\nRun 'sandbox --help' for what is there")
        return 1
    known = [name.rpartition(" ") for name in (*ALIASES, *COMMANDS, *NOUN_SUMMARIES)]
    near = nearest(word, [*(verb for under, _, verb in known if under == noun), *topics])
    meant = f"help {near}" if near in topics else f"{noun} {near}".strip()
    hint = f"\n\nDid you mean: sandbox {meant}" if near else ""
    usage = f"\n\nUsage:  sandbox {noun} COMMAND" if noun else ""
    asked = f"sandbox {noun} --help" if noun else "sandbox --help"
    context.note(f"sandbox: unknown command: sandbox {path}{hint}{usage}\n\nRun '{asked}' for more information")
    return 1
