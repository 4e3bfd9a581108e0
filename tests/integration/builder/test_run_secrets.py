"""What a RUN is lent and must not keep: secrets, and the keys of an SSH agent, with a real one."""

from __future__ import annotations

import os
import socketserver
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.integration.builder.conftest import Builder, load_layout
from tests.integration.builder.servers import Repository, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

#: asks an agent as ssh-add does: what keys are there, a signature, and to forget them all
_ASK = """
import os, socket, struct, sys
def ask(peer, kind, body=b""):
    peer.sendall(struct.pack(">IB", len(body) + 1, kind) + body)
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        data += peer.recv(65536)
    return data[4:]
def part(data):
    size = struct.unpack(">I", data[:4])[0]
    return data[4:4 + size], data[4 + size:]
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(sys.argv[1] if len(sys.argv) > 1 else os.environ["SSH_AUTH_SOCK"])
    keys = ask(peer, 11)
    count = struct.unpack(">I", keys[1:5])[0]
    blob, rest = part(keys[5:])
    comment, _rest = part(rest)
    text = struct.pack(">I", len(blob)) + blob + struct.pack(">I", 4) + b"data" + struct.pack(">I", 0)
    print(count, comment.decode(), ask(peer, 13, text)[0], ask(peer, 19)[0], struct.unpack(">I", ask(peer, 11)[1:5])[0])
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the-key", "-f", str(path)], check=True)
    return path


@contextmanager
def _agent(sandbox: Sandbox, key: Path) -> Iterator[str]:
    socket = str(sandbox.home.root / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        env = {**os.environ, "SSH_AUTH_SOCK": socket}
        subprocess.run(["ssh-add", "-q", str(key)], env=env, check=True, stdin=subprocess.DEVNULL)
        yield socket
    finally:
        agent.terminate()
        agent.communicate()


@pytest.fixture
def python(sandbox: Sandbox, debian_layout: Path) -> Builder:
    load_layout(sandbox, debian_layout, "python")
    return Builder(sandbox)


def test_an_agent_lists_and_signs_and_does_nothing_else(python: Builder, key: Path) -> None:
    text = (
        "FROM python\nCOPY ask.py /ask.py\nRUN --mount=type=ssh python3 /ask.py > /a\n"
        "RUN --mount=type=ssh,id=other,target=/s,mode=0666,uid=7,gid=8,required python3 /ask.py /s > /b "
        "&& stat -c '%u:%g %a' /s >> /b && setpriv --reuid 9 --clear-groups python3 /ask.py /s >> /b\n"
        "RUN --mount=type=ssh --mount=type=ssh,id=other,mode=0600 ls /run/buildkit > /c\n"
    )
    context = python.context({"Dockerfile": text, "ask.py": _ASK})
    run = python.sandbox.run
    with _agent(python.sandbox, key) as socket:
        python.sandbox.env["SSH_AUTH_SOCK"] = socket
        stale = python.sandbox.home.runtime / "sandbox/ssh-stale"
        stale.mkdir(parents=True)
        run("build", "-t", "made", "--ssh", "default", "--ssh", f"other={key}", context)
        # what a killed build left is gone, and so is what this one needed
        assert not list(stale.parent.glob("ssh-*"))
        # 14: a signature; 5: refused; and the key is still there
        assert python.run("cat", "/a") == "1 the-key 14 5 1\n"
        assert python.run("cat", "/b") == "1 the-key 14 5 1\n7:8 666\n1 the-key 14 5 1\n"
        assert python.run("cat", "/c").split() == ["ssh_agent.0", "ssh_agent.1"]
        tree = python.tree()
        assert not {"s", "run/buildkit"} & tree.keys()
        left = subprocess.run(
            ["ssh-add", "-l"], env={**os.environ, "SSH_AUTH_SOCK": socket}, capture_output=True, check=True
        )
        assert b"the-key" in left.stdout
        # the agent is no part of the key: another one, or none, changes nothing
        del python.sandbox.env["SSH_AUTH_SOCK"]
        assert run("build", context).stderr.count("CACHED") == 4


def test_an_agent_that_is_missing(builder: Builder, key: Path) -> None:
    run = builder.sandbox.run
    run("build", "-t", "made", "-", input="FROM busybox\nRUN --mount=type=ssh echo ${SSH_AUTH_SOCK-none} > /a\n")
    assert builder.run("cat", "/a") == "none\n"
    needed = "FROM busybox\nRUN --mount=type=ssh,required=true true\n"
    failed = run("build", "-", input=needed, status=1)
    assert "SSH agent default: not found" in failed.stderr
    assert "2 | RUN" in failed.stderr
    assert "SSH_AUTH_SOCK is not set" in run("build", "--ssh", "default", "-", input=needed, status=1).stderr
    assert "cannot read" in run("build", "--ssh", "default=/missing", "-", input=needed, status=1).stderr
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "pass", "-f", str(key)], check=True)
    locked = run("build", "--ssh", f"default={key}", "-", input=needed, status=1)
    assert "cannot use the key" in locked.stderr
    assert "invalid --ssh" in run("build", "--ssh", "=x", "-", input=needed, status=125).stderr


@pytest.fixture
def ssh_server(sandbox: Sandbox, key: Path, tmp_path: Path) -> Iterator[str]:
    """sshd for one connection at a time, which lets `key` in; the home knows its host key."""
    host_key = tmp_path / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "key.pub").read_text())
    settings = (
        f"HostKey {host_key}", f"AuthorizedKeysFile {tmp_path}/authorized", "StrictModes no", "UsePAM no",
        "PasswordAuthentication no",
    )  # fmt: skip
    (tmp_path / "sshd_config").write_text("\n".join(settings) + "\n")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            words = ["/usr/sbin/sshd", "-i", "-e", "-f", str(tmp_path / "sshd_config")]
            subprocess.run(words, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL, check=False)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        port = server.server_address[1]
        known = sandbox.home.root / ".ssh"
        known.mkdir()
        (known / "known_hosts").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host_key.pub').read_text()}")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        yield f"ssh://{user}@127.0.0.1:{port}{tmp_path}"


def test_git_over_ssh_with_the_agents_key_and_known_hosts_alone(
    builder: Builder, key: Path, ssh_server: str, tmp_path: Path
) -> None:
    Repository(tmp_path / "repo").commit({"f": "by-ssh", "Dockerfile": "FROM busybox\nCOPY f /c\n"})
    run = builder.sandbox.run
    text = f"FROM busybox\nADD {ssh_server}/repo /d/\n"
    run("build", "-t", "made", "--ssh", f"default={key}", "-", input=text)
    assert builder.run("cat", "/d/f") == "by-ssh"
    run("build", "-t", "made", "--ssh", f"default={key}", f"{ssh_server}/repo")
    assert builder.run("cat", "/c") == "by-ssh"
    refused = run("build", "--no-cache", "-", input=text, status=1)
    assert "--ssh default" in refused.stderr
    (builder.sandbox.home.root / ".ssh/known_hosts").write_text("")
    unknown = run("build", "--ssh", f"default={key}", "--no-cache", "-", input=text, status=1)
    assert "ssh-keyscan" in unknown.stderr


def test_secrets_as_files_and_variables_with_owner_and_mode(builder: Builder) -> None:
    text = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=a,uid=7,gid=8,mode=0440 --mount=type=secret,id=a,target=/t/here "
        "--mount=type=secret,id=b,env=TOKEN --mount=type=secret,id=b,env=BOTH,target=both "
        "--mount=type=secret,id=missing stat -c '%n %u:%g %a' /run/secrets/a /t/here both > /stat "
        '&& echo "${#TOKEN} ${#BOTH}" >> /stat && cat /t/here both | wc -c >> /stat && ls /run/secrets >> /stat\n'
    )
    context = builder.context({"Dockerfile": text, "secret": "s3cr3t-in-a-file"})
    options = ("--secret", f"id=a,src={context}/secret", "--secret", "type=env,id=b,src=SHELL_TOKEN")
    builder.sandbox.env["SHELL_TOKEN"] = "s3cr3t-by-variable"
    run = builder.sandbox.run
    run("build", "-t", "made", *options, context)
    assert builder.run("cat", "/stat").splitlines() == [
        "/run/secrets/a 7:8 440", "/t/here 0:0 400", "both 0:0 400", "18 18", str(16 + 18), "a"
    ]  # fmt: skip
    shown = run("history", "--no-trunc", "made").stdout + run("inspect", "made").stdout
    assert "s3cr3t" not in shown
    kept = [path for path in builder.sandbox.home.data.rglob("*") if path.is_file() and b"s3cr3t-" in path.read_bytes()]
    assert kept == []
    # another value is no reason to run it again
    builder.sandbox.env["SHELL_TOKEN"] = "other"
    assert "CACHED" in run("build", *options, context).stderr


def test_secrets_that_are_missing_or_written_wrongly(builder: Builder) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=a,required true\n"
    run = builder.sandbox.run
    failed = run("build", "-", input=text, status=1)
    assert "secret a: not found" in failed.stderr
    big = builder.sandbox.home.root / "big"
    big.write_bytes(bytes(600 * 1024))
    for value, said in (
        ("id=a,src=/missing", "cannot read the secret"), ("id=a,env=NOT_SET", "is not set"), ("nonsense", "invalid"),
        ("id=a,type=other", "file or env"), (f"id=a,src={big}", "larger than"), ("id=a,scr=x", "unexpected"),
    ):  # fmt: skip
        assert said in run("build", "--secret", value, "-", input=text, status=None).stderr, value
