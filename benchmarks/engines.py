"""The programs that are compared: how each is started, in a place of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.command import MARK, command_words
from tests.leaks import kill, processes_of, wait_processes_gone
from tests.subordinate import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

#: what makes podman work without systemd, and with the driver that sandbox uses
_CONTAINERS_CONF = '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n'
#: the places are podman's own defaults; buildah has none
_STORAGE_CONF = """[storage]
driver = "overlay"
graphroot = "{data}/containers/storage"
runroot = "{run}/containers"
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Engine(NamedTuple):
    """A program with Docker's command line. `pull_options` let it talk plain HTTP to the loopback."""

    name: str
    version: str
    words: tuple[str, ...]
    home: Path
    env: dict[str, str]
    pull_options: tuple[str, ...] = ()
    #: of `rm -f`, so that it kills at once: podman asks first, and a `sleep` that is process 1 never hears
    rm_options: tuple[str, ...] = ()
    #: the command line of a process that stays by design when no container runs
    stays: str = ""

    def argv(self, *arguments: str) -> list[str]:
        return [*self.words, *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run to the end, and return standard output. Raises RuntimeError with what it said."""
        done = subprocess.run(
            self.argv(*arguments), env=self.env, cwd=self.home, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def pull(self, reference: str) -> None:
        self.run("pull", "-q", *self.pull_options, reference)

    def remove(self, *containers: str, check: bool = True) -> None:
        self.run("rm", "-f", *self.rm_options, *containers, check=check)

    def remove_containers(self) -> None:
        found = self.run("ps", "-aq").split()
        if found:
            self.remove(*found, check=False)

    def with_store(self, store: Path) -> Engine:
        """The same engine over another, empty store at `store`, which is made."""
        store.mkdir(mode=0o700)
        configuration = store / "storage.conf"
        configuration.write_text(_STORAGE_CONF.format(data=store, run=self.home / "run"))
        places = {"XDG_DATA_HOME": str(store), "CONTAINERS_STORAGE_CONF": str(configuration)}
        return self._replace(env={**self.env, **places})

    def wait_idle(self) -> None:
        """Wait for the processes of containers that were removed. Raises RuntimeError where one goes on."""
        left = wait_processes_gone(str(self.home), besides=self.stays)
        if left:
            raise RuntimeError(f"{self.name}: still running: {'; '.join(left)}")

    def close(self) -> None:
        """End what stays, and remove everything of it."""
        kill(processes_of(str(self.home)))
        wait_processes_gone(str(self.home))
        remove_tree(str(self.home))


def _places(home: Path) -> dict[str, str]:
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), MARK: str(home)}
    for name, directory in (("DATA_HOME", "data"), ("CONFIG_HOME", "config"), ("RUNTIME_DIR", "run")):
        (home / directory).mkdir(mode=0o700)
        env[f"XDG_{name}"] = str(home / directory)
    return env


def sandbox_engine(home: Path) -> Engine:
    home.mkdir()
    env = _places(home)
    words = tuple(command_words())
    version = subprocess.run([*words, "--version"], env=env, capture_output=True, text=True, check=True).stdout
    return Engine("sandbox", version.strip(), words, home, env)


def podman_engine(home: Path) -> Engine | str:
    """podman for this user, or why it does not run here."""
    program = shutil.which("podman")
    if program is None:
        return "podman is not installed"
    home.mkdir()
    env = _places(home)
    config = home / "config" / "containers"
    config.mkdir()
    (config / "containers.conf").write_text(_CONTAINERS_CONF)
    (config / "storage.conf").write_text(_STORAGE_CONF.format(data=home / "data", run=home / "run"))
    (config / "policy.json").write_text(_POLICY)
    version = subprocess.run([program, "--version"], env=env, capture_output=True, text=True, check=True).stdout
    engine = Engine(
        "podman", version.strip(), (program,), home, env, ("--tls-verify=false",), ("-t", "0"), "catatonit -P"
    )
    try:
        engine.run("info")
    except RuntimeError as error:
        return str(error)
    return engine
