"""An entry of the user's crontab, in a block of its own: everything else in there stays byte for byte."""

from __future__ import annotations

import itertools
import os
import subprocess
from contextlib import suppress

from net.programs import find_program, install_command
from sandbox.autostart.launch import Launch, refuse_line_breaks
from sandbox.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN = "# sandbox autostart: begin (by `sandbox system autostart enable`; `disable` removes it)"
END = "# sandbox autostart: end"
_BEGINS, _ENDS = "# sandbox autostart: begin", "# sandbox autostart: end"
#: by the names that proc(5) shows
_DAEMONS = ("cron", "crond", "fcron")
#: what the programs that there are say where a user has none
_NONE_YET = ("no crontab for", "no such file")


def entry_text(launch: Launch, log: str) -> str:
    """The entry, crontab(5); what it prints goes to the file `log`. Raises HostError for a path that it cannot hold."""
    from shlex import quote

    refuse_line_breaks(launch)
    said = [f"{name}={quote(value)}" for name, value in launch.variables]
    said += [*map(quote, launch.words), f">{quote(log)}", "2>&1"]
    # a percent sign is a line break there
    return "@reboot " + " ".join(said).replace("%", "\\%")


def entry_variables(entry: str) -> dict[str, str]:
    """The variables that an entry of ours gives."""
    from shlex import split

    found = {}
    for word in split(entry.removeprefix("@reboot ").replace("\\%", "%")):
        name, equals, value = word.partition("=")
        if not equals or not name.replace("_", "").isalnum():
            break
        found[name] = value
    return found


def with_block(crontab: str, entry: str) -> str:
    """The crontab with this entry in our block, at its end."""
    kept = without_block(crontab)
    if kept and not kept.endswith("\n"):
        kept += "\n"
    return f"{kept}{BEGIN}\n{entry}\n{END}\n"


def without_block(crontab: str) -> str:
    """The crontab without our block. One whose end somebody has removed has a single entry."""
    kept, lines = [], crontab.splitlines(keepends=True)
    position = 0
    while position < len(lines):
        if not lines[position].startswith(_BEGINS):
            kept.append(lines[position])
            position += 1
            continue
        position += 1
        if position < len(lines) and lines[position].startswith("@reboot "):
            position += 1
        if position < len(lines) and lines[position].startswith(_ENDS):
            position += 1
    return "".join(kept)


def block_entry(crontab: str) -> str | None:
    """The entry in our block; None where there is no block, or no entry in it."""
    lines = crontab.splitlines()
    for line, following in itertools.pairwise(lines):
        if line.startswith(_BEGINS) and following.startswith("@reboot "):
            return following
    return None


def find_crontab(env: Mapping[str, str]) -> str | None:
    """The program that changes it, None where no cron is installed."""
    return find_program("crontab", env.get("PATH", ""))


def is_daemon_there(proc: str = "/proc") -> bool:
    """Whether a cron runs that would read crontabs."""
    for name in os.listdir(proc):
        if name.isdecimal():
            with suppress(OSError), open(f"{proc}/{name}/comm") as file:
                if file.read().strip() in _DAEMONS:
                    return True
    return False


def no_cron_error() -> HostError:
    """For a machine that has nothing that could start containers."""
    return HostError(
        "nothing on this machine can start containers at boot",
        cause="systemd is not its init system, and there is no program crontab",
        mend=install_command("cron"),
    )


def read_crontab(program: str) -> str:
    """The user's crontab, "" where there is none. Raises HostError where it cannot be read: nothing may be written
    over it then.
    """
    done = _run(program, "-l")
    said = done.stderr.strip()
    if done.returncode == 0:
        return done.stdout
    if not any(text in said.lower() for text in _NONE_YET):
        raise HostError("cannot read the crontab", cause=said or f"{program} -l ended with {done.returncode}")
    return ""


def write_crontab(program: str, text: str) -> None:
    """Put another crontab in its place, none where `text` is empty. Raises HostError."""
    done = _run(program, "-", input=text) if text else _run(program, "-r")
    if done.returncode:
        cause = done.stderr.strip() or f"{program} ended with {done.returncode}"
        raise HostError("cannot write the crontab", cause=cause, mend="crontab -e")


def _run(program: str, option: str, input: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, option], input=input, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
        )
    except OSError as error:
        raise HostError(f"cannot run {program}", cause=error.strerror or "") from error
