"""What of a project is built, as values; and the same as bake's file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.builder.progress.progress import Event, Vertex
from sandbox.compose.bake import bake_document
from sandbox.compose.building import of_service
from sandbox.compose.builds import BuildChoice, BuildSecret, service_builds
from sandbox.errors import SandboxError, UsageError
from sandbox.image.platforms import host_platform
from tests.sandbox.stack.projects import load, one, write

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
    name: demo
    services:
      web:
        build:
          context: ./web
          dockerfile: web.Dockerfile
          args: {A: "1", B: , GONE: }
          target: last
          labels: {mine: "yes"}
          tags: ["web:extra"]
          extra_hosts: ["h=10.0.0.1"]
          ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}
          secrets: [token, {source: word, target: other}]
          additional_contexts: {base: "service:base", files: ./files}
          shm_size: 1m
          network: none
        image: web:1
        platform: linux/amd64
      base: {build: {dockerfile_inline: "FROM x"}}
      plain: {image: plain}
      remote: {build: {context: "https://example.org/x.git", dockerfile: d}}
    secrets: {token: {file: ./token}, word: {environment: WORD}}
"""


def test_a_build_with_everything(tmp_path: Path) -> None:
    write(tmp_path, compose=_FILE)
    project = load(tmp_path, env={"B": "2", "WORD": "w"})
    base, remote, web = service_builds(project)
    assert [base.service, remote.service, web.service] == ["base", "remote", "web"]
    assert web.names == ("web:1", "web:extra")
    assert web.context == f"{tmp_path}/web"
    assert web.file == f"{tmp_path}/web/web.Dockerfile"
    # what has no value anywhere is not given
    assert dict(web.arguments) == {"A": "1", "B": "2"}
    assert (web.target, web.network, web.platform, web.shm_size_bytes) == ("last", "none", "linux/amd64", 2**20)
    labels = dict(web.labels)
    assert (labels["mine"], labels["com.docker.compose.service"]) == ("yes", "web")
    assert (labels["com.docker.compose.project"], "com.docker.compose.version" in labels) == ("demo", True)
    assert web.extra_hosts == ("h:10.0.0.1",)
    assert sorted(web.limits) == [("nofile", 10, 10), ("nproc", 1, 2)]
    assert web.secrets == (BuildSecret("token", path=f"{tmp_path}/token"), BuildSecret("other", value="w"))
    assert dict(web.contexts) == {"base": "docker-image://demo-base", "files": f"{tmp_path}/files"}
    assert web.after == ("base",)
    assert (base.names, base.context, base.dockerfile) == (("demo-base",), str(tmp_path), "FROM x")
    # in a repository a path is its own
    assert (remote.context, remote.file) == ("https://example.org/x.git", "d")


def test_what_a_context_is_taken_from_is_built_too(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)
    assert [each.service for each in service_builds(project, ("web",))] == ["base", "web"]
    assert service_builds(project, ("plain",)) == ()


def test_the_command_line_is_over_the_file(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)._replace(environment={"NEW": "n"})
    choice = BuildChoice(("A=9", "NEW"), no_cache=True, pull=True, push=True, ssh=("default",))
    base, _, web = service_builds(project, choice=choice)
    assert dict(web.arguments) == {"A": "9", "NEW": "n"}
    assert (web.no_cache, web.pull, web.push, web.ssh) == (True, True, True, ("default",))
    # nobody could pull what has no name of its own
    assert not base.push
    with pytest.raises(UsageError, match="invalid --build-arg"):
        service_builds(project, choice=BuildChoice(("=1",)))


def test_what_cannot_be_built_is_told_with_its_place(tmp_path: Path) -> None:
    text = "services: {a: {build: {context: ., network: mine}}}"
    with pytest.raises(SandboxError, match=r"services\.a\.build\.network"):
        service_builds(one(tmp_path, text))
    text = "services: {a: {build: {context: ., additional_contexts: {b: 'service:none'}}}}"
    with pytest.raises(SandboxError):
        service_builds(one(tmp_path, text))


_SEVERAL = "services: {a: {build: {context: ., platforms: [linux/one, linux/two]}%s}}"


def test_an_image_is_for_one_platform(tmp_path: Path) -> None:
    every = BuildChoice(every_platform=True)
    project = one(tmp_path, _SEVERAL % "")
    with pytest.raises(UsageError, match=r"^Multi-platform build is not supported for the docker driver\."):
        service_builds(project, (), every)
    with pytest.raises(UsageError, match="the classic builder doesn't support multi-arch build, set DOCKER_BUILDKIT=1"):
        service_builds(project, (), every._replace(is_classic=True))
    # what is about to run is of this machine where it can be
    assert [build.platform for build in service_builds(project)] == ["linux/one"]
    own = one(tmp_path, (_SEVERAL % "").replace("linux/two", str(host_platform())))
    assert [build.platform for build in service_builds(own)] == [str(host_platform())]
    chosen = one(tmp_path, _SEVERAL % ", platform: linux/two")
    assert [build.platform for build in service_builds(chosen, (), every)] == ["linux/two"]
    wanted = load(tmp_path, env={"DOCKER_DEFAULT_PLATFORM": "linux/two"})
    assert [build.platform for build in service_builds(wanted, (), every)] == ["linux/two"]
    other = load(tmp_path, env={"DOCKER_DEFAULT_PLATFORM": "linux/three"})
    with pytest.raises(UsageError, match="does not support value set by DOCKER_DEFAULT_PLATFORM: linux/three"):
        service_builds(other, (), every)


def test_the_classic_order(tmp_path: Path) -> None:
    project = one(tmp_path, "services: {a: {build: ., depends_on: [b, c]}, b: {build: .}, c: {image: c}}")
    assert [build.after for build in service_builds(project)] == [(), ()]
    assert [build.after for build in service_builds(project, (), BuildChoice(is_classic=True))] == [("b", "c"), ()]


def test_bake_reads_the_same(tmp_path: Path) -> None:
    document = json.loads(bake_document(service_builds(one(tmp_path, _FILE), choice=BuildChoice(push=True))))
    assert document["group"] == {"default": {"targets": ["base", "remote", "web"]}}
    web = document["target"]["web"]
    assert web["tags"] == ["web:1", "web:extra"]
    assert web["output"] == ["type=image,push=true"]
    assert web["secret"] == [f"id=token,type=file,src={tmp_path}/token", "id=other,type=env"]
    assert document["target"]["base"]["dockerfile-inline"] == "FROM x"
    assert document["target"]["base"]["output"] == ["type=docker"]


def test_steps_of_several_builds_are_told_apart() -> None:
    step = Vertex("v", "[2/3] RUN x", "", 2, 3, ("u",))
    event = of_service("web", Event("started", "v", 1, step))
    assert event.vertex == "web:v"
    assert event.step is not None
    assert (event.step.id, event.step.name, event.step.inputs) == ("web:v", "[web 2/3] RUN x", ("web:u",))
    other = of_service("db", Event("started", "v", 1, step._replace(name="exporting to image")))
    assert other.step is not None
    assert other.step.name == "[db] exporting to image"
    assert of_service("db", Event("warning", "", 1, text="w")).vertex == ""
