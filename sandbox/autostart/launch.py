"""How the machine is to start containers: a command and the variables that it needs to find what it needs."""

from __future__ import annotations

from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENTS = ("system", "autostart", "run")
#: who starts it has another environment than a person's shell: where things lie, and where helper programs are
_VARIABLES = ("PATH", "XDG_DATA_HOME", "XDG_CONFIG_HOME")


class Launch(NamedTuple):
    """`words` begin with an absolute path; `variables` as pairs."""

    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()


def launch_of(command: tuple[str, ...], env: Mapping[str, str]) -> Launch:
    """The launch of `command`, which is how `sandbox` is called on this machine."""
    return Launch((*command, *_ARGUMENTS), tuple((name, env[name]) for name in _VARIABLES if env.get(name)))


def refuse_line_breaks(launch: Launch) -> None:
    """Raise HostError for what would be another line of a file of lines."""
    for text in (*launch.words, *(value for _name, value in launch.variables)):
        if "\n" in text or "\r" in text or "\0" in text:
            raise HostError("a path with a line break cannot be started at boot", cause=repr(text))
