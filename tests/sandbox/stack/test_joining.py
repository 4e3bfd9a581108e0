"""Several files as one: the rules of merging, `!reset` and `!override`, `extends`, `include`, profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.errors import NotFoundError
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.project_request import Steps
from tests.sandbox.stack.projects import document, load, one, write

if TYPE_CHECKING:
    from pathlib import Path


def _web(directory: Path, base: str, over: str) -> dict[str, Any]:
    """The service of two files, each the text of its body."""
    indented = ["\n".join(f"    {line}" for line in text.strip().splitlines()) for text in (base, over)]
    write(
        directory,
        base=f"services:\n  web:\n    image: i\n{indented[0]}\n",
        over=f"services:\n  web:\n{indented[1]}\n",
    )
    steps = Steps(checks=False, normalises=False, resolves_paths=False, resolves_environment=False)
    found: dict[str, Any] = document(load(directory, steps, files=("base.yaml", "over.yaml")))["services"]["web"]
    return found


@pytest.mark.parametrize(
    ("base", "over", "key", "value"),
    [
        ("command: a b", "command: c", "command", ["c"]),
        ("entrypoint: [a]", "entrypoint: []", "entrypoint", []),
        ("command: a", "command:", "command", None),
        ("healthcheck: {test: [CMD, a], retries: 3}", "healthcheck: {test: b}", "healthcheck",
         {"test": ["CMD-SHELL", "b"], "retries": 3}),
        ("ports: ['80:80', '90:90']", "ports: ['80:80', '81:80']", "ports", ["80", "90", "81"]),
        ("ports: [{target: 80, published: 80, name: a}]", "ports: ['80:80']", "ports", ["80"]),
        ("volumes: ['./a:/x', './b:/y']", "volumes: ['./c:/x']", "volumes", ["./c", "./b"]),
        ("environment: [A=1, B=2]", "environment: {B: 3, C: 4}", "environment", {"A": "1", "B": "3", "C": "4"}),
        ("labels: {a: 1}", "labels: [b=2]", "labels", {"a": "1", "b": "2"}),
        ("dns: 1.1.1.1", "dns: [2.2.2.2]", "dns", ["1.1.1.1", "2.2.2.2"]),
        ("env_file: a.env", "env_file: [{path: b.env, required: false}, a.env]", "env_file",
         [{"path": "a.env"}, {"path": "b.env", "required": False}]),
        ("extra_hosts: {a: 1.1.1.1}", "extra_hosts: ['a=1.1.1.1', 'a=2.2.2.2']", "extra_hosts",
         ["a=1.1.1.1", "a=2.2.2.2"]),
        ("cap_add: [A, B]", "cap_add: [B, C]", "cap_add", ["A", "B", "C"]),
        ("networks: [a]", "networks: {b: {aliases: [x]}}", "networks", {"a": None, "b": {"aliases": ["x"]}}),
        ("depends_on: {a: {condition: service_healthy}}", "depends_on: [a, b]", "depends_on",
         {"a": {"condition": "service_started", "required": True},
          "b": {"condition": "service_started", "required": True}}),
        ("build: ./x", "build: {target: t}", "build", {"context": "./x", "target": "t"}),
        ("build: {context: x, args: [A=1]}", "build: {args: {B: 2}}", "build",
         {"context": "x", "args": {"A": "1", "B": "2"}}),
        ("logging: {driver: a, options: {x: '1'}}", "logging: {options: {y: '2'}}", "logging",
         {"driver": "a", "options": {"x": "1", "y": "2"}}),
        ("logging: {driver: a, options: {x: '1'}}", "logging: {driver: b}", "logging", {"driver": "b"}),
        ("ulimits: {nofile: {soft: 1, hard: 2}}", "ulimits: {nofile: 3}", "ulimits", {"nofile": 3}),
        ("secrets: [{source: a, uid: '1'}]", "secrets: [a]", "secrets", [{"source": "a", "target": "/run/secrets/a"}]),
        ("devices: ['/a:/x']", "devices: ['/b:/x']", "devices",
         [{"source": "/b", "target": "/x", "permissions": "rwm"}]),
        ("deploy: {replicas: 2, labels: [a=1]}", "deploy: {labels: {b: 2}}", "deploy",
         {"replicas": 2, "labels": {"a": "1", "b": "2"}}),
        ("read_only: true", "read_only: false", "read_only", None),
        ("ports: ['80:80']", "ports: !reset []", "ports", None),
        ("ports: ['80:80']", "ports: !override ['90:90']", "ports", ["90"]),
        ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", {"B": "2"}),
        ("environment: {A: 1}", "environment: !override {B: 2}", "environment", {"B": "2"}),
        ("ports: ['80:80']", "ports:", "ports", ["80"]),
    ],
)  # fmt: skip
def test_rules(tmp_path: Path, base: str, over: str, key: str, value: object) -> None:
    found = _web(tmp_path, base, over).get(key)
    if key == "ports" and found:
        found = [each["published"] for each in found]
    if key == "volumes" and found:
        found = [each["source"] for each in found]
    assert found == value


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ComposeFileError) as caught:
        _web(tmp_path, "ports: ['80:80']", "ports: {a: b}")
    assert caught.value.render().splitlines() == [
        "Error: over.yaml:3:12: services.web.ports: a mapping cannot change a list",
        "  cause: what it would change stands in base.yaml:4:12",
        "  mend: write !override before it, to put it in the other's place",
    ]


def test_pools_of_a_network(tmp_path: Path) -> None:
    write(
        tmp_path,
        base="services: {}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/8}, {subnet: 11.0.0.0/8}]}}}\n",
        over="networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, gateway: 10.0.0.1}]}}}\n",
    )
    found = document(load(tmp_path, files=("base.yaml", "over.yaml"), keeps_unused=True))["networks"]["n"]
    assert found["ipam"]["config"] == [{"subnet": "10.0.0.0/8", "gateway": "10.0.0.1"}, {"subnet": "11.0.0.0/8"}]


def test_extends(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose="""
        services:
          web:
            extends: {file: sub/base.yaml, service: web}
            environment: {B: 2}
          other: {extends: web, ports: !reset []}
        """,
    )
    write(
        tmp_path / "sub",
        base="""
        services:
          root: {image: "i:${TAG:-1}", volumes: ["./data:/data"], ports: ["80:80"]}
          web: {extends: {service: root}, environment: [A=1], env_file: web.env}
        """,
    )
    (tmp_path / "sub" / "web.env").write_text("C=3\nB=9\n")
    services = document(load(tmp_path))["services"]
    assert services["web"]["image"] == "i:1"
    assert services["web"]["environment"] == {"A": "1", "B": "2", "C": "3"}
    assert services["web"]["volumes"][0]["source"] == f"{tmp_path}/sub/data"
    assert "ports" not in services["other"]
    assert services["other"]["environment"] == services["web"]["environment"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{a: {extends: b}, b: {extends: {service: a}}}", "services extend each other in a circle: a -> b -> a"),
        ("{a: {extends: a}}", "circle: a -> a"),
        ("{a: {extends: bb}, b: {image: i}}", "compose.yaml:1:25: services.a.extends: there is no service 'bb' in"),
        ("{a: {extends: {file: no.yaml, service: a}}}", "services.a.extends.file: there is no file no.yaml"),
        ("{a: {extends: {servce: a}}}", "extends has no key 'servce'"),
        ("{a: {extends: [b]}}", "a list stands where a service's name"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, f"services: {body}")
    assert says in caught.value.message


def test_include(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose="""
        include: [sub/part.yaml, {path: [more.yaml], project_directory: elsewhere, env_file: more.env}]
        services:
          web: {image: i, depends_on: [db], environment: [FROM]}
          db: {labels: {mine: "1"}}
        """,
    )
    write(
        tmp_path / "sub",
        part="""
        services:
          db: {image: "db:$TAG", volumes: ["./data:/data", "vol:/v"], environment: [FROM]}
        volumes: {vol: {}}
        """,
    )
    write(tmp_path, more='services: {more: {image: "more:$TAG", volumes: ["./x:/x"]}}')
    (tmp_path / "sub" / ".env").write_text("TAG=sub\nFROM=sub\n")
    (tmp_path / "more.env").write_text("TAG=more\n")
    found = document(load(tmp_path, env={"FROM": "caller"}))
    assert found["services"]["db"]["image"] == "db:sub"
    assert found["services"]["db"]["labels"] == {"mine": "1"}
    assert found["services"]["db"]["volumes"][0]["source"] == f"{tmp_path}/sub/data"
    assert found["services"]["db"]["environment"] == {"FROM": "caller"}
    assert found["services"]["more"]["image"] == "more:more"
    assert found["services"]["more"]["volumes"][0]["source"] == f"{tmp_path}/elsewhere/x"
    assert found["volumes"]["vol"]["name"] == f"{tmp_path.name}_vol".lower().replace("[", "").replace("]", "")


def test_what_cannot_be_included(tmp_path: Path) -> None:
    write(tmp_path, compose="include: [a.yaml]", a="include: [compose.yaml]\nservices: {}")
    with pytest.raises(ComposeFileError, match=r"a.yaml:\d+:\d+: include: files include each other in a circle: comp"):
        load(tmp_path)
    with pytest.raises(ComposeFileError, match=r"include: there is no file no.yaml"):
        one(tmp_path, "include: [no.yaml]")
    with pytest.raises(ComposeFileError, match="include has no key 'paht'"):
        one(tmp_path, "include: [{paht: x}]")


_PROFILES = """
services:
  always: {image: i}
  debug: {image: i, profiles: [debug], depends_on: [tools]}
  tools: {image: i, profiles: [debug, tools]}
