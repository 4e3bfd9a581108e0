"""What ps would show, read from /proc, on a host that has no ps: `-ef`, `aux`, and `-o` with the usual columns."""

from __future__ import annotations

import os
import pwd
import time

from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.container.usage.processes import Process

_TICKS = os.sysconf("SC_CLK_TCK")
_DAY = 24 * 3600
_FULL = ("uid_name", "pid", "ppid", "c", "stime", "tty", "time", "cmd")
_AUX = ("user", "pid", "pcpu", "pmem", "vsz", "rss", "tty", "stat", "start", "time", "command")


class _Row(NamedTuple):
    """A process with what its columns are made of."""

    process: Process
    status: dict[str, str]
    arguments: str
    now: float
    booted: float

    @property
    def started(self) -> float:
        return self.booted + self.process.start / _TICKS

    @property
    def cpu_seconds(self) -> float:
        return (self.process.user_ticks + self.process.system_ticks) / _TICKS

    @property
    def cpu_percent(self) -> float:
        lived = self.now - self.started
        return 100.0 * self.cpu_seconds / lived if lived > 0 else 0.0

    @property
    def user(self) -> str:
        uid = self.status.get("Uid", "0 0").split()[1]
        try:
            return pwd.getpwuid(int(uid)).pw_name
        except KeyError:
            return uid

    def kib(self, name: str) -> int:
        return int(self.status.get(name, "0 kB").split()[0])


#: a column as `-o` calls it: its title, and its text
_COLUMNS: dict[str, tuple[str, Callable[[_Row], str]]] = {
    "uid_name": ("UID", lambda row: row.user),
    "user": ("USER", lambda row: row.user),
    "uid": ("UID", lambda row: row.status.get("Uid", "0 0").split()[1]),
    "pid": ("PID", lambda row: str(row.process.pid)),
    "ppid": ("PPID", lambda row: str(row.process.parent)),
    "c": ("C", lambda row: str(min(99, int(row.cpu_percent)))),
    "pcpu": ("%CPU", lambda row: f"{row.cpu_percent:.1f}"),
    "pmem": ("%MEM", lambda row: f"{100.0 * row.kib('VmRSS') * 1024 / _machine_bytes():.1f}"),
    "vsz": ("VSZ", lambda row: str(row.kib("VmSize"))),
    "rss": ("RSS", lambda row: str(row.kib("VmRSS"))),
    "tty": ("TTY", lambda _row: "?"),
    "stat": ("STAT", lambda row: row.process.state),
    "nlwp": ("NLWP", lambda row: str(row.process.threads)),
    "stime": ("STIME", lambda row: _clock(row)),
    "start": ("START", lambda row: _clock(row)),
    "time": ("TIME", lambda row: _span(int(row.cpu_seconds), hours=True)),
    "etime": ("ELAPSED", lambda row: _span(max(0, int(row.now - row.started)), hours=False)),
    "comm": ("COMMAND", lambda row: row.status.get("Name", "")),
    "cmd": ("CMD", lambda row: row.arguments),
    "command": ("COMMAND", lambda row: row.arguments),
}
_OTHER_NAMES = {
    "%cpu": "pcpu", "%mem": "pmem", "args": "command", "euser": "user", "euid": "uid", "s": "stat", "state": "stat",
    "tt": "tty", "tname": "tty", "rssize": "rss", "vsize": "vsz", "thcount": "nlwp", "ucmd": "comm", "lstart": "start",
}  # fmt: skip


def make_table(
    processes: Sequence[Process], words: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Titles and rows of `processes` for ps's arguments. Raises SandboxError for what only ps itself can do."""
    columns = [_COLUMNS[name] for name in _columns_for(list(words))]
    rows = [row for process in processes if (row := _read_row(process)) is not None]
    return tuple(title for title, _text in columns), tuple(tuple(text(row) for _, text in columns) for row in rows)


def _columns_for(words: list[str]) -> tuple[str, ...]:
    if words in (["-ef"], ["-e", "-f"], ["-f"], ["-fe"]):
        return _FULL
    if words in (["aux"], ["-aux"], ["u"], ["-u"]):
        return _AUX
    text = " ".join(words)
    for option in ("-eo", "-o", "o"):
        if text.startswith(option):
            names = text.removeprefix(option).replace(",", " ").split()
            known = [_OTHER_NAMES.get(name, name) for name in names]
            if known and all(name in _COLUMNS for name in known):
                return tuple(known)
    raise SandboxError(
        f"cannot list processes with {text!r}",
        cause="this host has no ps; without it there are -ef, aux, and -o with the usual columns",
        mend="sudo apt-get install procps",
    )


def _read_row(process: Process) -> _Row | None:
    try:
        with open(f"/proc/{process.pid}/status", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        # it ended just now
        return None
    arguments = " ".join(words).strip() or f"[{status.get('Name', '')}]"
    now = time.time()
    return _Row(process, status, arguments, now, now - time.clock_gettime(time.CLOCK_BOOTTIME))


def _clock(row: _Row) -> str:
    """When it started: the time of a process of today, the day of another."""
    started = time.localtime(row.started)
    return time.strftime("%H:%M" if row.now - row.started < _DAY else "%b%d", started)


def _span(seconds: int, *, hours: bool) -> str:
    days, rest = divmod(seconds, _DAY)
    head = f"{days}-" if days else ""
    shown = time.strftime("%H:%M:%S" if hours or rest >= 3600 or days else "%M:%S", time.gmtime(rest))
    return head + shown


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
