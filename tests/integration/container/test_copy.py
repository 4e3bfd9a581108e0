"""`cp` both ways: of containers that run, are paused, stopped and new; into mounts; streams; what is refused."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.test_output import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
FOREVER = ("busybox", "sleep", "1000000")


def _tree(tmp_path: Path) -> Path:
    """What is copied in: each kind of file that a user can make."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "file").write_text("content")
    (tree / "file").chmod(0o640)
    os.utime(tree / "file", (1_600_000_000, 1_600_000_000))
    (tree / "link").symlink_to("file")
    (tree / "sub/again").hardlink_to(tree / "file")
    os.mkfifo(tree / "pipe", 0o600)
    (tree / os.fsdecode(b"odd \xff\n")).write_text("odd")
    with (tree / "holes").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"data")
    return tree


def _describe(tree: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        mode = 0 if path.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(tree))] = (stat.S_IFMT(status.st_mode), mode, int(status.st_mtime), content)
    return found


@pytest.mark.parametrize("state", ["created", "running", "paused", "exited"])
def test_a_tree_goes_in_and_comes_out_as_it_was(
    sandbox: Sandbox, busybox: str, tmp_path: Path, state: str, request: pytest.FixtureRequest
) -> None:
    tree = _tree(tmp_path)
    program = ("true",) if state == "exited" else FOREVER
    sandbox.run("create", "--name", "web", "--network", "none", busybox, *program)
    if state == "exited":
        sandbox.run("start", "-a", "web")
    elif state != "created":
        sandbox.run("start", "web")
    if state == "paused":
        sandbox.run("pause", "web")
    done = sandbox.run("cp", "-q=false", tree, "web:/tmp/in")
    assert done.stderr.splitlines()[-1].startswith("Successfully copied ")
    assert done.stderr.splitlines()[-1].endswith(" to web:/tmp/in")
    out = tmp_path / "out"
    sandbox.run("cp", "web:/tmp/in", out)
    assert _describe(out) == _describe(tree)
    assert (out / "sub/again").samefile(out / "file")
    assert (out / "holes").stat().st_blocks * 512 < 1 << 20
    # into a directory that is there, and its content alone
    sandbox.run("cp", "web:/tmp/in", out)
    assert _describe(out / "in") == _describe(tree)
    sandbox.run("cp", "web:/tmp/in/.", tmp_path / "content")
    assert _describe(tmp_path / "content") == _describe(tree)
    if state == "running":
        shown = sandbox.run("exec", "web", "stat", "-c", "%u:%g %a %n", "/tmp/in/file", "/tmp/in").lines
        assert shown == ["0:0 640 /tmp/in/file", "0:0 755 /tmp/in"]
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}").lines
    copies = [action for action in told if action in ("archive-path", "extract-to-dir")]
    assert copies == ["extract-to-dir", "archive-path", "archive-path", "archive-path"]