"""


@pytest.mark.parametrize(
    ("asked", "env", "names"),
    [
        ({}, {}, ("always",)),
        ({"profiles": ("debug",)}, {}, ("always", "debug", "tools")),
        ({"profiles": ("*",)}, {}, ("always", "debug", "tools")),
        ({}, {"COMPOSE_PROFILES": "tools, x"}, ("always", "tools")),
        ({"services": ("debug",)}, {}, ("debug", "tools")),
        ({"services": ("always",)}, {}, ("always",)),
    ],
)
def test_profiles(tmp_path: Path, asked: dict[str, Any], env: dict[str, str], names: tuple[str, ...]) -> None:
    write(tmp_path, compose=_PROFILES)
    assert load(tmp_path, env=env, **asked).services.names == names


def test_a_service_that_is_off_is_no_service(tmp_path: Path) -> None:
    text = "services: {a: {image: i, depends_on: [b]}, b: {image: i, profiles: [p]}}"
    with pytest.raises(ComposeFileError) as caught:
        one(tmp_path, text)
    assert "depends on undefined service 'b'" in caught.value.message
    assert caught.value.mend == "--profile p"
    required = text.replace("[b]", "{b: {condition: service_started, required: false}}")
    assert one(tmp_path, required).services.names == ("a",)
    with pytest.raises(NotFoundError, match="no such service: c"):
        one(tmp_path, required, services=("c",))


def test_what_nobody_uses_is_left_out(tmp_path: Path) -> None:
    text = "services: {a: {image: i, volumes: ['vol:/v']}}\nvolumes: {vol: , w: }\nnetworks: {n: }\n"
    assert one(tmp_path, text).volumes.names == ("vol",)
    kept = one(tmp_path, text, keeps_unused=True)
    assert kept.volumes.names == ("vol", "w")
    assert kept.networks.names == ("default", "n")
