"""What a person is told to type where a container's program, port or directory cannot be had."""

from __future__ import annotations

import resource
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER
from tests.other_host import OtherHost
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Home, Sandbox
    from tests.conftest import FilledHome

pytestmark = pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox")
_EMPTY_TAR = bytes(10240)


@pytest.fixture(scope="module")
def busybox_home(filled_home: FilledHome, busybox_image: str) -> Iterator[Home]:
    """As users have it: pulled, with every applet."""

    def fill(sandbox: Sandbox) -> None:
        sandbox.run("pull", "-q", busybox_image)
        sandbox.run("tag", busybox_image, "busybox")

    with filled_home(fill) as home:
        yield home


@pytest.mark.parametrize(
    ("typed", "status", "mend"),
    [
        ("busybox --read-only sh -c 'echo a'", 127, "sandbox run --rm --read-only busybox sh -c 'echo a'"),
        ("busybox 'echo a | cat'", 127, "sandbox run --rm busybox sh -c 'echo a | cat'"),
        ("busybox bash -c 'echo a'", 127, "sandbox run --rm busybox sh -c 'echo a'"),
        ("busybox ehco a", 127, "sandbox run --rm busybox echo a"),
        ("busybox nosuch", 127, "sandbox run --rm -it --entrypoint sh busybox"),
        ("--entrypoint nosuch busybox -x", 127, "sandbox run --rm -it --entrypoint sh busybox"),
        ("busybox /tmp", 126, "sandbox run --rm -it --entrypoint sh busybox"),
        ("busybox /etc/passwd", 126, "in its Dockerfile: RUN chmod +x /etc/passwd"),
        ("busybox --nonsense", 127, "sandbox run --rm -it --entrypoint sh busybox"),
    ],
)
def test_run_of_no_program(sandbox: Sandbox, busybox: str, typed: str, status: int, mend: str) -> None:
    done = sandbox.run("run", "--rm", *shlex.split(typed), status=status)
    assert done.stderr.splitlines()[-1] == f"  mend: {mend}"
    if "echo a" in mend:
        assert sandbox.run(*shlex.split(mend)[1:]).lines == ["a"]


