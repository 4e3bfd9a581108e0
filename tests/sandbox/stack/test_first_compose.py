"""Against Compose's first version, of Debian: what it makes of a file is to us the same as the file.

Both print other forms; so its output is read by us again, and compared with what we make of the file itself.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.stack.projects import document, load

if TYPE_CHECKING:
    from pathlib import Path

#: each key of a service that both know, with values in all its forms
_VALUES: dict[str, list[Any]] = {
    "image": ["i", "i:1", "${A}x", "$A", "${NONE:-d}", "${E:-d}", "$$x", "a$$b"],
    "command": ["a b 'c d'", ["x", "y z"], "sh -c 'echo $$A'", "", []],
    "entrypoint": ["a b", ["x"]],
    "environment": [{"A": "1", "B": None, "C": "${A}"}, ["A", "B=1", "C=$A", "D="], {"X": 1, "Z": 1.5}],
    "env_file": ["e.env", ["e.env"]],
    "labels": [{"a": "1"}, ["a=1", "b"], {"a": None}],
    "ports": [
        ["80:80", "81:81/udp"], ["127.0.0.1:8000:80"], ["3000-3002:3000-3002"], [80],
        [{"target": 80, "published": 8080, "protocol": "tcp", "mode": "host"}],
    ],
    "expose": [["80", "90"], [80]],
    "volumes": [
        ["./a:/b"], ["/x:/y:ro", "vol:/v"], ["/anon"], ["~/h:/h"],
        [{"type": "bind", "source": "./s", "target": "/t", "read_only": True}],
        [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1000}}],
        [{"type": "volume", "source": "vol", "target": "/t", "volume": {"nocopy": True}}],
    ],
    "depends_on": [["o"], {"o": {"condition": "service_healthy"}}],
    "restart": ["always", "no", "on-failure:3", "unless-stopped"],
    "healthcheck": [{"test": "curl x", "interval": "1m30s", "retries": 3}, {"test": ["CMD", "a"], "timeout": "5s"}],
    "dns": ["1.1.1.1", ["1.1.1.1", "2.2.2.2"]],
    "dns_search": ["a.b"],
    "tmpfs": ["/run", ["/run", "/tmp:size=1m"]],
    "cap_add": [["A", "B"]],
    "extra_hosts": [["a:1.2.3.4"], {"b": "1.1.1.1"}],
    "ulimits": [{"nproc": 5, "nofile": {"soft": 1, "hard": 2}}],
    "sysctls": [{"net.core.somaxconn": 1024}, ["a.b=1"]],
    "logging": [{"driver": "json-file", "options": {"max-size": "1m"}}],
    "deploy": [
        {"replicas": 2, "labels": {"a": "b"}, "placement": {"constraints": ["a==b"]},
         "resources": {"limits": {"cpus": "0.5", "memory": "50M"}},
         "update_config": {"parallelism": 2, "delay": "10s"}},
    ],
    "build": [
        {"context": ".", "dockerfile": "D", "args": {"A": "1"}},
        {"context": ".", "args": ["A=1"], "target": "t"},
    ],
    "networks": [["n"], {"n": {"aliases": ["a"], "ipv4_address": "10.0.0.2"}}, {"n": None, "default": None}],
    "network_mode": ["host", "service:o"],
    "secrets": [["s"], [{"source": "s", "target": "t", "uid": "1", "gid": "2", "mode": 0o440}]],
    "configs": [["c"]],
    "group_add": [["a", 5]],
    "mem_limit": ["1g"],
    "cpus": [0.5, "0.5"],
    "shm_size": ["64m", 1024],
    "stop_grace_period": ["1m30s"],
    "devices": [["/dev/fuse:/dev/fuse:rwm"]],
    "links": [["o"]],
    **{key: [value] for key, value in {
        "user": "1:2", "working_dir": "/w", "hostname": "h", "domainname": "d", "tty": True, "stdin_open": True,
        "privileged": True, "read_only": True, "init": True, "stop_signal": "SIGINT", "pids_limit": 5, "pid": "host",
        "ipc": "host", "security_opt": ["a:b"], "profiles": ["p"], "platform": "linux/amd64", "oom_score_adj": 5,
        "container_name": "mine", "userns_mode": "host", "scale": 2, "isolation": "default", "cgroup_parent": "x",
    }.items()},
}  # fmt: skip
_SHARED = {
    "volumes": {"vol": None},
    "networks": {"n": None},
    "secrets": {"s": {"file": "./s"}},
    "configs": {"c": {"file": "./c"}},
}
_CASES = [(key, value) for key, values in _VALUES.items() for value in values]


@pytest.mark.long
@pytest.mark.requires("docker-compose")
@pytest.mark.parametrize(("key", "value"), _CASES, ids=[f"{key}-{n}" for n, (key, _) in enumerate(_CASES)])
def test_both_understand_the_same(tmp_path: Path, key: str, value: Any) -> None:
    (tmp_path / "e.env").write_text("FROM_FILE=1\nA=file\n")
    services = {"w": {"image": "i", key: value}, "o": {"image": "o"}}
    (tmp_path / "in.json").write_text(json.dumps({"version": "3.9", "services": services, **_SHARED}))
    variables = {"A": "val", "E": "", "HOME": "/home/dev"}
    done = subprocess.run(
        ["docker-compose", "-p", "p", "-f", "in.json", "--profile", "p", "config"],
        cwd=tmp_path, env={**variables, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "out.yaml").write_text(done.stdout)

    def ours(file: str) -> dict[str, Any]:
        project = load(tmp_path, env=variables, files=(file,), name="p", profiles=("*",), keeps_unused=True)
        return document(project)

    assert ours("in.json") == ours("out.yaml")
