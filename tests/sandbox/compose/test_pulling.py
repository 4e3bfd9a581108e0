"""Which images are pulled and pushed, and why others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.compose.pulling import PullChoice, Transfer, pull_plan, push_plan, required_builds, required_pulls
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
    services:
      a: {image: "one:1"}
      b: {image: "one:1"}
      c: {build: ., pull_policy: build}
      d: {image: "two:1", build: .}
      e: {image: "three:1", pull_policy: never}
      f: {image: "four:1", pull_policy: missing}
      g: {image: four, pull_policy: missing}
"""


def test_each_image_is_pulled_once(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)
    plan = pull_plan(project, project.services.names, {"four:1", "four"})
    assert plan == (
        Transfer("Image one:1", "one:1", service="a"),
        Transfer("c", "", skipped="Skipped No image to be pulled"),
        Transfer("Image two:1", "two:1", can_be_built=True, service="d"),
        Transfer("Image three:1", "three:1", skipped="Skipped", service="e"),
        Transfer("Image four:1", "four:1", skipped="Skipped Image is already present locally", service="f"),
        # the latest may be another one by now
        Transfer("Image four", "four", service="g"),
    )


def test_the_command_line_is_over_the_policy(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)
    (always,) = pull_plan(project, ("e",), (), PullChoice("always"))
    assert not always.skipped
    (missing,) = pull_plan(project, ("a",), {"one:1"}, PullChoice("missing"))
    assert missing.skipped == "Skipped Image is already present locally"
    (built,) = pull_plan(project, ("d",), (), PullChoice(ignore_buildable=True))
    assert built.skipped == "Skipped Image can be built"


def test_only_what_is_built_here_and_has_a_name_is_pushed(tmp_path: Path) -> None:
    text = 'services: {a: {image: "x:1"}, b: {build: .}, c: {image: "y:1", build: {context: ., tags: ["y:2", "y:1"]}}}'
    project = one(tmp_path, text)
    plan = push_plan(project, project.services.names)
    assert [each.image for each in plan if not each.skipped] == ["y:1", "y:2"]
    assert [each.subject for each in plan if each.skipped] == ["a", "b"]


_REQUIRED = """
    services:
      a: {image: "here:1"}
      b: {image: "gone:1"}
      c: {image: "here:2", pull_policy: always}
      d: {image: "built:1", build: .}
      e: {build: .}
      f: {image: "never:1", pull_policy: never}
      g: {image: "here:3", build: ., pull_policy: build}
      h: {image: "here:1", volumes: [{type: image, source: "tree:1", target: /t}]}
"""


def test_what_services_need_before_they_run(tmp_path: Path) -> None:
    project = one(tmp_path, _REQUIRED)
    present = {"here:1", "here:2", "here:3"}
    pulls = required_pulls(project, present)
    assert [(each.image, each.can_be_built) for each in pulls] == [
        ("gone:1", False),
        ("here:2", False),
        # another place may have built it
        ("built:1", True),
        ("tree:1", False),
    ]
    assert required_builds(project, present) == ("d", "e", "g")
    assert required_builds(project, {*present, "built:1", f"{project.name}-e"}) == ("g",)
    assert required_builds(project, present, all=True) == ("d", "e", "g")
    assert required_pulls(project, present, "never") == ()
    assert {"here:1", "here:2"} < {each.image for each in required_pulls(project, present, "always")}
