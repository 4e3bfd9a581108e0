"""The program as a function of its words: statuses, shapes of messages, the tables behind it."""

from __future__ import annotations

import ast
import io
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import sandbox
from net.errors import NetError
from sandbox.caller_directory import CallerDirectory
from sandbox.cli import lookup
from sandbox.cli import main as program
from sandbox.cli.command import Command, Context, Invocation, each
from sandbox.cli.flags import option, parse_flags
from sandbox.cli.index import ALIASES, COMMANDS, NOT_BUILT, NOUN_OPTIONS, NOUN_SUMMARIES, TOP_LEVEL
from sandbox.cli.noun_options import noun_options
from sandbox.cli.output.inspect_output import print_documents
from sandbox.cli.output.listings import print_listing
from sandbox.errors import CommandNotFoundError, NotFoundError, UsageError
from sandbox.state import DatabaseError
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Result(NamedTuple):
    status: int
    stdout: str
    stderr: str


def run(*words: str) -> Result:
    stdout, stderr = io.StringIO(), io.StringIO()
    return Result(
        program.main(words, {"HOME": "/nonexistent"}, "/", stdout, stderr), stdout.getvalue(), stderr.getvalue()
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a command of the test's own in the place of every command."""

    def install(handler: Callable[[Invocation], int], path: str = "container stop", least: int = 1) -> None:
        made = Command(
            path, "Summary", "[OPTIONS] NAME [NAME...]", (option("-t --time", "number", "Seconds"),), handler, least
        )
        for module in (program, lookup):
            monkeypatch.setattr(module, "find_command", lambda _target: made)

    return install


def fail(error: BaseException) -> Callable[[Invocation], int]:
    def handler(_invocation: Invocation) -> int:
        raise error

    return handler


def test_version() -> None:
    assert run("--version") == run("-v") == Result(0, f"sandbox version {sandbox.__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_top_level_prints_help(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.status == 0
    assert result.stdout.startswith("Usage:  sandbox [OPTIONS] COMMAND\n")
    for title in ("Common Commands:", "Management Commands:", "Commands:", "Global Options:"):
        assert title in result.stdout


@pytest.mark.parametrize("noun", sorted(NOUN_SUMMARIES))
def test_a_noun_alone_prints_help(noun: str) -> None:
    for words in ((noun,), (noun, "--help"), ("help", noun), ("--help", noun)):
        result = run(*words)
        assert (result.status, result.stderr) == (0, "")
        options = "[OPTIONS] " if noun in NOUN_OPTIONS else ""
        assert result.stdout.startswith(f"Usage:  sandbox {noun} {options}COMMAND\n")


def test_help_of_a_command(command: Callable[..., None]) -> None:
    command(fail(AssertionError("not to be called")))
    for words in (("stop", "--help"), ("help", "stop"), ("--help", "stop"), ("stop", "x", "--help"), ("stop", "-h")):
        result = run(*words)
        assert result.status == 0
        assert result.stdout.startswith("Usage:  sandbox stop [OPTIONS] NAME [NAME...]\n\nSummary\n\nAliases:\n")
        assert "  -t, --time int   Seconds" in result.stdout


def test_a_bad_flag_is_125(command: Callable[..., None]) -> None:
    command(fail(AssertionError("not to be called")))
    usage = "Usage:  sandbox stop [OPTIONS] NAME [NAME...]\n\nRun 'sandbox stop --help' for more information\n"
    assert run("stop", "--nope") == Result(125, "", f"unknown flag: --nope\n\n{usage}")
    assert run("stop", "--tim", "1") == Result(125, "", f"unknown flag: --tim\nDid you mean --time?\n\n{usage}")
    assert run("--nope", "stop").status == 125
    assert run("container", "--nope").status == 125


def test_a_wrong_number_of_arguments_is_1(command: Callable[..., None]) -> None:
    command(fail(AssertionError("not to be called")))
    result = run("container", "stop")
    assert result.status == 1
    assert result.stderr.startswith(
        "sandbox: 'sandbox container stop' requires at least 1 argument\n\nUsage:  sandbox container stop [OPTIONS]"
    )


def test_an_unknown_command_is_1() -> None:
    assert run("stopp") == Result(
        1,
        "",
        "sandbox: unknown command: sandbox stopp\n\nDid you mean: sandbox stop\n\n"
        "Run 'sandbox --help' for more information\n",
    )
    result = run("container", "xyzzy")
    assert result.status == 1
    assert "Usage:  sandbox container COMMAND" in result.stderr
    assert run("scout", "x").stderr.startswith("sandbox: 'scout' is not built yet")
    assert run("help", "xyzzy").status == 1


@pytest.mark.parametrize(
    ("error", "path", "status", "text"),
    [
        (NotFoundError("No such container: x"), "container stop", 1, "Error: No such container: x\n"),
        (NotFoundError("No such image: x"), "container run", 125, "Error: No such image: x\n"),
        (CommandNotFoundError("x"), "container run", 127, "Error: x\n"),
        (UsageError("bad"), "container logs", 125, "Error: bad\n  mend: sandbox stop --help\n"),
        (UsageError("bad"), "container stop", 1, "Error: bad\n  mend: sandbox stop --help\n"),
        (StorageError("full", cause="c", mend="m"), "container stop", 1, "Error: full\n  cause: c\n  mend: m\n"),
        (NetError("taken"), "container run", 125, "Error: taken\n"),
        (OSError(28, "No space left on device", "/x"), "container stop", 1, "Error: No space left on device: /x\n"),
        (OSError(24, "Too many open files", "/x"), "container stop", 1,
         "Error: Too many open files: /x\n  cause: a limit of this shell is reached: ulimit -n\n"
         "  mend: ulimit -Sn hard\n"),
        (MemoryError(), "container stop", 1,
         "Error: out of memory\n  cause: no more is there, or ulimit -v, ulimit -d\n  mend: ulimit -a\n"),
        (DatabaseError("locked"), "container stop", 1,
         "Error: the database could not be used\n  cause: locked\n  mend: sandbox doctor\n"),
        (NotFoundError("a\x1b[2J\nb"), "container stop", 1, "Error: a\\x1b[2J\\nb\n"),
        (KeyboardInterrupt(), "container stop", 130, "Error: interrupted: sandbox stop\n"),
        (KeyboardInterrupt(), "container logs", 130, ""),
        (BrokenPipeError(), "container stop", 141, ""),
    ],
)  # fmt: skip
def test_errors_at_the_border(
    command: Callable[..., None], error: BaseException, path: str, status: int, text: str
) -> None:
    command(fail(error), path)
    assert run("stop", "x") == Result(status, "", text)


def test_debug_adds_the_traceback(command: Callable[..., None]) -> None:
    command(fail(StorageError("full")))
    result = run("--debug", "stop", "x")
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: full\n")


def test_a_broken_invariant_shows(command: Callable[..., None]) -> None:
    command(fail(AssertionError("bug")))
    with pytest.raises(AssertionError):
        run("stop", "x")


def test_the_handler_gets_what_was_typed(command: Callable[..., None]) -> None:
    seen: list[Invocation] = []

    def handler(invocation: Invocation) -> int:
        seen.append(invocation)
        return 7

    command(handler)
    assert run("stop", "-t", "-1", "a", "b").status == 7
    assert (seen[0].number("time"), seen[0].arguments) == (-1, ("a", "b"))


def test_the_tables_agree() -> None:
    assert set(ALIASES.values()) <= set(COMMANDS)
    assert {path.split()[0] for path in (*COMMANDS, *ALIASES) if " " in path} == set(NOUN_SUMMARIES)
    assert all(ALIASES.get(name, name) in COMMANDS for name in TOP_LEVEL)
    assert not NOT_BUILT & {name.split()[0] for name in (*ALIASES, *COMMANDS)}


def test_every_command_is_where_the_index_says() -> None:
    for target, (module, _summary) in COMMANDS.items():
        source = Path(program.__file__).parent / "commands" / f"{module}.py"
        assert source.exists(), f"{target}: no module {module}"
        made = lookup.find_command(target)
        assert made.path == target
        assert made.summary
        names = [name for declared in made.options for name in declared.names]
        assert len(names) == len(set(names)), f"{target} declares a name twice"


HEAVY = {"typer", "trio", "httpx", "msgspec", "rich", "dataclasses", "inspect", "subprocess", "logging", "asyncio",
         "tempfile", "shutil", "pathlib", "socket", "signal", "click", "yaml"}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "import sandbox.cli.main",
        "import sandbox.cli.help",
        "import sandbox.cli.output.table, sandbox.grammar.filters",
        "import sandbox.cli.container_options.options, sandbox.cli.container_options.larger_options",
        "import sandbox.container.request.image_defaults",
        "import sandbox.container.request.merging, sandbox.container.request.merged_mounts",
        "import sandbox.grammar.ports, sandbox.grammar.mounts",
        "import sys; from sandbox.cli.main import main; main(['--help'], {}, '/', sys.stderr, sys.stderr)",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    report = f"{statement}\nimport sys; print(sorted({{n.partition('.')[0] for n in sys.modules}}))"
    found = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True).stdout
    assert not HEAVY & set(ast.literal_eval(found))


@pytest.mark.parametrize("view", ["inspections", "logs", "summaries"])
def test_looking_at_containers_binds_no_system_calls(view: str) -> None:
    report = f"import sandbox.container.operations, sandbox.container.view.{view}, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True).stdout
    assert not {"ctypes", "hashlib"} & set(found.split())


def test_every_argument_is_tried(command: Callable[..., None]) -> None:
    def act(name: str) -> str | None:
        if name.startswith("bad"):
            raise (
                StorageError(f"cannot remove {name}") if name == "bad1" else NotFoundError(f"No such container: {name}")
            )
        return name

    command(lambda invocation: each(invocation, act))
    result = run("stop", "a", "bad1", "b", "bad2")
    assert result == Result(1, "a\nb\n", "Error: cannot remove bad1\nError: No such container: bad2\n")


def test_a_name_cannot_put_a_line_of_its_own_into_an_error(command: Callable[..., None]) -> None:
    """Behind a line break a hostile image's user or label could show as the mend."""
    command(fail(NotFoundError("no user x\n  mend: evil\x1b[2J", cause="y\n  mend: evil", mend="z\n")))
    result = run("stop", "web")
    assert result.stderr.splitlines() == [
        "Error: no user x\\n  mend: evil\\x1b[2J",
        "  cause: y\\n  mend: evil",
        "  mend: z\\n",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"DOCKER_HOST": "tcp://user:secret@far:2376"}, "DOCKER_HOST=tcp://xxxxx:xxxxx@far:2376"),
        ({"DOCKER_HOST": "ssh://far", "DOCKER_CONTEXT": "default"}, "DOCKER_HOST=ssh://far"),
        ({"DOCKER_CONTEXT": "far"}, "DOCKER_CONTEXT=far"),
        ({"DOCKER_HOST": "unix:///run/docker.sock", "DOCKER_CONTEXT": "far"}, ""),
        ({"DOCKER_HOST": "", "DOCKER_CONTEXT": "default"}, ""),
    ],
)
def test_who_works_at_a_terminal_is_told_that_no_other_machine_is_meant(env: dict[str, str], named: str) -> None:
    for stderr, told in ((_Terminal(), named), (io.StringIO(), "")):
        assert program.main(["help"], {"HOME": "/nonexistent", **env}, "/", io.StringIO(), stderr) == 0
        expected = f"{told} is not used: what is shown and done here is on this machine\n" if told else ""
        assert stderr.getvalue() == expected


