"""The real `sandbox` command, run by a test as a user of its own: a home, state and runtime files nobody shares."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.needs import REPOSITORY
from tests.subordinate import remove_tree, run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: kept from the caller's environment; everything else a test sets itself
_KEPT = ("PATH", "LANG", "TZ", "SANDBOX_VECTORS", "COVERAGE_PROCESS_START")
#: in the environment of every process a test starts, so that what it leaves behind is known for its own
MARK = "SANDBOX_TEST_HOME"


class Home(NamedTuple):
    """A place for one test. The path is short: a unix socket's name has 108 bytes, unix(7)."""

    root: Path

    @property
    def env(self) -> dict[str, str]:
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        env["HOME"] = str(self.root)
        env["XDG_DATA_HOME"] = str(self.data)
        env["XDG_CONFIG_HOME"] = str(self.config)
        env["XDG_RUNTIME_DIR"] = str(self.runtime)
        env["DOCKER_CONFIG"] = str(self.root / "docker")
        env["PYTHONPATH"] = str(REPOSITORY)
        env["NO_COLOR"] = "1"
        env[MARK] = str(self.root)
        return env

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def runtime(self) -> Path:
        return self.root / "run"

    @classmethod
    def make(cls, storage_driver: str = "") -> Home:
        home = cls(Path(tempfile.mkdtemp(prefix="sbx-", dir="/tmp")))
        for directory in (home.data, home.config, home.runtime):
            directory.mkdir(mode=0o700)
        if storage_driver:
            (home.config / "sandbox").mkdir()
            (home.config / "sandbox/config.toml").write_text(f'[storage]\ndriver = "{storage_driver}"\n')
        return home

    def take_store_of(self, other: Home) -> None:
        """Begin with a copy of what lies in the store of `other`, which no command is changing. This one is empty."""
        run_as_namespace_root(["cp", "-a", f"{other.data}/.", self.data])

    def remove(self) -> None:
        remove_tree(str(self.root))


class Finished(NamedTuple):
    """What a command left: text, decoded as UTF-8 with what is not text escaped."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class CommandFailedError(AssertionError):
    """A command that a test counted on."""


def command_words() -> list[str]:
    """How `sandbox` is started: SANDBOX_COMMAND, or the command installed beside this Python, or the checkout."""
    named = os.environ.get("SANDBOX_COMMAND")
    if named:
        return [named]
    installed = Path(sys.executable).parent / "sandbox"
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "sandbox"]


class Sandbox:
    """The command for one Home. `env` may be changed by a test; it is this object's own copy."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.env = home.env
        self._words = command_words()
        if len(self._words) == 1:
            # the installed command is tried as it stands
            del self.env["PYTHONPATH"]

    def words(self, *arguments: str | os.PathLike[str]) -> list[str]:
        return [*self._words, *(os.fspath(argument) for argument in arguments)]

    def run(
        self, *arguments: str | os.PathLike[str], status: int | None = 0, input: str | bytes = b"",
        timeout_seconds: float = 120, env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None,
    ) -> Finished:  # fmt: skip
        """Run to the end. Fails the test where the exit status is not `status`; None takes any."""
        words = self.words(*arguments)
        done = subprocess.run(
            words, input=input.encode() if isinstance(input, str) else input, capture_output=True,
            timeout=timeout_seconds, env={**self.env, **(env or {})}, cwd=cwd or self.home.root, check=False,
        )  # fmt: skip
        finished = Finished(done.returncode, _text(done.stdout), _text(done.stderr))
        if status is not None and finished.status != status:
            raise CommandFailedError(
                f"sandbox {' '.join(words[len(self._words) :])}: status {finished.status}, not {status}\n"
                f"{finished.stdout}{finished.stderr}"
            )
        return finished

    def spawn(
        self, *arguments: str | os.PathLike[str], stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE, stderr: int | None = subprocess.PIPE, pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Start and return; the caller waits, and closes the pipes."""
        return subprocess.Popen(
            self.words(*arguments), stdin=stdin, stdout=stdout, stderr=stderr, env=self.env, cwd=self.home.root,
            pass_fds=pass_fds,
        )  # fmt: skip

    def wait_for_log(self, name: str, line: str) -> None:
        """Follow a container's log until `line` has come: what was sent before it could listen would be lost."""
        with self.spawn("logs", "-f", name) as follower:
            assert follower.stdout is not None
            try:
                assert line.encode() in (text.rstrip(b"\r\n") for text in follower.stdout)
            finally:
                follower.kill()

    def wait_for_words(self, name: str, words: str, times: int = 1) -> None:
        """Follow what a server says, on either stream, until `words` have come in so many lines."""
        lines = []
        with self.spawn("logs", "-f", name, stderr=subprocess.STDOUT) as follower:
            assert follower.stdout is not None
            for line in follower.stdout:
                lines.append(line.decode())
                times -= words in lines[-1]
                if not times:
                    break
            follower.kill()
        assert not times, "".join(lines)

    def load_layout(self, layout: Path) -> None:
        """Take the images of an OCI layout into the store."""
        with subprocess.Popen(["tar", "-C", layout, "-c", "."], stdout=subprocess.PIPE) as archive:
            assert archive.stdout is not None
            subprocess.run(self.words("load", "-q"), stdin=archive.stdout, env=self.env, check=True, timeout=120)

    def remove_containers(self) -> None:
        """Remove whatever the test left; not an error."""
        places = (self.home.data / "sandbox/containers", self.home.runtime / "sandbox/containers")
        if not any(place.is_dir() and any(place.iterdir()) for place in places):
            return
        found = self.run("ps", "-aq", "--no-trunc", status=None)
        if found.status == 0 and found.lines:
            self.run("rm", "-f", "-v", *found.lines, status=None)


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
