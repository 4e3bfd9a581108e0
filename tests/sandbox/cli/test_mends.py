"""What a person is told who mistyped: the names that are there, and the line to type instead."""

from __future__ import annotations

import io
import shlex
from typing import TYPE_CHECKING, NamedTuple

import pytest

from sandbox.cli.index import INSTEAD, NOT_BUILT
from sandbox.cli.main import main
from sandbox.container.model.store import insert_container
from sandbox.image.references import parse_reference
from sandbox.image.store import set_name
from sandbox.paths import find_paths
from sandbox.state import connect_state
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    from tests.command import Home


class Result(NamedTuple):
    status: int
    stdout: str
    stderr: str


def run(home: Home, *words: str) -> Result:
    stdout, stderr = io.StringIO(), io.StringIO()
    return Result(main(words, home.env, "/", stdout, stderr), stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def web(home: Home) -> Home:
    """A home with a container `web1` and an image `busybox`; neither has any file."""
    connection = connect_state(find_paths(home.env))
    image_id = "sha256:" + "b" * 64
    insert_container(connection, a_container("web1"))
    connection.execute(
        "INSERT INTO image (id, manifest_digest, created_ns, pulled_ns, size_bytes, platform, layers, config) "
        "VALUES (?, ?, 1, 1, 1, 'linux/amd64', '[]', '{}')",
        (image_id, image_id),
    )
    set_name(connection, parse_reference("busybox"), image_id)
    connection.close()
    return home


@pytest.mark.parametrize(
    ("typed", "mend"),
    [
        ("stop -t 3 wbe1", "sandbox stop -t 3 web1"),
        ("container stop WEB1", "sandbox container stop web1"),
        ("rm -v web", "sandbox rm -v web1"),
        ("logs -f --tail 3 web2", "sandbox logs -f -n 3 web1"),
        ("exec -e A=1 wbe1 sh -c id", "sandbox exec -e A=1 web1 sh -c id"),
        ("port webl 80", "sandbox port web1 80"),
        ("inspect wbe1", "sandbox inspect web1"),
        ("container inspect wbe1", "sandbox container inspect web1"),
        ("stop nothing-like-it", "sandbox ps -a"),
        ("exec nothing-like-it sh", "sandbox ps -a"),
        ("rmi --no-prune busibox", "sandbox rmi --no-prune busybox"),
        ("tag busybos:latest mine", "sandbox tag busybox mine"),
        ("image inspect bsybox", "sandbox image inspect busybox"),
        ("run --pull never --rm -e A=1 busibox echo 'a b'", "sandbox run --pull never --rm -e A=1 busybox echo 'a b'"),
        ("rmi nothing-like-it", "sandbox pull nothing-like-it; sandbox images lists what is here"),
    ],
)
def test_a_name_that_is_not_there(web: Home, typed: str, mend: str) -> None:
    done = run(web, *shlex.split(typed))
    assert done.status == (125 if typed.startswith("run") else 1)
    assert done.stderr.splitlines()[-1] == f"  mend: {mend}"
    assert (f"the nearest name here is {'busybox' if 'busybox' in mend else 'web1'}" in done.stderr) == (
        "nothing-like-it" not in typed
    )


def test_each_of_several_names_has_its_own_mend(web: Home) -> None:
    assert run(web, "stop", "wbe1", "zzzzzz").stderr == (
        "Error: No such container: wbe1\n  cause: the nearest name here is web1\n  mend: sandbox stop web1\n"
        "Error: No such container: zzzzzz\n  mend: sandbox ps -a\n"
    )


@pytest.mark.parametrize(
    ("format_text", "mend"),
    [
        ("{{.names}}", "{{.Names}}"),
        ("table {{.Names}}\\t{{.Stauts}}", "table {{.Names}}\\t{{.Status}}"),
        ("{{Names}}", "{{.Names}}"),
        ("{{.Xyzzy}}", "{{json .}}"),
        ("{{.Names", "{{json .}}"),
    ],
)
def test_a_listing_s_template_that_cannot_be_used(web: Home, format_text: str, mend: str) -> None:
    done = run(web, "ps", "-a", "--format", format_text)
    assert (done.status, done.stdout) == (1, "")
    assert done.stderr.endswith(f"\n  mend: --format '{mend}'\n")
    assert ("the fields are Command, CreatedAt" in done.stderr) == ("can't evaluate field" in done.stderr)


@pytest.mark.parametrize("words", [("ps",), ("images",), ("ps", "-a", "--filter", "name=none")])
def test_a_field_is_looked_for_where_there_are_no_rows_too(home: Home, words: tuple[str, ...]) -> None:
    for text in ("{{.Nosuch}}", "table {{.Nosuch}}"):
        done = run(home, *words, "--format", text)
        assert (done.status, done.stdout) == (1, "")
        assert "can't evaluate field Nosuch\n  cause: the fields are C" in done.stderr
        assert done.stderr.endswith("\n  mend: --format '{{json .}}'\n")
    done = run(home, *words, "--format", '{{if gt (len (split .Size " ")) 1}}{{index (split .Size " ") 1}}{{end}}')
    assert (done.status, done.stdout, done.stderr) == (0, "", "")


def test_a_field_that_inspect_does_not_have(web: Home) -> None:
    for place, mend in (
        ("State.Statuss", "{{.State.Status}}"),
        ("Nosuch", "{{json .}}"),
        ("Config.Imag", "{{.Config.Image}}"),
    ):
        done = run(web, "inspect", "--format", f"{{{{.{place}}}}}", "web1")
        assert (done.status, done.stdout) == (1, "")
        assert f"can't evaluate field {place.rpartition('.')[2]}\n  cause: the fields are " in done.stderr
        assert done.stderr.endswith(f"\n  mend: --format '{mend}'\n")
    text = "{{.Config.Labels.none}} {{.Config.StopTimeout}}{{if .State.Health}}!{{end}}{{.NetworkSettings.Networks.x}}"
    assert run(web, "inspect", "-f", text, "web1").stdout == "<no value> <nil><no value>\n"
    assert run(web, "image", "inspect", "-f", "{{.Config.Nosuch}}", "busybox").status == 1
    assert run(web, "image", "inspect", "-f", "{{.Config.Healthcheck}}{{.Variant}}", "busybox").stdout == "<nil>\n"


def test_what_a_listing_mends_can_be_used(web: Home) -> None:
    assert run(web, "ps", "-a", "--format", "table {{.Names}}\\t{{.Status}}").status == 0
    assert run(web, "ps", "-a", "--format", "{{json .}}").status == 0


def test_other_templates_name_their_fields(web: Home) -> None:
    done = run(web, "version", "--format", "{{.client.Version}}")
    assert done.status == 1
    assert done.stderr.endswith("cause: the fields are Client, Server\n  mend: --format '{{.Client.Version}}'\n")
    done = run(web, "inspect", "--format", "{{.Name", "web1")
    assert done.status == 64
    assert done.stderr.endswith("\n  mend: --format '{{json .}}'\n")


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("--memory foo", "--memory 512m"),
        ("-m 5", "--memory 512m"),
        ("--memory-swap x -m 1g", "--memory 512m --memory-swap"),
        ("-p foo", "-p HOST:CONTAINER, as -p 8080:80"),
        ("-p 1:2:3:4", "-p HOST:CONTAINER"),
        ("-v a:b:c:d", "-v /HOST:/CONTAINER"),
        ("-v :x", "-v /HOST:/CONTAINER"),
        ("--cpus foo", "--cpus 1.5"),
        ("--cpu-period 1", "--cpus 1.5"),
        ("--restart foo", "--restart no, always"),
        ("-e =x", "-e NAME=VALUE"),
        ("-l =", "--label NAME=VALUE"),
        ("--mount bad", "--mount type=bind,src=/HOST"),
        ("--ulimit x", "--ulimit nofile=1024:4096"),
        ("-w rel", "-w /rel"),
        ("--pid foo", "--pid host or container:NAME"),
        ("--oom-score-adj 5000", "--oom-score-adj 500"),
        ("--log-opt foo", "--log-opt max-size=10m"),
        ("--stop-signal FOO", "a name or a number: TERM"),
        ("--name -x", "--name web-1"),
    ],
)
def test_a_value_that_cannot_be_read_is_answered_with_its_form(home: Home, typed: str, form: str) -> None:
    """And before anything is pulled: the registry that would be asked refuses connections."""
    done = run(home, "create", *shlex.split(typed), "127.0.0.1:1/nothing", "true")
    assert done.status == 125
    assert "Unable to find image" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"  mend: {form}")


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("build --shm-size foo .", "--shm-size 512m"),
        ("build --ulimit foo .", "--ulimit nofile=1024:4096"),
        ("build --add-host foo .", "--add-host db.local:10.0.0.5"),
        ("exec -e =a web1 true", "-e NAME=VALUE"),
        ("exec -w rel web1 true", "-w /rel"),
        ("port web1 foo", "sandbox port web1 80/tcp"),
    ],
)
def test_other_commands_say_the_form_as_well(web: Home, typed: str, form: str) -> None:
    done = run(web, *shlex.split(typed))
    assert done.status == 125
    assert done.stderr.splitlines()[-1].startswith(f"  mend: {form}")