@pytest.mark.parametrize("format_text", [None, "json", "{{.Label}}"])
def test_inspect_steers_no_terminal(format_text: str | None) -> None:
    """A label of a hostile image: escaped for a person, as it is for a program."""
    documents = [{"Label": "a\x1b[2J\x9b31m\u202e"}]
    shown, piped = _Terminal(), io.StringIO()
    for stream in (shown, piped):
        context = Context({}, CallerDirectory("/"), stream, io.StringIO(), lambda: pytest.fail("no paths are needed"))
        print_documents(context, documents, format_text)
    assert all(line.isprintable() for line in shown.getvalue().splitlines())
    assert "\u202e" in piped.getvalue()


def test_what_is_told_steers_no_terminal() -> None:
    """A container's path, in a sentence about it, and a registry's words in a listing."""
    shown, told = _Terminal(), _Terminal()
    context = Context({}, CallerDirectory("/"), shown, told, lambda: pytest.fail("no paths are needed"))
    context.note("copied to web:/a\x1b[2J\x9b31m\nand more")
    assert told.getvalue() == "copied to web:/a\\x1b[2J\\u009b31m\nand more\n"
    print_listing(context, {"Name": "NAME"}, ("Name",), [{"Name": "a\x9b31m"}], "json")
    assert shown.getvalue() == '{"Name":"a\\u009b31m"}\n'


@pytest.mark.parametrize("target", COMMANDS)
def test_every_command_shows_an_example_that_its_own_grammar_takes(target: str) -> None:
    examples = lookup.find_command(target).examples
    assert examples
    for line in examples:
        # a line may have another program before or after a pipe
        ours = [part.split(" < ")[0].strip() for part in re.split(r" \| |; ", line) if "sandbox " in part]
        assert ours
        for part in ours:
            words = shlex.split(part)[1:]
            if words[0] in NOUN_OPTIONS:
                words[1:] = parse_flags(noun_options(words[0]), words[1:], interspersed=False).arguments
            name, rest = (words[0], words[1:]) if words[0] in ALIASES else (" ".join(words[:2]), words[2:])
            command = lookup.find_command(ALIASES.get(name, name))
            found = parse_flags(command.options, rest, interspersed=command.interspersed)
            assert command.least <= len(found.arguments) <= (command.most or 99), line
    assert target.split()[0] in NOUN_OPTIONS or any(
        target in (ALIASES.get(w, w) for w in _typed_in(line)) for line in examples
    )


def _typed_in(line: str) -> list[str]:
    words = re.split(r" +", line)
    return [*words, *(" ".join(pair) for pair in itertools.pairwise(words))]