def test_a_volume_that_a_link_of_the_image_leads_to_the_root(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("build", "-q", "-t", "linked", "-", input=f"FROM {busybox}\nRUN ln -s / /link && ln -s link /more\n")
    for place in ("/link", "/more"):
        for how in (("-v", f"kept:{place}"), ("-v", f"/etc:{place}"), ("--tmpfs", place)):
            done = sandbox.run("run", "--rm", "--network", "none", *how, "linked", "true", status=125)
            assert "it leads to the root of the container" in done.stderr
    # below it is below the root
    words = ("--network", "none", "-v", "kept:/link/kept", "linked")
    sandbox.run("run", "-d", "--name", "web", *words, "sleep", "1000")
    assert sandbox.run("exec", "web", "ls", "/").stdout == sandbox.run("run", "--rm", *words, "ls", "/").stdout


def test_a_directory_of_the_store_that_is_gone(sandbox: Sandbox, busybox: str) -> None:
    """Whatever needs it says what mends it."""
    data = sandbox.home.data / "sandbox"
    sandbox.run("create", "--name", "job", "-v", "kept:/kept", "--network", "none", busybox, "cat", "/etc/passwd")
    (data / "volumes/kept").rename(data / "kept")
    repair = "  mend: sandbox system check --repair"
    asked: list[tuple[str, ...]] = [("start", "job"), ("run", "--rm", "-v", "kept:/x", busybox, "true")]
    for words in asked:
        done = sandbox.run(*words, status=None)
        assert done.status != 0
        assert repair in done.stderr.splitlines(), done.stderr
    (data / "kept").rename(data / "volumes/kept")
    (layer,) = [path for path in (data / "layers").iterdir() if not path.name.startswith(".")]
    layer.rename(data / "layer")
    for words in [asked[0], ("run", "--rm", busybox, "true"), ("export", "job"), ("build", "-")]:
        for dockerfile in ("FROM busybox\nRUN true\n", "FROM scratch\nCOPY --from=busybox /etc /etc\n"):
            done = sandbox.run(*words, status=None, input=dockerfile)
            assert done.status != 0
            assert repair in done.stderr.splitlines(), done.stderr
    sandbox.run("system", "check", "--repair")
    assert "root:" in sandbox.run("start", "-a", "job").stdout


def test_exec_of_no_program(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", busybox, "sleep", "1000")
    sandbox.run("exec", "web", "sh", "-c", "printf '#!/no/such\\n' >/tmp/a; chmod +x /tmp/a; echo echo hi >/tmp/b")
    for typed, status, mend, shown in (
        (("-e", "A=1", "web", "-w", "/tmp", "pwd"), 127, "sandbox exec -e A=1 -w /tmp web pwd", ["/tmp"]),
        (("web", "echo hi"), 127, "sandbox exec web sh -c 'echo hi'", ["hi"]),
        (("web", "nosuch"), 127, "sandbox exec -it web sh", []),
        (("web", "ehco", "x"), 127, "sandbox exec web echo x", ["x"]),
        (("web", "/bin/ehco", "x"), 127, "sandbox exec web /bin/echo x", ["x"]),
        (("web", "bash", "-c", "echo x"), 127, "sandbox exec web sh -c 'echo x'", ["x"]),
        (("web", "/tmp/b"), 126, "sandbox exec -u 0 web chmod +x /tmp/b", []),
        (("web", "/tmp/a"), 127, "sandbox exec web head -n 1 /tmp/a | cat -A", ["#!/no/such"]),
    ):
        done = sandbox.run("exec", *typed, status=status)
        assert done.stderr.splitlines()[-1] == f"  mend: {mend}"
        if "-it" not in mend:
            assert sandbox.run(*shlex.split(mend.partition(" | ")[0])[1:]).lines == shown


def test_where_there_is_no_shell_the_programs_are_named(sandbox: Sandbox, busybox: str) -> None:
    """An image of one program, and one of three; the words are kept."""
    for programs, cause, mend in (
        (["tool"], "there is no shell either; there is tool", "sandbox run --rm {} tool a"),
        (["aid", "echo", "tool"], "no shell is there either, but aid, echo, tool", "sandbox image inspect -f "),
    ):
        links = " ".join(f"&& ln -s /busybox /app/{program}" for program in programs)
        text = (
            f"FROM {busybox} AS made\nRUN mkdir /app && cp /bin/busybox /busybox {links}\n"
            "FROM scratch\nCOPY --from=made /busybox /busybox\nCOPY --from=made /app /app\nENV PATH=/app\n"
        )
        image = sandbox.run("build", "-q", "-", input=text).stdout.strip()
        said = sandbox.run("run", "--rm", image, "wget", "a", status=127).stderr.splitlines()
        assert said[1] == f"  cause: {cause}"
        assert said[2].startswith(f"  mend: {mend.format(image)}")


def test_a_working_directory_that_is_not_there_shows_no_system_call(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", busybox, "sleep", "1000")
    for path, cause, mend in (
        ("/none", "/none is not there", "/"),
        ("/tmp/none/deeper", "/tmp/none is not there", "/tmp"),
        ("/etc/passwd", "/etc/passwd is not a directory", "/etc"),
        ("/etc/passwd/x", "/etc/passwd is not a directory", "/etc"),
        ("/proc/self/cwd", "/proc/self/cwd leads through a magic link of /proc, or in a circle", "/proc/self"),
    ):
        said = sandbox.run("exec", "-w", path, "web", "pwd", status=126).stderr
        what = f"Error: cannot change to the working directory {path}\n"
        assert said == f"{what}  cause: {cause}\n  mend: -w {mend}\n"
        assert sandbox.run("exec", "-w", mend, "web", "echo", "a").lines == ["a"]


def test_run_makes_its_working_directory_or_says_why_not(sandbox: Sandbox, busybox: str) -> None:
    """In the image, and in what is mounted over it, as Docker does."""
    (sandbox.home.root / "here").mkdir()
    for options in ((), ("--read-only",), ("-v", "volume:/new"), ("-v", "./here:/new"), ("--tmpfs", "/new")):
        assert sandbox.run("run", "--rm", *options, "-w", "/new/deep", busybox, "pwd").lines == ["/new/deep"]
    assert (sandbox.home.root / "here/deep").is_dir()
    for options, path, cause, mend in (
        ((), "/etc/passwd/x", "/etc/passwd is not a directory", "/etc"),
        (("-v", "./here:/new:ro"), "/new/a/b", "Read-only file system: /new/a is not there", "/new"),
    ):
        said = sandbox.run("run", "--rm", *options, "-w", path, busybox, "pwd", status=125).stderr
        assert said == (f"Error: cannot make the working directory {path}\n  cause: {cause}\n  mend: -w {mend}\n")


@pytest.mark.requires("slirp4netns", "tap")
def test_a_port_that_is_taken_is_mended_by_an_option(sandbox: Sandbox, busybox: str) -> None:
    port = find_free_port()
    sandbox.run("run", "-d", "--name", "first", "-p", f"127.0.0.1:{port}:80", busybox, "sleep", "1000")
    refused = sandbox.run("run", "-p", f"127.0.0.1:{port}:80", busybox, "true", status=125).stderr
    option, _, stops = refused.splitlines()[-1].removeprefix("  mend: ").partition("; or: ")
    assert option.startswith("-p 127.0.0.1:")
    assert option.endswith(":80")
    assert stops == "sandbox stop first"
    sandbox.run("run", "--rm", *option.split(), busybox, "true")


@pytest.mark.requires("slirp4netns", "tap")
def test_a_low_port_is_mended_by_a_higher_one(home: Home, sandbox: Sandbox, busybox: str) -> None:
    host = OtherHost(home)
    host.has_network()
    with host.enter() as there:
        refused = there.run("run", "--rm", "-p", "1023:8000/udp", busybox, "true", status=125).stderr
        assert "it needs a port above 1023\n" in refused
        option, _, other = refused.splitlines()[-1].removeprefix("  mend: ").partition("; or, by an administrator: ")
        assert option.endswith(":8000/udp")
        assert other == "sudo sysctl net.ipv4.ip_unprivileged_port_start=1023"
        there.run("run", "--rm", *option.split(), busybox, "true")


@pytest.mark.parametrize(
    ("typed", "mend"),
    [
        ("-v app/sub:/src", "-v ./app/sub:/src"),
        ("-v app:src:ro", "-v app:/src:ro"),
        ("-v src", "-v /src"),
        ("-v app:/src:foo", "-v app:/src:ro, or without :foo"),
        ("--mount type=bind,src=app,dst=/x", "--mount type=bind,src=./app,dst=/x"),
    ],
)
def test_a_volume_is_mended_by_an_option(sandbox: Sandbox, busybox: str, typed: str, mend: str) -> None:
    refused = sandbox.run("run", "--rm", *typed.split(), busybox, "true", status=125).stderr
    assert refused.splitlines()[-1] == f"  mend: {mend}"


def test_a_new_volume_with_the_name_of_a_directory_is_noted_once(sandbox: Sandbox, busybox: str) -> None:
    (sandbox.home.root / "app").mkdir()
    (sandbox.home.root / "app/file").touch()
    note = "Note: app is a new volume here, not the directory ./app, which would be -v ./app:/src:ro\n"
    assert sandbox.run("run", "--rm", "-v", "app:/src:ro", busybox, "ls", "/src").stderr == note
    assert sandbox.run("run", "--rm", "-v", "app:/src:ro", busybox, "ls", "/src").stderr == "", "it is there by now"
    for option in ("./app:/src", "other:/src", "/src"):
        assert sandbox.run("run", "--rm", "-v", option, busybox, "true").stderr == ""
    assert sandbox.run("run", "--rm", *note.partition("would be ")[2].split(), busybox, "ls", "/src").lines == ["file"]


def test_an_image_that_cannot_be_pulled_but_is_here_by_another_name(sandbox: Sandbox, busybox: str) -> None:
    port = find_free_port()
    sandbox.run("tag", busybox, f"127.0.0.1:{port}/tools")
    refused = sandbox.run("run", "--rm", f"127.0.0.1:{port}/tolos", "echo", "a", status=125).stderr
    assert f"the nearest name here is 127.0.0.1:{port}/tools\n" in refused
    mend = refused.splitlines()[-1].removeprefix("  mend: sandbox ")
    assert sandbox.run(*mend.split()).lines == ["a"]
    refused = sandbox.run("pull", f"127.0.0.1:{port}/tolos", status=1).stderr
    assert refused.endswith(f"  mend: curl http://127.0.0.1:{port}/v2/\n")


def test_an_id_that_no_container_of_this_user_has(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("run", "-d", "--name", "web", busybox, "sleep", "1000")
    for words in (
        ("run", "--rm", "-u", "123456789", busybox, "true"),
        ("run", "--rm", "-t", "-u", "123456789", busybox, "true"),
        ("run", "--rm", "-u", "0:123456789", busybox, "true"),
        ("run", "--rm", "--group-add", "123456789", busybox, "true"),
        ("run", "--rm", "--tmpfs", "/x:uid=123456789", busybox, "true"),
        ("run", "--rm", "--tmpfs", "/x:gid=123456789", busybox, "true"),
        ("exec", "-u", "123456789:5", "web", "true"),
    ):
        is_user = "-u 1" in " ".join(words) or "uid=" in " ".join(words)
        kind, file_name = ("user", "subuid") if is_user else ("group", "subgid")
        message, cause, mend = sandbox.run(*words, status=125 if words[0] == "run" else 126).stderr.splitlines()
        assert message == f"Error: {kind} id 123456789 is not mapped in the container"
        assert cause.startswith(f"  cause: containers of this user have the {kind} ids 0 to ")
        assert cause.endswith(f" of /etc/{file_name}")
        assert mend.startswith("  mend: use an id up to ")


def test_a_limit_that_cannot_be_raised_is_named(sandbox: Sandbox, busybox: str) -> None:
    for name in ("nofile", "rtprio", "memlock"):
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        said = sandbox.run("run", "--rm", "--ulimit", f"{name}={hard + 1}", busybox, "true", status=125).stderr
        assert said == (
            f"Error: cannot set the limit {name} to {hard + 1}:{hard + 1}\n"
            f"  cause: this user's hard limit of {name} is {hard}, and raising it takes privileges\n"
            f"  mend: --ulimit {name}={hard}   (or: --best-effort)\n"
        )
        sandbox.run("run", "--rm", "--ulimit", f"{name}={hard}", busybox, "true")
    # fewer than we need ourselves
    assert sandbox.run("run", "--rm", "--ulimit", "nofile=3", busybox, "sh", "-c", "ulimit -n").lines == ["3"]


def test_few_open_files_are_enough_or_named(sandbox: Sandbox, busybox: str) -> None:
    words = " ".join(sandbox.words("run", "--rm", "--network", "none", busybox, "echo", "done"))
    outcomes = set()
    for limit in (10, 12, 14, 16, 18, 20, 22, 32):
        done = subprocess.run(
            ["sh", "-c", f"ulimit -n {limit}; exec {words}"],
            env=sandbox.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        outcomes.add((limit == 32, done.returncode))
        if done.returncode:
            assert done.stderr.endswith("\n  mend: ulimit -Sn hard\n")
        else:
            assert done.stdout == "done\n"
        assert sandbox.run("ps", "-aq").lines == []
    assert {(False, 125), (True, 0)} <= outcomes <= {(False, 125), (False, 0), (True, 0)}


def test_a_source_that_is_no_path_is_not_blamed_on_the_image(sandbox: Sandbox, busybox: str) -> None:
    for name, target in (("loop", "other"), ("other", "loop")):
        (sandbox.home.root / name).symlink_to(target)
    for source, cause in (
        ("loop", "its symbolic links lead in a circle"),
        ("loop/deeper", "its symbolic links lead in a circle"),
        ("etc/passwd/x", "a part of it is a file, and no directory"),
        ("n" * 256, "the path is too long"),
    ):
        path = "/etc/passwd/x" if "passwd" in source else f"{sandbox.home.root}/{source}"
        for options in (("-v", f"{path}:/x"), ("--mount", f"type=bind,src={path},dst=/x")):
            said = sandbox.run("run", "--rm", *options, busybox, "true", status=125).stderr
            what = f'invalid mount config for type "bind": cannot use the source {path}'
            assert said == f"Error: {what}\n  cause: {cause}\n  mend: namei {path}\n"


def test_a_source_that_became_a_circle_is_not_blamed_on_the_image(sandbox: Sandbox, busybox: str) -> None:
    place = sandbox.home.root / "place"
    place.mkdir()
    sandbox.run("create", "--name", "web", "-v", f"{place}:/x", busybox, "true")
    place.rmdir()
    place.symlink_to("place")
    said = sandbox.run("start", "web", status=1).stderr
    assert "those of the source lead in a circle" in said
    assert "the image" not in said


def test_an_image_for_another_machine_is_warned_of(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("import", "--platform", "linux/s390x", "-", "foreign", input=_EMPTY_TAR)
    host = sandbox.run("inspect", "--format", "{{.Os}}/{{.Architecture}}", busybox).stdout.strip()
    done = sandbox.run("create", "foreign", "true")
    assert done.stderr == (
        f"WARNING: The requested image's platform (linux/s390x) does not match the detected host platform ({host})"
        " and no specific platform was requested\n"
    )
    assert sandbox.run("create", "--platform", "linux/s390x", "foreign", "true").stderr == ""
    assert sandbox.run("create", "foreign", "true", env={"DOCKER_DEFAULT_PLATFORM": "linux/s390x"}).stderr == ""
    assert sandbox.run("create", busybox, "true").stderr == ""
