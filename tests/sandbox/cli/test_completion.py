"""Completion as the shells ask for it: through the environment of the real command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from sandbox.cli.completion.candidates import NOUNS, light_command
from sandbox.cli.completion.values import FILTERS
from sandbox.cli.index import COMMANDS
from sandbox.cli.lookup import find_command
from sandbox.paths import find_paths
from sandbox.state import connect_state
from tests.end_to_end.test_start_up import HEAVY
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def ask(home: Path, shell: str, line: str) -> list[str]:
    words = line.split(" ")
    env = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "HOME": str(home),
        "_SANDBOX_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    if shell != "bash":
        del env["COMP_WORDS"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox"], env=env, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split("\n")


def test_commands(tmp_path: Path) -> None:
    assert "run" in ask(tmp_path, "bash", "sandbox ru")
    assert {"start", "stop"} <= set(ask(tmp_path, "bash", "sandbox container st"))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(tmp_path: Path, shell: str) -> None:
    assert any("images" in line for line in ask(tmp_path, shell, "sandbox imag"))


def test_options_and_their_values(tmp_path: Path) -> None:
    assert "--network" in ask(tmp_path, "bash", "sandbox run --netw")
    assert "host" in ask(tmp_path, "bash", "sandbox run --network ho")


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A home with containers in several states, images and volumes."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    connection = connect_state(find_paths({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime}))
    with connection:
        for number, (name, state) in enumerate(
            {
                "web": '{"status":"running"}',
                "worker": '{"status":"paused"}',
                "made": "{}",
                "ended": '{"status":"exited"}',
            }.items()
        ):
            connection.execute(
                "INSERT INTO container (id, name, image_id, created_ns, config, state) VALUES (?, ?, '', 0, ?, ?)",
                (str(number), name, '{"image":"nginx"}', state),
            )
        connection.execute("INSERT INTO image VALUES ('i', 'm', 0, 0, 0, 'linux/amd64', '[]', '{}')")
        for name in ("docker.io/library/nginx:latest", "docker.io/team/app:2", "127.0.0.1:5000/app:latest"):
            connection.execute("INSERT INTO image_name VALUES (?, 'i')", (name,))
        connection.execute(
            "INSERT INTO volume (name, created_ns, labels, anonymous) VALUES ('data', 0, '{}', 0), ('0123', 0, '{}', 1)"
        )
        connection.execute("INSERT INTO network (id, name, driver, created_ns) VALUES ('n', 'front', 'bridge', 0)")
        for row in (("s", "shop_web", "shop", 0), ("t", "lone", "", 0), ("u", "old_web", "old", 1)):
            connection.execute(
                "INSERT INTO service (id, name, stack, removing, version, record) VALUES (?, ?, ?, ?, 1, '{}')", row
            )
    connection.close()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("stop ", "web worker"), ("stop w", "web worker"), ("container stop we", "web"), ("start ", "ended made"),
        ("exec -it ", "web"), ("exec -u root w", "web"), ("exec web ", ""), ("rm ", "ended made web worker"),
        ("rm made e", "ended"), ("rm made ", "ended web worker"), ("logs -f -n 5 m", "made"), ("rename made ", ""),
        ("run ng", "nginx"), ("run --rm -v data:/d te", "team/app:2"), ("run nginx ", ""),
        ("rmi nginx ", "team/app:2 127.0.0.1:5000/app"),
        ("volume rm ", "data"), ("volume inspect data ", ""),
        ("network rm fr", "front"), ("network connect fr", "front"),
        ("network connect front wo", "worker"), ("run --network fr", "front"), ("ps -f network=fr", "network=front"),
        ("cp we", "web:"), ("cp here ma", "made:"), ("compose logs ", ""),
        ("service rm ", "shop_web lone"), ("service logs -f l", "lone"), ("stack ps ", "shop"),
        ("inspect wo", "worker"), ("history t", "team/app:2"),
        ("run -v da", "data:"), ("run --volumes-from m", "made"),
        ("run --network=container:we", "--network=container:web"),
        ("ps --filter name=ma", "name=made"), ("ps -f ancestor=n", "ancestor=nginx"), ("-l debug stop we", "web"),
        ("-D stop we", "web"), ("stop -t 3 we", "web"), ("stop --timeout=3 -- we", "web"), ("stop 'we", "web"),
    ],
)  # fmt: skip
def test_names_fit_the_command(filled: Path, line: str, names: str) -> None:
    assert ask(filled, "zsh", f"sandbox {line}")[0] == ("_files" if not names else ANY)
    assert {row.split("\t")[0] for row in ask(filled, "fish", f"sandbox {line}")} == set(names.split(" "))


def test_words_that_stand_for_names_are_those_of_usages() -> None:
    """A usage that was changed would leave its argument uncompleted, and nobody would see it."""
    usages = {word.strip("[]").removesuffix("...") for path in COMMANDS for word in find_command(path).usage.split()}
    assert not {word for word in NOUNS if word not in {used.partition("[")[0] for used in usages} | usages}


def test_names_say_what_they_are(filled: Path) -> None:
    assert ask(filled, "fish", "sandbox stop w") == ["web\tnginx, running", "worker\tnginx, paused"]
    assert ask(filled, "zsh", "sandbox stop we") == [
        "local -a words_whole words_open; words_whole=('web:nginx, running'); _describe '' words_whole"
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        # bash cuts words at = and :, and puts what it is told in place of the last piece
        ("run --network = ho", "host"), ("run --network=ho", "host"), ("run --restart = on", "on-failure on-failure:"),
        ("run --network container : we", "web"), ("ps -f status = pau", "paused"), ("rmi 127.0.0.1 : 5", "5000/app"),
        ("rmi team/app : ", "2"),
    ],
)  # fmt: skip
def test_bash_gets_what_it_puts_in(filled: Path, line: str, words: str) -> None:
    assert ask(filled, "bash", f"sandbox {line}") == words.split(" ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --restart ", {"no", "on-failure", "always", "unless-stopped"}), ("kill -s SIGK", {"SIGKILL"}),
        ("ps --format ", {"table", "json"}), ("inspect -f ", {"json"}), ("ps -f ", {"status=", "name=", "label="}),
        ("ps -f status=", {"status=running", "status=exited"}), ("build --progress ", {"plain", "tty"}),
        ("run --mount ", {"type=bind,source="}), ("images -", {"-q", "--quiet", "--help"}), ("--log-level ", {"debug"}),
        ("run --cap-add NET_", {"NET_ADMIN"}), ("run -e HOM", {"HOME"}), ("help vol", {"volume"}),
        ("help volume ", {"ls", "rm"}), ("pull --platform linux/arm", {"linux/arm64"}),
        ("images --no", {"--no-trunc"}), ("container ", {"ls", "rm", "list"}), ("", {"run", "ps", "volume", "help"}),
        ("system autostart ", {"enable", "disable", "status", "run"}),
        ("system autostart --method ", {"systemd", "cron"}),
        ("-", {"-D", "--debug", "--version"}), ("run --name x -", {"--rm", "-d"}),
    ],
)  # fmt: skip
def test_commands_options_and_values(tmp_path: Path, line: str, words: set[str]) -> None:
    assert words <= {row.split("\t")[0] for row in ask(tmp_path, "fish", f"sandbox {line}")}


@pytest.mark.parametrize(
    "line", ["nosuch ", "container nosuch ", "run --name ", "build ", "ps extra ", "load -i ", "run --nosuch x -"]
)
def test_files_where_nothing_is_known(tmp_path: Path, line: str) -> None:
    assert ask(tmp_path, "bash", f"sandbox {line}") in ([""], ask(tmp_path, "bash", "sandbox run -"))


def test_fish_asks_whether_there_is_anything(filled: Path) -> None:
    def status(line: str) -> int:
        env = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(filled),
            "_SANDBOX_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "is-args",
        }
        return subprocess.run([sys.executable, "-m", "sandbox"], env=env, check=False).returncode

    assert (status("sandbox stop w"), status("sandbox load -i ")) == (0, 1)


@pytest.mark.parametrize("path", FILTERS)
def test_filters_are_those_that_the_command_takes(tmp_path: Path, path: str) -> None:
    words = [
        *path.split(),
        *(("--until", "0s") if path == "system events" else ()),
        *(("-f",) if "prune" in path else ()),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words, "--filter", "nosuch=1"], env={**os.environ, "HOME": str(tmp_path)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    known = done.stderr.split("use one of ")[1].strip().split(", ")
    assert {f"{key}=" for key in known} == set(FILTERS[path])


def test_a_word_is_completed_without_heavy_imports(filled: Path) -> None:
    script = (
        "import os, sys\n"
        "before = set(sys.modules)\n"
        "from sandbox.cli.completion.answer import complete\n"
        "try: complete(os.environ)\n"
        "except SystemExit: print('', *set(sys.modules) - before)"
    )
    asked = {"_SANDBOX_COMPLETE": "complete_bash", "COMP_WORDS": "sandbox stop w", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "HOME": str(filled), **asked}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    *names, modules = done.stdout.splitlines()
    assert names == ["web"]
    assert set(modules.split()) & HEAVY == set()


@pytest.mark.parametrize("path", ["container run", "container create", "container stop"])
def test_what_is_completed_is_the_command(path: str) -> None:
    light, command = light_command(path), find_command(path)
    assert light._replace(handler=command.handler, examples=command.examples, further=command.further) == command


def test_a_broken_database_is_silent(tmp_path: Path) -> None:
    place = tmp_path / ".local/share/sandbox"
    place.mkdir(parents=True)
    (place / "state.db").write_bytes(b"no database")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(place / "state.db").execute("SELECT 1 FROM container")
    ask(tmp_path, "bash", "sandbox stop w")


def _show(home: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words],
        env={**os.environ, "HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_shown(tmp_path: Path, shell: str) -> None:
    shown = _show(tmp_path, f"--show-completion={shell}").stdout
    assert "_SANDBOX_COMPLETE=complete_" in shown
    assert _show(tmp_path, "--show-completion", shell).stdout == shown
    assert list(tmp_path.iterdir()) == []


def test_a_shell_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = _show(tmp_path, "--show-completion", "run", status=125)
    assert refused.stderr.startswith("Error: completion is not supported for the shell 'run'")


def test_an_alias_of_dockers_name_is_completed(tmp_path: Path) -> None:
    """As docs/coming-from-docker.md has it, in a shell that knows no program `docker`."""
    (tmp_path / "sandbox").write_text(f'#!/bin/sh\nexec {sys.executable} -m sandbox "$@"\n')
    (tmp_path / "sandbox").chmod(0o755)
    page = (REPOSITORY / "docs/coming-from-docker.md").read_text()
    given = [
        line.strip()
        for line in page.splitlines()
        if line.startswith(('    eval "$(sandbox', "    complete -o default"))
    ]
    assert len(given) == 2
    script = (
        "\n".join(given) + "\n"
        "COMP_WORDS=(docker run --netw) COMP_CWORD=2\n"
        "_sandbox_completion docker\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["--network", "--network-alias"]
    assert done.stderr == ""
