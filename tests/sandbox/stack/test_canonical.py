"""`config`: Docker's forms and order, and that what it prints is read as what it was made of."""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import SandboxError
from sandbox.stack.canonical import config_hash, document_of, json_text, with_dollars
from sandbox.stack.fates import fates_of
from sandbox.stack.project_request import Steps
from sandbox.stack.request import request_of
from tests.sandbox.stack.projects import load, one, text_of

_FILE = """
name: demo
x-base: &base {restart: always, labels: [b=2]}
services:
  web10: {image: i}
  web2:
    <<: *base
    profiles: []
    build: {context: /src, args: {A: "1"}}
    command: ["echo", "$$HOME", "yes", "1", "a: b", "#x", "", "two\\nlines\\n"]
    deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 50M}}}
    environment: {B: , A: 1.50, C: true}
    healthcheck: {test: curl, interval: 90s, retries: 3}
    mem_limit: 50m
    ports: ["8080:80"]
    secrets: [{source: s, mode: 0440}]
    stop_grace_period: 1m30s
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
    volumes: ["/a:/b:ro", "vol:/v", {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0755}}]
    x-own: {z: 1, a: [x]}
secrets: {s: {file: /s}}
volumes: {vol: {labels: {l: }}}
"""
_PRINTED = """\
name: demo
services:
  web2:
    build:
      context: /src
      dockerfile: Dockerfile
      args:
        A: "1"
    command:
      - echo
      - $$HOME
      - "yes"
      - "1"
      - 'a: b'
      - '#x'
      - ""
      - |
        two
        lines
    deploy:
      replicas: 2
      resources:
        limits:
          cpus: 0.5
          memory: "52428800"
    environment:
      A: "1.5"
      B: null
      C: "true"
    healthcheck:
      test:
        - CMD-SHELL
        - curl
      interval: 1m30s
      retries: 3
    labels:
      b: "2"
    mem_limit: "52428800"
    networks:
      default: null
    ports:
      - mode: ingress
        target: 80
        published: "8080"
        protocol: tcp
    restart: always
    secrets:
      - source: s
        target: /run/secrets/s
        mode: "0440"
    stop_grace_period: 1m30s
    ulimits:
      nofile:
        soft: 1
        hard: 2
      nproc: 3
    volumes:
      - type: bind
        source: /a
        target: /b
        read_only: true
        bind: {}
      - type: volume
        source: vol
        target: /v
        volume: {}
      - type: tmpfs
        target: /t
        tmpfs:
          size: "1048576"
          mode: 493
    x-own:
      a:
        - x
      z: 1
  web10:
    image: i
    networks:
      default: null
networks:
  default:
    name: demo_default
volumes:
  vol:
    name: demo_vol
    labels:
      l: ""
secrets:
  s:
    name: demo_s
    file: /s
x-base:
  labels:
    - b=2
  restart: always
"""


def test_the_form(tmp_path: Path) -> None:
    assert text_of(one(tmp_path, _FILE)) == _PRINTED


def test_json(tmp_path: Path) -> None:
    text = json_text(with_dollars(document_of(one(tmp_path, _FILE), is_json=True)))
    found = json.loads(text)
    assert list(found) == ["name", "networks", "secrets", "services", "volumes", "x-base"]
    assert found["services"]["web10"] == {
        "command": None,
        "entrypoint": None,
        "image": "i",
        "networks": {"default": None},
    }
    assert json_text({"a": "<&>"}) == '{\n  "a": "\\u003c\\u0026\\u003e"\n}'