def test_a_signal_is_the_engine_s_to_refuse(web: Home) -> None:
    done = run(web, "kill", "-s", "FOO", "web1")
    assert done.status == 1
    assert done.stderr.splitlines()[-1].startswith("  mend: a name or a number: TERM")


@pytest.mark.parametrize(
    "words",
    [
        ("plugin", "ls"), ("container", "checkpoint"),
        ("buildx", "ls"), ("buildx", "create"), ("docker-compose", "up"), ("image", "trust"),
    ],
)  # fmt: skip
def test_a_command_of_docker_s_that_is_not_there(home: Home, words: tuple[str, ...]) -> None:
    done = run(home, *words)
    assert done.status == 1
    assert "is not built yet" in done.stderr
    assert "Did you mean" not in done.stderr


def test_what_does_the_work_meanwhile_is_said(home: Home) -> None:
    assert {word for word in NOT_BUILT if word not in INSTEAD and word.split()[0] not in INSTEAD} == set()
    assert "Use instead: sandbox compose, " in run(home, "docker-compose", "up").stderr
    assert "Use instead: sandbox compose config, " in run(home, "compose", "bridge", "x").stderr
    assert "Use instead: leave it out: there is this machine alone\n" in run(home, "node", "ls").stderr


def test_a_verb_is_compared_with_the_verbs_of_its_noun(home: Home) -> None:
    assert "Did you mean: sandbox container logs\n" in run(home, "container", "losg").stderr
    # "container" itself makes no two commands alike
    assert "Did you mean" not in run(home, "container", "xyzzy").stderr


@pytest.mark.parametrize("words", [("-H", "tcp://x"), ("--context", "x"), ("-c", "x"), ("--tlsverify",), ("--tls",)])
def test_there_is_no_daemon_to_connect_to(home: Home, words: tuple[str, ...]) -> None:
    done = run(home, *words, "ps")
    assert done.status == 125
    assert "is not supported: there is no daemon to connect to\nLeave it out\n" in done.stderr


def test_docker_s_other_options(home: Home) -> None:
    assert (
        run(home, "--config", "/x", "-l", "debug", "-H", "unix:///x", "-c", "default", "--tls=false", "ps").status == 0
    )
    assert "One of panic, fatal, error, " in run(home, "--log-level", "x", "ps").stderr
    assert "--host" not in run(home, "--help").stdout
