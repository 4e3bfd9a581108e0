"""Programs that lean on a file system, each run on a mounted overlay. Called as uid 0 of a namespace.

Each function gets a mount and returns "", or what was wrong. What a program itself finds wrong it says by its status.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from storage.trees.tree import remove_tree
from tests.filesystem.kernel_calls import adopt_orphans
from tests.filesystem.stands import Layers, kill_server, stand_named, unmount

if TYPE_CHECKING:
    from collections.abc import Callable

_ENV = {
    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip


class Mounted:
    """An overlay over one lower directory; `outside` is beside it, on the file system below."""

    def __init__(self, place: str) -> None:
        self._stand = stand_named("sandbox-overlay")
        self.layers = Layers((f"{place}/lower",), f"{place}/upper", f"{place}/work")
        self.target, self.outside = f"{place}/merged", f"{place}/outside"
        for directory in (*self.layers.lowers, self.layers.upper, self.layers.work, self.target, self.outside):
            os.makedirs(directory)
        self._server = 0

    def start(self) -> None:
        self._server = self._stand.mount(self.layers, self.target)

    def stop(self) -> None:
        unmount(self.target, self._server)

    def remount(self, *, kill: bool = False) -> None:
        if kill:
            kill_server(self._server)
        self.stop()
        self.start()

    def run(self, *words: str, directory: str = "", data: bytes | None = None) -> str:
        """Standard output. RuntimeError with what it said where it failed."""
        done = subprocess.run(
            words, cwd=directory or self.target, env=_ENV, input=data or b"", capture_output=True, check=False
        )
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode(errors="replace").strip()
            raise RuntimeError(f"{' '.join(words)[:200]}: {done.returncode}: {said[-2000:]}")
        return done.stdout.decode(errors="replace")


def run_program(place: str, function: Callable[..., str], *arguments: object) -> str:
    """`function` on a fresh mount; prepared by its `prepare` before, if it has one."""
    mounted = Mounted(place)
    prepare = _PREPARED.get(function)
    try:
        if prepare is not None:
            prepare(mounted.layers.lowers[0], *arguments)
        mounted.start()
        return function(mounted, *arguments)
    finally:
        mounted.stop()
        for name in os.listdir(place):
            remove_tree(f"{place}/{name}")


def make_repository(lower: str, objects: int) -> None:
    """A repository of about so many loose and packed objects in the lower layer."""
    repository = f"{lower}/origin"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], check=True, env=_ENV)
    files = objects * 9 // 10
    lines = [f"blob\nmark :{n}\ndata {len(f'content {n}')}\ncontent {n}\n" for n in range(1, files + 1)]
    commit = "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nc\n"
    paths = [f"M 100644 :{n} dir{n % 97:02d}/sub{n % 11}/file{n:05d}\n" for n in range(1, files + 1)]
    stream = "".join([*lines, commit, *paths]) + "\n"
    subprocess.run(["git", "-C", repository, "fast-import", "--quiet"], input=stream.encode(), check=True, env=_ENV)


def use_git(mounted: Mounted, objects: int) -> str:
    """Clone, change, commit, collect garbage, over a new mount and a killed server."""
    git = ("git", "-c", "safe.directory=*", "-c", "gc.auto=0")
    mounted.run(*git, "clone", "-q", f"file://{mounted.target}/origin", "clone")
    clone = f"{mounted.target}/clone"
    if mounted.run(*git, "status", "--short", directory=clone):
        return "a fresh clone is not clean"
    for number in range(1, 200):
        name = f"{clone}/dir{number % 97:02d}/sub{number % 11}/file{number:05d}"
        Path(name).write_text(f"changed {number}")
    mounted.run(*git, "commit", "-qam", "change", directory=clone)
    mounted.run(*git, "gc", "-q", directory=clone)
    mounted.remount(kill=True)
    mounted.run(*git, "fsck", "--full", directory=clone)
    mounted.run(
        *git, "gc", "-q", "--aggressive" if objects < 1000 else "--prune=now", directory=f"{mounted.target}/origin"
    )
    mounted.run(*git, "fsck", "--full", directory=f"{mounted.target}/origin")
    if mounted.run(*git, "status", "--short", directory=clone):
        return "the clone is not clean any more"
    return ""


def use_pip(mounted: Mounted) -> str:
    """Make a virtual environment, install a wheel, run its script, replace it by the next version, remove it."""
    for version in ("1", "2"):
        _make_wheel(f"{mounted.outside}/thing-{version}-py3-none-any.whl", version)
    mounted.run(sys.executable, "-m", "venv", "venv")
    pip = (f"{mounted.target}/venv/bin/python", "-m", "pip", "-q", "--disable-pip-version-check")
    for version in ("1", "2"):
        mounted.run(*pip, "install", "--no-index", "--find-links", mounted.outside, f"thing=={version}")
        said = mounted.run(f"{mounted.target}/venv/bin/thing")
        if said != f"thing {version}\n":
            return f"the script says {said!r}"
    mounted.remount()
    mounted.run(*pip, "check")
    mounted.run(*pip, "uninstall", "-y", "thing")
    left = [name for name in os.listdir(f"{mounted.target}/venv/bin") if name == "thing"]
    return f"left behind: {left}" if left else ""


def _make_wheel(path: str, version: str) -> None:
    info = f"thing-{version}.dist-info"
    modules = {f"thing/part{number:03d}.py": f"VALUE = {number}\n" for number in range(300)}
    files = {
        "thing/__init__.py": f"def main():\n    print('thing {version}')\n",
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nthing = thing:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def make_database(lower: str, _rows: int) -> None:
    with sqlite3.connect(f"{lower}/data.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (who INTEGER, number INTEGER, text TEXT, UNIQUE (who, number))")
    database.close()


def use_sqlite(mounted: Mounted, rows: int) -> str:
    """Four processes write one database in WAL mode; one more is killed in the middle of it."""
    path = f"{mounted.target}/data.db"
    children = []
    for who in range(4):
        pid = os.fork()
        if pid == 0:
            _write_rows(path, who, rows)
        children.append(pid)
    victim = os.fork()
    if victim == 0:
        _write_rows(path, 99, 10**9)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    os.kill(victim, 9)
    os.waitpid(victim, 0)
    if any(statuses):
        return f"writers ended with {statuses}"
    mounted.remount(kill=True)
    database = sqlite3.connect(path)
    try:
        if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            return "the database is corrupt"
        found = database.execute("SELECT who, count(*) FROM t WHERE who < 4 GROUP BY who ORDER BY who").fetchall()
    finally:
        database.close()
    return "" if found == [(who, rows) for who in range(4)] else f"rows: {found}"


def _write_rows(path: str, who: int, rows: int) -> None:
    status = 1
    try:
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
        database.execute("PRAGMA synchronous=FULL")
        for number in range(rows):
            database.execute("INSERT INTO t VALUES (?, ?, ?)", (who, number, "x" * 500))
        database.close()
        status = 0
    finally:
        os._exit(status)


def make_sources(lower: str, units: int) -> None:
    for number in range(units):
        Path(f"{lower}/unit{number}.c").write_text(f'#include "all.h"\nint unit{number}(void) {{ return {number}; }}\n')
    Path(f"{lower}/all.h").write_text("".join(f"int unit{number}(void);\n" for number in range(units)))
    calls = " + ".join(f"unit{number}()" for number in range(units))
    Path(f"{lower}/main.c").write_text(
        f'#include <stdio.h>\n#include "all.h"\nint main(void) {{ printf("%d\\n", {calls}); return 0; }}\n'
    )
    objects = " ".join(["main.o", *(f"unit{number}.o" for number in range(units))])
    Path(f"{lower}/Makefile").write_text(
        f"program: {objects}\n\tcc -o $@ $^\n%.o: %.c all.h\n\tcc -g -O1 -c -o $@ $<\nclean:\n\trm -f program *.o\n"
    )


def use_make(mounted: Mounted, units: int) -> str:
    """Build with four jobs; a change of one source, or of the header, builds again what depends on it, and no more."""
    mounted.run("make", "-s", "-j4")
    if mounted.run("./program") != f"{sum(range(units))}\n":
        return "the program counts wrong"
    steps = [((), 0), (("unit1.c",), 2), ((), 0), (("all.h",), units + 2), ((), 0)]
    for touched, expected in steps:
        for name in touched:
            os.utime(f"{mounted.target}/{name}")
        count = sum(line.startswith("cc ") for line in mounted.run("make", "-j4").splitlines())
        if count != expected:
            return f"{count} commands instead of {expected} after a change of {touched}"
        mounted.remount()
    mounted.run("make", "-s", "clean")
    return "" if not [name for name in os.listdir(mounted.target) if name.endswith(".o")] else "objects are left"


def use_rsync(mounted: Mounted) -> str:
    """A tree with hard links, ACLs, xattrs, owners, fifos and holes, copied there and back, compared by checksum."""
    source = f"{mounted.outside}/tree"
    _make_rich_tree(source)
    options = ("rsync", "-aHAXS", "--numeric-ids")
    mounted.run(*options, f"{source}/", f"{mounted.target}/copy/")
    mounted.remount()
    for one, other in ((source, f"{mounted.target}/copy"), (f"{mounted.target}/copy", source)):
        found = mounted.run(*options, "-nic", "--delete", f"{one}/", f"{other}/")
        if found:
            return f"differs: {found[:500]}"
    mounted.run(*options, f"{mounted.target}/copy/", f"{mounted.outside}/back/")
    found = mounted.run(*options, "-nic", "--delete", f"{source}/", f"{mounted.outside}/back/")
    return f"came back different: {found[:500]}" if found else ""


def _make_rich_tree(root: str) -> None:
    for number in range(200):
        directory = f"{root}/d{number % 20}/e{number % 7}"
        os.makedirs(directory, exist_ok=True)
        path = f"{directory}/f{number}"
        Path(path).write_bytes(os.urandom(number * 97))
        os.chown(path, number % 5, number % 3)
        os.chmod(path, (0o644, 0o4755, 0o600, 0o2755)[number % 4])
        os.setxattr(path, "user.number", b"%d" % number)
        if number % 10 == 0:
            os.link(path, f"{root}/d{number % 20}/linked{number}")
            os.symlink(f"f{number}", f"{directory}/l{number}")
            subprocess.run(["setfacl", "-m", "u:7:rw,g:9:r", path], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:7:rwx", f"{root}/d1"], check=True)
    os.mkfifo(f"{root}/fifo")
    with open(f"{root}/sparse", "wb") as file:
        file.truncate(1 << 25)
        file.seek(1 << 24)
        file.write(b"middle")


def use_postgresql(mounted: Mounted, seconds: int) -> str:
    """initdb, pgbench, kill -9 of everything in the middle of it, recovery; accounts and history must agree."""
    adopt_orphans()
    place = f"{mounted.target}/pg"
    os.mkdir(place)
    os.chown(place, 1000, 1000)
    # the directory of the test is its user's alone
    os.chmod(os.path.dirname(mounted.target), 0o711)
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    as_user = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")

    def run(*words: str) -> str:
        return mounted.run(*as_user, f"{programs}/{words[0]}", *words[1:], directory=place)

    def query(text: str) -> str:
        return run("psql", "-h", place, "-U", "u", "-d", "postgres", "-Atc", text).strip()

    def start() -> None:
        run(
            "pg_ctl", "-D", f"{place}/data", "-w", "-t", "120", "-l", f"{place}/log", "-o", f"-k {place} -h ''", "start"
        )

    connect = ("pgbench", "-h", place, "-U", "u")
    bench = (*connect, "-c", "4", "-j", "2")
    run("initdb", "-D", f"{place}/data", "-U", "u", "-A", "trust", "-k")
    start()
    run(*connect, "-i", "-q", "-s", "5", "postgres")
    run(*bench, "-T", str(seconds), "postgres")
    postmaster = int(Path(f"{place}/data/postmaster.pid").read_text().split()[0])
    load = subprocess.Popen(
        [*as_user, f"{programs}/pgbench", *bench[1:], "-n", "-T", "600", "postgres"],
        env=_ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    before = int(query("SELECT count(*) FROM pgbench_history"))
    while int(query("SELECT count(*) FROM pgbench_history")) < before + 200:
        pass
    _kill_tree(postmaster)
    load.wait()
    mounted.remount(kill=True)
    start()
    sums = query(
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
        " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)"
    )
    after = int(query("SELECT count(*) FROM pgbench_history"))
    run("pg_ctl", "-D", f"{place}/data", "-w", "-m", "fast", "stop")
    run("pg_checksums", "-D", f"{place}/data", "--check")
    if len(set(sums.split("|"))) != 1:
        return f"the books do not balance: {sums}"
    return "" if after >= before + 200 else f"{after} transactions, {before + 200} were acknowledged"


def _kill_tree(pid: int) -> None:
    """SIGKILL to the server and its children, all of whom are ours then, and wait: zombies hold pid files."""
    children = [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for number in (pid, *children):
        os.kill(number, 9)
    for number in (pid, *children):
        os.waitpid(number, 0)


_PREPARED: dict[Callable[..., str], Callable[..., None]] = {
    use_git: make_repository,
    use_sqlite: make_database,
    use_make: make_sources,
}