def test_the_hash_is_of_what_a_container_is(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        return config_hash(dict(one(tmp_path, f"services: {{a: {{image: i, {text}}}, b: {{image: i}}}}").services)["a"])

    plain = hashed("tty: false")
    assert len(plain) == 64
    for same in ("scale: 3", "depends_on: [b]", "pull_policy: always", "build: .", "profiles: []", "environment: {}"):
        assert hashed(same) == plain, same
    for other in ("tty: true", "command: x", "environment: {A: 1}", "labels: [a]", "ports: ['80']", "x-own: 1"):
        assert hashed(other) != plain, other


_NAME = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=2, max_size=6).filter(
    lambda name: name != "zz"
)
#: what libyaml takes for characters
_PRINTABLE = st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=("Cs", "Cc", "Cn", "Co"))
#: what could be taken for something else, or break a line
_TEXT = st.sampled_from((
    "", "yes", "on", "~", "null", "1", "0123", "1.5", "22:22", "2026-01-02", "a: b", "#x", "- a", "$", "$$", "${A}",
    "two\nlines", "end\n", "\n", " x ", "'", '"', "\\", "*a", "&a", "!a", "%", "@", "`", "{", "[", "=", "<<", "ü", "\t",
    "0x1f", "1e3", ".5", "true", "a#b", "a #b", "? a", "---", "...", "x\ny\n\n", "  lead\nlines",
)) | st.text(_PRINTABLE, max_size=12)  # fmt: skip
_PORT = st.integers(1, 65535)
_SERVICE = st.fixed_dictionaries(
    {"image": _TEXT.filter(bool)},
    optional={
        "command": st.lists(_TEXT, max_size=3) | st.none(),
        "entrypoint": st.lists(_TEXT, max_size=3),
        "environment": st.dictionaries(_NAME, _TEXT | st.none() | st.integers() | st.booleans(), max_size=3),
        "labels": st.dictionaries(_NAME, _TEXT, max_size=3),
        "ports": st.lists(st.builds(lambda a, b: f"{a}:{b}", _PORT, _PORT) | _PORT, max_size=3),
        "volumes": st.lists(st.sampled_from(("./a:/b", "/x:/y:ro", "/anon", "vol:/v")), max_size=3, unique=True),
        "tty": st.booleans(),
        "mem_limit": st.sampled_from(("1g", "64m", 1024)),
        "stop_grace_period": st.sampled_from(("1s", "1d", "1h30m", "500ms", "0s")),
        "deploy": st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 5), "labels": st.just(["a=b"])}),
        "healthcheck": st.fixed_dictionaries({"test": _TEXT}, optional={"retries": st.integers(0, 5)}),
        "extra_hosts": st.just(["a:1.2.3.4", "b=::1"]),
        "ulimits": st.just({"nofile": {"soft": 0, "hard": 5}, "nproc": 7}),
        "build": st.fixed_dictionaries({"context": st.just("./b")}, optional={"dockerfile_inline": _TEXT}),
        "depends_on": st.just(["zz"]),
        "x-own": st.recursive(_TEXT | st.integers() | st.booleans() | st.none(),
                              lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAME, inner, max_size=2),
                              max_leaves=4),
    },
)  # fmt: skip


def _doubled(value: Any) -> Any:
    """Texts in which a `$` is one."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _doubled(each) for key, each in value.items()}
    return [_doubled(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_NAME, _SERVICE, max_size=3))
def test_what_is_printed_is_read_as_the_same(services: dict[str, Any]) -> None:
    """config(config(x)) == config(x), in both formats, and no text changes on its way."""
    whole = {"name": "p", "services": {**_doubled(services), "zz": {"image": "i"}}, "volumes": {"vol": None}}
    with TemporaryDirectory() as place:
        file = Path(place, "compose.yaml")
        file.write_text(json.dumps(whole, ensure_ascii=False))
        first = load(Path(place))
        text = text_of(first)
        assert with_dollars(document_of(first)) == yaml.safe_load(text)
        file.write_text(text)
        second = load(Path(place))
        assert text_of(second) == text
        assert [config_hash(each) for _, each in second.services] == [config_hash(each) for _, each in first.services]
        file.write_text(json_text(with_dollars(document_of(first, is_json=True))))
        assert text_of(load(Path(place))) == text
    for name, service in services.items():
        found = dict(first.services)[name]
        assert found.image == service["image"]
        assert list(found.command or ()) == (service.get("command") or [])


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


_WRONG: st.SearchStrategy[Any] = st.sampled_from((
    None, True, -1, 1.5, "", "x", "64m", "${A}", "${", "/", "a:b:c:d", "::", "1-2", "service:x", [], [None], [[]],
    ["a", "a"], {}, {"a": None}, {"a": {}}, {"x-a": 1}, 2**70, "é" * 300,
))  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_is_written_is_read_or_refused(data: st.DataObject) -> None:
    """No value at any place makes more of it than an error that says where."""
    whole = yaml.safe_load(_FILE)
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(_places(whole)[1:]))
        inner = whole
        for key in path:
            inner = inner[key]
        # a copy: the next one may be put inside it, and what is drawn must stay what it is
        inner[last] = deepcopy(data.draw(_WRONG))
    with TemporaryDirectory() as place:
        Path(place, "compose.yaml").write_text(json.dumps(whole, ensure_ascii=False))
        steps = Steps(interpolates=data.draw(st.booleans()), checks=data.draw(st.booleans()))
        with suppress(SandboxError):
            project = load(Path(place), steps)
            assert text_of(project)
            assert [each.fate for each in fates_of(project) if each.fate == "done"] == []
            if steps.interpolates and steps.checks:
                assert all(request_of(name, project).name for name in project.services.names)


@pytest.mark.parametrize("flag", ["-", "x"])
def test_a_dollar_survives(tmp_path: Path, flag: str) -> None:
    text = f"services: {{a: {{image: 'i$${{A:{flag}$$$$b}}'}}}}"
    project = one(tmp_path, text)
    assert dict(project.services)["a"].image == f"i${{A:{flag}$$b}}"
    assert text_of(one(tmp_path, text_of(project))) == text_of(project)
