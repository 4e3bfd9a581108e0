"""What of a project is published, and what a person is asked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.compose.published import ENV_FILE, ENV_FILE_TYPE, EXTENDS, FILE, FILE_TYPE, files_of
from sandbox.compose.publishing import check_publishable, layers_of, questions
from sandbox.compose.sensitive import findings_in, is_suspicious
from sandbox.errors import ImageError, UsageError
from sandbox.image.artifacts import Kind, Layer, manifest_of
from sandbox.stack.project_request import Steps
from tests.sandbox.stack.projects import load, one, write

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
x-base: &base
  env_file: [{path: "${DIRECTORY}/own.env"}, missing.env]
services:
  # a remark stays
  web:
    <<: *base
    image: w
    extends: {file: 'base.yaml', service: web}
  db: {image: d, env_file: own.env}
"""


def test_files_go_along_under_other_names_and_come_back(tmp_path: Path) -> None:
    write(tmp_path, compose=_FILE, base="services: {web: {init: true}}")
    (tmp_path / "own.env").write_text("A=b\n")
    (tmp_path / "missing.env").touch()
    project = load(tmp_path, env={"DIRECTORY": "."})
    (tmp_path / "missing.env").unlink()
    main, base, variables = layers_of(project, with_environment=True)
    assert [each.media_type for each in (main, base, variables)] == [FILE_TYPE, FILE_TYPE, ENV_FILE_TYPE]
    name, extended = dict(variables.annotations)[ENV_FILE], dict(base.annotations)[FILE]
    text = main.data.decode()
    assert "# a remark stays" in text
    assert text.count(name) == 2
    assert f"file: {extended}," in text
    # no path of this machine, also of what is not there
    assert "own.env" not in text
    assert "missing.env" not in text
    assert dict(base.annotations)[EXTENDS] == "true"
    assert [each.media_type for each in layers_of(project, with_environment=False)] == [FILE_TYPE, FILE_TYPE]

    files = files_of((main, main, base, variables), "shop")
    assert files[name] == b"A=b\n"
    assert files[extended] == b"services: {web: {init: true}}"
    assert files["compose.yaml"] == main.data + b"\n---\n" + main.data


@pytest.mark.parametrize("file", ["", "../x", "a/b", "..", "compose.yaml", "a\\b"])
def test_a_layer_leads_nowhere_else(file: str) -> None:
    main = Layer(FILE_TYPE, b"services: {}")
    with pytest.raises(ImageError, match="invalid OCI artifact"):
        files_of((main, Layer(ENV_FILE_TYPE, b"", ((ENV_FILE, file),))), "shop")
    with pytest.raises(ImageError, match="has no Compose file"):
        files_of((Layer("text/plain", b""),), "shop")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("a: {image: i, environment: {PASSWORD: '${P}', API_KEY: '$P', TOKEN: ab, NAME: literal}}", []),
        ("a: {image: i, environment: [API_KEY=literal]}", ["env-related", 'service "a": literal value for "API_KEY"']),
        ("a: {image: i, env_file: e}", ["env-related", 'service "a": env_file declared']),
        ("a: {image: i, volumes: ['.:/data:ro']}", ["bind mounts", ":/data:ro\n"]),
        ("a: {image: i, labels: {x: AKIAABCDEFGHIJKLMNOP}}",
         ["sensitive data", 'AWS Client ID\n"services.a.labels.x": AKIAABCDEFGHIJKLMNOP\n']),
        ("a: {image: i, environment: [X=https://user:secret@host/]}",
         ["sensitive data", '"services.a.environment.X": https://user:secret@host/']),
    ],
)  # fmt: skip
def test_what_is_asked(tmp_path: Path, body: str, words: list[str]) -> None:
    (tmp_path / "e").write_text("A=b\n")
    found = "\n".join(questions(one(tmp_path, f"services:\n  {body}\n"), with_environment=False))
    assert all(word in found for word in words)
    assert bool(found) == bool(words)


def test_variables_may_be_said_to_be_right(tmp_path: Path) -> None:
    project = one(tmp_path, "services: {a: {image: i, environment: {TOKEN: literal}}}\n")
    assert list(questions(project, with_environment=True)) == []
    inline = one(tmp_path, "services: {a: {image: i}}\nconfigs: {c: {content: literal}, d: {content: '${D}'}}\n")
    (asked,) = questions(inline, with_environment=True)
    assert '  config "c"\n' in asked
    assert '"d"' not in asked


def test_contents_are_looked_through(tmp_path: Path) -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nabc=\n-----END EC PRIVATE KEY-----"
    (tmp_path / "key").write_text(f"{key}\n")
    (tmp_path / "e").write_text(f"GITHUB_TOKEN=ghp_{'a' * 36}\n")
    body = "services: {a: {image: i, env_file: e, secrets: [k]}}\nsecrets: {k: {file: ./key}}\n"
    write(tmp_path, compose=body)
    project = load(tmp_path, Steps(resolves_environment=False))
    (asked,) = questions(project, with_environment=True)
    assert f'Github authentication\n"GITHUB_TOKEN": ghp_{"a" * 36}\n' in asked
    assert f'Private Key\n"": {key}\n' in asked


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [("DB_PASSWORD", "bar", True), ("dbPwd", "$$bar", True), ("SECRET", "{{x}}", False), ("USER", "bar", False)],
)
def test_names_of_secrets(name: str, value: str, is_one: bool) -> None:
    assert is_suspicious(name, value) == is_one


def test_nothing_is_found_in_plain_words() -> None:
    assert list(findings_in("a plain text, https://host/path and user@host")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("services: {a: {build: .}, b: {image: i}}", 'only contains a build section for service(s):\n- "a"'),
        ("include: [other.yaml]\nservices: {a: {image: i}}", "cannot publish compose file with local includes"),
        ("include: [{path: [other.yaml]}]\nservices: {a: {image: i}}", "local includes"),
    ],
)
def test_what_nobody_else_could_bring_up_is_refused(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, compose=text, other="services: {c: {image: i}}")
    with pytest.raises(UsageError) as caught:
        check_publishable(load(tmp_path))
    assert says in caught.value.message


def test_the_manifest_by_version() -> None:
    kind, layer = Kind("application/x", "application/x.empty"), Layer("text/plain", b"a", (("k", "v"),))
    assert b'"artifactType":"application/x"' in manifest_of(kind, (layer,), {}, "1.1")
    old = manifest_of(kind, (layer,), {}, "1.0")
    assert b"artifactType" not in old
    assert b'"mediaType":"application/x.empty"' in old
    with pytest.raises(UsageError, match=r"unsupported OCI version: 2\.0"):
        manifest_of(kind, (layer,), {}, "2.0")
