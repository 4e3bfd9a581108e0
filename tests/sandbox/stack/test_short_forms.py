"""Short forms: compose-go's table of volumes, and ports, devices, hosts and commands as `config` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.model import Volume
from sandbox.stack.nodes import Scalar
from sandbox.stack.places import Place, Source
from sandbox.stack.reading import Reading
from sandbox.stack.short_forms import short_volume
from tests.sandbox.stack.projects import document, one
from tests.sandbox.stack.vectors import document as vectors

if TYPE_CHECKING:
    from pathlib import Path

_PLACE = Place(Source("f", "f", "/project"), 1, 1)


def _volume(text: str) -> Volume:
    reading = Reading(is_lenient=False, resolves_paths=False)
    found = short_volume(reading, Scalar(_PLACE, text, text), "v")
    assert isinstance(found, Volume)
    return found


def _matches(found: Volume, expected: dict[str, Any]) -> bool:
    bind = expected.get("Bind", {})
    return (
        found.type == expected["Type"]
        and (found.source == expected["Source"] or expected.get("Source") == "$path" or "Source" not in expected)
        and (found.target == expected["Target"] or expected["Target"] == "$path")
        and found.read_only == expected.get("ReadOnly", False)
        and (found.bind.propagation if found.bind else "") == bind.get("Propagation", "")
        and (found.bind.selinux if found.bind else "") == bind.get("SELinux", "")
    )


@pytest.mark.requires("vectors")
def test_table_of_volumes() -> None:
    seen = 0
    for name, rows in vectors("compose-volume-short.json")["cases"].items():
        if name.startswith("TestParseVolumeWith") and isinstance(rows[0], list):
            for case in rows[0]:
                if isinstance(case, dict) and "Windows" not in name:
                    seen += 1
                    assert _matches(_volume(case["input"]), case["expected"]), case["name"]
        elif len(rows) == 2 and isinstance(rows[0], str) and isinstance(rows[1], dict) and "Windows" not in name:
            seen += 1
            assert _matches(_volume(rows[0]), rows[1]), name
    assert seen > 15


@pytest.mark.parametrize("text", ["", ":foo", "/foo::rw", "/foo::ro", "/foo:/foo:ro:foo"])
def test_what_is_no_volume(text: str) -> None:
    with pytest.raises(ComposeFileError, match="invalid volume"):
        _volume(text)


_PORT = {"mode": "ingress", "protocol": "tcp"}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("80", [{**_PORT, "target": 80}]),
        ("8080:80", [{**_PORT, "target": 80, "published": "8080"}]),
        ("8000-8005:80", [{**_PORT, "target": 80, "published": "8000-8005"}]),
        ("3000-3001", [{**_PORT, "target": 3000}, {**_PORT, "target": 3001}]),
        (
            "127.0.0.1:9000-9001:90-91/udp",
            [
                {"mode": "ingress", "host_ip": "127.0.0.1", "target": 90 + n, "published": f"900{n}", "protocol": "udp"}
                for n in (0, 1)
            ],
        ),
        ("[::1]:80:80", [{**_PORT, "host_ip": "::1", "target": 80, "published": "80"}]),
        ("127.0.0.1::80", [{**_PORT, "host_ip": "127.0.0.1", "target": 80}]),
    ],
)
def test_ports(tmp_path: Path, short: str, long: list[dict[str, Any]]) -> None:
    project = one(tmp_path, f'services: {{web: {{image: i, ports: ["{short}"]}}}}')
    assert document(project)["services"]["web"]["ports"] == long


@pytest.mark.parametrize("text", ["80:80:80:80x", "x", "80-79", "1-2:3-5", "99999", "80/http", "a:80", "1.2.3:80:80"])
def test_what_is_no_port(tmp_path: Path, text: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, f'services:\n  web:\n    image: i\n    ports:\n      - "1"\n      - "{text}"\n')
    assert caught.value.message.startswith("compose.yaml:6:9: services.web.ports[1]: invalid")


def test_the_others(tmp_path: Path) -> None:
    found = document(
        one(
            tmp_path,
            """
            services:
              web:
                image: i
                command: sh -c "echo  a" 'b c'
                entrypoint: []
                devices: ["/dev/fuse", "/dev/a:/dev/b:r"]
                extra_hosts: ["a:1.2.3.4", "b=[::1]"]
                healthcheck: {test: curl x}
                build: {context: ., ssh: [default, "id=./k"], extra_hosts: {c: [1.1.1.1, 2.2.2.2]}}
            """,
        )
    )["services"]["web"]
    assert found["command"] == ["sh", "-c", "echo  a", "b c"]
    assert found["entrypoint"] == []
    assert found["devices"] == [
        {"source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rwm"},
        {"source": "/dev/a", "target": "/dev/b", "permissions": "r"},
    ]
    assert found["extra_hosts"] == ["a=1.2.3.4", "b=::1"]
    assert found["healthcheck"] == {"test": ["CMD-SHELL", "curl x"]}
    assert found["build"]["ssh"] == ["default", "id=./k"]
    assert found["build"]["extra_hosts"] == ["c=1.1.1.1", "c=2.2.2.2"]
