"""`top`: what runs in a container, as the host's ps shows it; the image needs none, and none of it is executed."""

from __future__ import annotations

import re
import subprocess
from shutil import which

from sandbox.container.usage.processes import First, processes_of
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.container.model.record import Container

DEFAULT_ARGUMENTS = "-ef"
#: a heading of one's own, "-o user=PID", would be taken for the column of that name
_PID_HEADING = re.compile(r"\s+(\S*)=\s*(PID\S*)", re.ASCII)


class ProcessTable(NamedTuple):
    """What ps says, as texts; each row has as many as there are titles."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def list_processes(container: Container, arguments: str, env: Mapping[str, str]) -> ProcessTable | None:
    """The processes of a container, None where it does not run; `arguments` are those of ps, "" for Docker's choice.

    Raises SandboxError where ps refuses, or shows no PID.
    """
    for name, heading in _PID_HEADING.findall(f" {arguments}"):
        if name != "pid":
            raise SandboxError(f'specifying "{name}={heading}" is not allowed', mend="leave the heading out")
    first = First(container.state.pid, container.state.pid_start)
    found = processes_of({container.id: first}) if container.state.pid else {}
    if container.id not in found:
        return None
    processes = [process for process in found[container.id] if not process.has_ended]
    words = (arguments or DEFAULT_ARGUMENTS).split()
    path = env.get("PATH", "")
    # sbin and the like are left to who sets them; a path that is empty would be the current directory
    program = which("ps", path=path or "/usr/bin:/bin")
    if program is None:
        from sandbox.container.usage.proc_table import make_table  # few hosts lack ps

        return ProcessTable(*make_table(processes, words))
    pids = [process.pid for process in processes]
    return read_ps_output(_run_ps(program, words, pids, path), frozenset(pids))


def _run_ps(program: str, words: Sequence[str], pids: Sequence[int], path: str) -> str:
    # without COLUMNS and the like, which cut lines
    env = {"PATH": path, "LC_ALL": "C.UTF-8"}
    done = None
    # some options, such as `f`, cannot be had with a list of pids
    for listed in ((f"-q{','.join(map(str, pids))}",), ()):
        done = subprocess.run(
            [program, *words, *listed], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode == 0:
            return done.stdout.decode(errors="backslashreplace")
    assert done is not None
    said = done.stderr.decode(errors="backslashreplace").strip().partition("\n")[0]
    raise SandboxError(f"ps: {said or f'exit status {done.returncode}'}", mend="man ps")


def read_ps_output(text: str, pids: frozenset[int]) -> ProcessTable:
    """The lines of ps that are about `pids`, and those of their threads. Raises SandboxError."""
    first, *lines = text.split("\n")
    titles = first.split()
    if "PID" not in titles:
        raise SandboxError("Couldn't find PID field in ps output", mend="-o pid,cmd: with pid among the columns")
    column = titles.index("PID")
    rows = []
    is_taken = False
    for line in lines:
        # the last column may have spaces
        fields = line.split(None, len(titles) - 1)
        if len(fields) <= column:
            continue
        # `m` shows the threads of the process above, with a dash for the number
        if fields[column] != "-":
            if not fields[column].isdecimal():
                raise SandboxError(f"Unexpected pid '{fields[column]}' in ps output")
            is_taken = int(fields[column]) in pids
        if is_taken:
            rows.append((*map(str.rstrip, fields), *[""] * (len(titles) - len(fields))))
    return ProcessTable(tuple(titles), tuple(rows))