def test_a_terminal_sees_it_grow(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    sandbox.run("create", "--name", "web", "--network", "none", busybox, "true")
    (tmp_path / "file").write_bytes(bytes(5000))
    for words, header in (
        ((str(tmp_path / "file"), "web:/tmp/in"), "Copying to container"),
        (("web:/tmp/in", str(tmp_path / "out")), "Copying from container"),
    ):
        shown = Terminal(sandbox, "cp", *words).read_all().decode()
        assert shown.startswith(f"\r\x1b[2K{header} - ")
        assert shown.endswith(f"\r\x1b[2KSuccessfully copied 6.66kB to {words[1]}\r\n")
        assert Terminal(sandbox, "cp", "-q", *words).read_all() == b""


@pytest.fixture
def web(sandbox: Sandbox, busybox: str, tmp_path: Path) -> Sandbox:
    """A running container `web` with a volume, a bind mount of `tmp_path/bind`, one that is read-only, and a tmpfs."""
    (tmp_path / "bind").mkdir()
    mounts = ("-v", "data:/vol", "-v", f"{tmp_path}/bind:/bind", "-v", "fixed:/fixed:ro", "--tmpfs", "/fast")
    sandbox.run("run", "-d", "--name", "web", "--network", "none", *mounts, busybox, *FOREVER)
    return sandbox


def test_sources_and_destinations_are_docker_s(web: Sandbox, tmp_path: Path) -> None:
    file, tree = tmp_path / "file", tmp_path / "tree"
    file.write_text("content")
    tree.mkdir()
    (tree / "inner").write_text("inner")
    (tmp_path / "to-tree").symlink_to("tree")
    (tmp_path / "to-file").symlink_to("file")
    os.chdir("/")
    web.run("cp", "file", "web:tmp/relative", cwd=tmp_path)
    web.run("cp", "./file", "web:/tmp/../tmp", cwd=tmp_path)
    web.run("cp", file, "web:/tmp/with:colon")
    web.run("cp", tree, "web:/tmp/new/")
    web.run("cp", f"{tree}/.", "web:/tmp/new")
    web.run("cp", "to-tree", "web:/tmp/alink", cwd=tmp_path)
    web.run("cp", "-L", "to-tree", "web:/tmp/followed", cwd=tmp_path)
    web.run("cp", "-L", "to-file", "web:/tmp", cwd=tmp_path)
    web.run("cp", "to-tree/", "web:/tmp/slash", cwd=tmp_path)
    shown = web.run("exec", "web", "sh", "-c", "cd /tmp; for f in * */*; do stat -c '%F %N' $f; done").lines
    assert shown == [
        "symbolic link 'alink' -> 'tree'",
        "regular file file", "directory followed", "directory new", "regular file relative", "directory slash",
        "regular file to-file", "regular file with:colon",
        "regular file followed/inner", "regular file new/inner", "regular file slash/inner",
    ]  # fmt: skip
    # a link at the destination is followed, also to what is not there yet
    web.run("exec", "web", "busybox", "ln", "-s", "/tmp/made", "/tmp/dangling")
    web.run("exec", "web", "busybox", "ln", "-s", "new", "/tmp/to-new")
    web.run("cp", file, "web:/tmp/dangling")
    web.run("cp", file, "web:/tmp/to-new")
    assert web.run("exec", "web", "cat", "/tmp/made", "/tmp/new/file").stdout == "contentcontent"
    out = tmp_path / "out"
    out.mkdir()
    web.run("cp", "web:/tmp/to-new", out)
    web.run("cp", "-L", "web:/tmp/to-new", out / "followed")
    web.run("cp", "web:/tmp/to-new/.", out / "content")
    web.run("cp", "-L", "web:/tmp/dangling", ".", cwd=out)
    assert os.readlink(out / "to-new") == "new"
    assert sorted(os.listdir(out / "followed")) == sorted(os.listdir(out / "content")) == ["file", "inner"]
    assert (out / "dangling").read_text() == "content"


@pytest.mark.parametrize("of", ["web", "made"])
def test_refusals_have_docker_s_words(web: Sandbox, busybox: str, tmp_path: Path, of: str) -> None:
    web.run("create", "--name", "made", busybox, "true")
    (tmp_path / "file").write_text("x")
    (tmp_path / "tree").mkdir()
    for source, target, message in (
        (f"{of}:/no", ".", f"Could not find the file /no in container {of}"),
        (f"{of}:/etc/passwd", "no/", "no such directory"),
        (f"{of}:/etc/passwd", "no/no", 'invalid output path: directory "{tmp}/no" does not exist'),
        (
            f"{of}:/etc/passwd",
            "/dev/null",
            'invalid output path: "/dev/null" must be a directory or a regular file: got a device',
        ),
        (f"{of}:/etc", "file", "cannot copy directory"),
        (f"{of}:/etc/passwd/", ".", "lstat /etc/passwd/: not a directory"),
        ("file", f"{of}:/no/", "no such directory"),
        ("file", f"{of}:/no/no", f"Could not find the file /no in container {of}"),
        ("file", f"{of}:/etc/passwd/x", "extraction point is not a directory"),
        ("tree", f"{of}:/etc/passwd", "cannot copy directory"),
        ("no", f"{of}:/tmp", "lstat {tmp}/no: no such file or directory"),
        ("file/", f"{of}:/tmp", "lstat {tmp}/file/: not a directory"),
        ("file", "nobody:/tmp", "No such container: nobody"),
        ("nobody:/etc", ".", "No such container: nobody"),
        (f"{of}:/etc", "web:/tmp", "copying between containers is not supported"),
        ("file", "tree", "must specify at least one container source"),
        ("", f"{of}:/tmp", "source can not be empty"),
        ("file", "", "destination can not be empty"),
        ("-", f"{of}:/etc/passwd", f'destination "{of}:/etc/passwd" must be a directory'),
    ):
        done = web.run("cp", source, target, status=1, cwd=tmp_path)
        assert done.stderr.splitlines()[0] == "Error: " + message.replace("{tmp}", str(tmp_path)), (source, target)
    assert sorted(os.listdir(tmp_path)) == ["bind", "file", "tree"]
    assert "requires 2 arguments" in web.run("cp", "file", status=1).stderr


def test_directories_and_files_do_not_take_each_other_s_place(web: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "tree/thing").mkdir(parents=True)
    web.run("exec", "web", "sh", "-c", "mkdir /tmp/tree /tmp/flat; echo kept > /tmp/tree/thing; mkdir /tmp/flat/thing")
    failed = web.run("cp", tmp_path / "tree", "web:/tmp", status=1).stderr
    assert "cannot overwrite non-directory 'tree/thing' with directory" in failed
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/thing").write_text("x")
    failed = web.run("cp", tmp_path / "flat", "web:/tmp", status=1).stderr
    assert "cannot overwrite directory 'flat/thing' with non-directory" in failed
    assert web.run("exec", "web", "cat", "/tmp/tree/thing").stdout == "kept\n"
    (tmp_path / "out/tree/thing").mkdir(parents=True)
    failed = web.run("cp", "web:/tmp/tree", tmp_path / "out", status=1).stderr
    assert "cannot overwrite directory 'tree/thing' with non-directory" in failed


def test_mounts_are_met_as_the_container_has_them(web: Sandbox, busybox: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    for place in ("/vol", "/bind", "/fast", "/"):
        web.run("cp", file, f"web:{place}")
        web.run("cp", f"web:{place}/file", tmp_path / f"from{place.replace('/', '-')}")
        assert web.run("exec", "web", "cat", f"{place}/file").stdout == "content"
    assert (tmp_path / "bind/file").stat().st_uid == os.getuid()
    # what an engine put there is written in place
    (tmp_path / "hosts").write_text("10.0.0.1 other\n")
    web.run("cp", tmp_path / "hosts", "web:/etc/hosts")
    assert web.run("exec", "web", "cat", "/etc/hosts").stdout == "10.0.0.1 other\n"
    refused = web.run("cp", file, "web:/fixed", status=1).stderr
    assert refused.splitlines()[0] == "Error: mounted volume is marked read-only"
    web.run("kill", "web")
    for place in ("/vol", "/bind"):
        (tmp_path / "bind/file").unlink(missing_ok=True)
        web.run("cp", file, f"web:{place}/second")
        web.run("cp", f"web:{place}/second", tmp_path / "again")
    assert (tmp_path / "bind/second").read_text() == "content"
    assert "mounted volume is marked read-only" in web.run("cp", file, "web:/fixed", status=1).stderr
    # a new volume has what the image has there, before and after the first start
    web.run("create", "--name", "new", "--network", "none", "-v", "fresh:/var/data", busybox, *FOREVER)
    web.run("cp", file, "new:/var/data/mine")
    web.run("start", "new")
    assert web.run("exec", "new", "ls", "/var/data").lines == ["file", "mine"]


@pytest.mark.parametrize("runs", [True, False])
def test_a_read_only_root_is_not_written_to(sandbox: Sandbox, busybox: str, tmp_path: Path, runs: bool) -> None:
    (tmp_path / "file").write_text("x")
    sandbox.run("create", "--name", "web", "--network", "none", "--read-only", "-v", "data:/vol", busybox, *FOREVER)
    if runs:
        sandbox.run("start", "web")
    refused = sandbox.run("cp", tmp_path / "file", "web:/tmp", status=1).stderr
    assert refused.splitlines()[0] == "Error: container rootfs is marked read-only"
    sandbox.run("cp", tmp_path / "file", "web:/vol")
    sandbox.run("cp", "web:/vol/file", tmp_path / "out")
    sandbox.run("cp", "web:/etc/passwd", tmp_path / "passwd")
    assert (tmp_path / "out").read_text() == "x"


def test_streams_both_ways(web: Sandbox, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, uid in (("mine", 1000), ("sub/deep", 0)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = 2, uid, uid, 0o4711
            archive.addfile(entry, io.BytesIO(b"ab"))
    web.run("cp", "-", "web:/tmp", input=stream.getvalue())
    web.run("exec", "web", "busybox", "ln", "-s", "mine", "/tmp/link")
    shown = web.run("exec", "web", "stat", "-c", "%u:%g %a", "/tmp/mine", "/tmp/sub/deep", "/tmp/sub").lines
    assert shown == ["1000:1000 4711", "0:0 4711", "0:0 755"]
    target = tmp_path / "archive"
    with target.open("wb") as file:
        web.spawn("cp", "web:/tmp", "-", stdout=file.fileno()).wait()
    assert target.stat().st_size % 512 == 0
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["tmp", "tmp/link", "tmp/mine", "tmp/sub", "tmp/sub/deep"]
        assert (archive.getmember("tmp/mine").uid, archive.getmember("tmp/mine").mode) == (1000, 0o4711)
    with target.open("wb") as file:
        web.spawn("cp", "-L", "web:/tmp/link", "-", stdout=file.fileno()).wait()
    assert target.stat().st_size == 2048
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["link"]
        assert archive.getmember("link").isfile()
    # set-id bits are the container's alone
    web.run("cp", "web:/tmp/mine", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o711


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"this is no archive" * 100, "malformed"), (b"\x1f\x8b\x08\x00", "truncated"), (b"", "")],
)
def test_streams_that_are_no_archive(web: Sandbox, data: bytes, message: str) -> None:
    done = web.run("cp", "-", "web:/tmp", input=data, status=1 if message else 0)
    assert message in done.stderr
    assert web.run("exec", "web", "ls", "/tmp").stdout == ""


def test_a_hostile_stream_stays_inside(web: Sandbox, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.write_text("kept")
    for name, link in (("../../../out", ""), ("l", str(tmp_path)), ("l", "/proc/1/root"), ("l", "/proc/self/cwd")):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            if link:
                entry.type, entry.linkname = tarfile.SYMTYPE, link
                archive.addfile(entry)
                entry = tarfile.TarInfo("l/marker")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"bad"))
        web.run("cp", "-", "web:/tmp", input=stream.getvalue(), status=None)
        assert marker.read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["bind", "marker"]


def test_owners_with_archive_mode_and_without(web: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    web.run("cp", tmp_path / "file", "web:/tmp/plain")
    web.run("cp", "-a", tmp_path / "file", "web:/tmp/kept")
    uid, gid = os.getuid(), os.getgid()
    shown = web.run("exec", "web", "stat", "-c", "%u:%g", "/tmp/plain", "/tmp/kept").lines
    assert shown == ["0:0", f"{uid}:{gid}"]
    web.run("exec", "web", "chown", "1000:1000", "/tmp/plain")
    web.run("cp", "-a", "web:/tmp/plain", tmp_path / "out")
    assert (tmp_path / "out").stat().st_uid == uid


def test_the_kernel_s_own_files_are_read_to_their_end(web: Sandbox, tmp_path: Path) -> None:
    web.run("cp", "web:/proc/1/status", tmp_path / "status")
    web.run("cp", "web:/sys/class/net/lo/mtu", tmp_path / "mtu")
    assert (tmp_path / "status").read_text().startswith("Name:\tbusybox\n")
    assert (tmp_path / "mtu").read_text() == "65536\n"


@pytest.mark.parametrize("command", ["start", "rm"])
def test_other_commands_wait_for_a_copy_of_what_does_not_run(sandbox: Sandbox, busybox: str, command: str) -> None:
    sandbox.run("create", "--name", "made", "--network", "none", busybox, "stat", "-c", "%s", "/tmp/large")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = 4 << 20
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    with sandbox.spawn("cp", "-", "made:/tmp", stdin=subprocess.PIPE) as copy:
        assert copy.stdin is not None
        # more than any pipe holds: when it is gone, the copy has begun
        copy.stdin.write(stream.getvalue()[: 2 << 20])
        copy.stdin.flush()
        waiting = sandbox.spawn(command, "made")
        copy.stdin.write(stream.getvalue()[2 << 20 :])
        copy.stdin.close()
        assert copy.wait(60) == 0
    assert waiting.communicate(timeout=60)[0] == b"made\n"
    assert waiting.returncode == 0
    if command == "start":
        sandbox.run("wait", "made")
        assert sandbox.run("logs", "made").stdout == f"{4 << 20}\n"


def test_what_cannot_be_read_is_told_and_the_rest_copied(web: Sandbox, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "shut").mkdir(parents=True)
    (tree / "open").write_text("x")
    (tree / "secret").write_text("x")
    (tree / "secret").chmod(0)
    (tree / "shut").chmod(0)
    done = web.run("cp", tree, "web:/tmp", status=1)
    (tree / "shut").chmod(0o700)
    assert "cannot read 'tree/secret': Permission denied" in done.stderr
    assert "cannot read 'tree/shut': Permission denied" in done.stderr
    assert web.run("exec", "web", "ls", "/tmp/tree").lines == ["open", "shut"]


@contextmanager
def _swapped(web: Sandbox, inside: str) -> Iterator[None]:
    """A process of the container that has a directory and a link to a directory of the host take turns at /x/d."""
    script = (
        f"mkdir -p {inside} /x/dir; echo inner > {inside}/marker; echo inner > /x/dir/marker;"
        f"busybox ln -s {inside} /x/link; cd /x; echo ready;"
        "while :; do busybox mv dir d; busybox mv d dir; busybox mv link d; busybox mv d link; done"
    )
    swapper = web.spawn("exec", "web", "sh", "-c", script)
    assert swapper.stdout is not None
    assert swapper.stdout.readline() == b"ready\n"
    yield
    web.run("kill", "web")
    swapper.wait()


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=pytest.mark.long)])
def test_a_container_that_swaps_links_leads_nowhere(web: Sandbox, tmp_path: Path, rounds: int) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "marker").write_text("host")
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_text("copied")
    out.mkdir()
    with _swapped(web, str(canary)):
        for number in range(rounds):
            web.run("cp", file, f"web:/x/d/new-{number}", status=None)
            web.run("cp", "web:/x/d/marker", out / f"file-{number}", status=None)
            web.run("cp", "web:/x/d", out / f"tree-{number}", status=None)
            web.run("cp", "web:/x", out / f"all-{number}", status=None)
    assert os.listdir(canary) == ["marker"]
    assert (canary / "marker").read_text() == "host"
    copied = [path for path in out.rglob("marker") if path.is_file() and not path.is_symlink()]
    assert {path.read_text() for path in copied if canary not in path.resolve().parents} <= {"inner\n"}
    assert {path.read_text() for path in out.glob("file-*")} <= {"inner\n"}


@pytest.mark.parametrize(
    "words", [("export", "box"), ("cp", "box:/data", "-"), ("cp", "box:/data/big", "-"), ("volume", "export", "big")]
)
def test_an_archive_ends_with_its_reader(sandbox: Sandbox, busybox: str, words: tuple[str, ...]) -> None:
    # more than a pipe holds
    sandbox.run("run", "--name", "box", "-v", "big:/volume", busybox, "sh", "-c",
                "mkdir /data; dd if=/dev/zero bs=1M count=2 | tee /data/big >/volume/big")  # fmt: skip
    process = subprocess.Popen(sandbox.words(*words), env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(10)) == 10
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (141, b"")
    process.stderr.close()
    missing = sandbox.run("export", "nobody", status=1)
    assert missing.stderr.startswith("Error: No such container: nobody")
