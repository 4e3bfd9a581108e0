"""What a change of files causes, and the files that the kernel tells of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.compose.file_watch import FileWatch
from sandbox.compose.watch_rules import actions_of, initial_files, mounted_paths, rules_of
from sandbox.errors import SandboxError
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

_FILE = """
    name: demo
    services:
      web:
        build: .
        volumes: ["./mounted:/m"]
        develop:
          watch:
            - {action: sync, path: ./src, target: /app, ignore: [ignored/, "*.foo"]}
            - {action: sync+restart, path: ./config, target: /config}
            - {action: sync+exec, path: ./run, target: /run, exec: {command: [echo, hi]}, include: ["*.py"]}
            - {action: rebuild, path: ./req.txt}
            - {action: sync, path: ./mounted/below, target: /m}
      db:
        image: db
        develop: {watch: [{action: restart, path: ./config}]}
"""


def test_each_change_causes_what_its_rules_say(tmp_path: Path) -> None:
    project = one(tmp_path, _FILE)
    (tmp_path / ".dockerignore").write_text("src/secret\n")
    rules = rules_of(project, project.services.names)
    root = os.path.realpath(tmp_path)

    def caused(*names: str) -> tuple[object, ...]:
        actions = actions_of(rules, [f"{root}/{name}" for name in names])
        return actions.rebuild, dict(actions.sync), actions.restart, [rule.trigger.path for rule in actions.execute]

    nothing: tuple[object, ...] = ((), {}, (), [])
    copied = {"web": ((f"{root}/src/a", "/app/a"), (f"{root}/src/d/b", "/app/d/b"))}
    assert caused("src/d/b", "src/a", "src/a") == ((), copied, (), [])
    for name in ("src/ignored/a", "src/x.foo", "src/secret", "src/.a.swp", "src/.git/HEAD", "src/a~", "srcs/a", "other",
                 "mounted/below/a", "run/a.txt"):  # fmt: skip
        assert caused(name) == nothing, name
    assert caused("req.txt") == (("web",), {}, (), [])
    both = {"web": ((f"{root}/config/c", "/config/c"),)}
    assert caused("config/c") == ((), both, ("db", "web"), [])
    ran = {"web": ((f"{root}/run/a.py", "/run/a.py"), (f"{root}/run/b.py", "/run/b.py"))}
    assert caused("run/a.py", "run/b.py") == ((), ran, (), [f"{tmp_path}/run"])
    assert list(mounted_paths(project, ("web", "db"))) == [f"{tmp_path}/mounted/below"]


def test_what_is_there_at_first(tmp_path: Path) -> None:
    (rule, *_) = rules_of(one(tmp_path, _FILE), ("web",))
    for name in ("src/a", "src/d/b", "src/ignored/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [target for _, target in initial_files(rule)] == ["/app/a", "/app/d/b"]


@pytest.mark.parametrize(
    ("word", "begins", "is_old"),
    [("", False, False), (", initial_sync: true", True, False), (", x-initialSync: true", True, True)],
)
def test_the_first_files_are_asked_for(tmp_path: Path, word: str, begins: bool, is_old: bool) -> None:
    watch = f"{{action: sync, path: ., target: /a{word}}}"
    project = one(tmp_path, f"services: {{a: {{image: a, develop: {{watch: [{watch}]}}}}}}")
    (rule,) = rules_of(project, ("a",))
    assert (rule.begins_by_syncing, rule.has_old_word) == (begins, is_old)


@pytest.mark.parametrize(
    "rule",
    ["{action: rebuild, path: .}", "{action: sync, path: .}", "{action: sync+exec, path: ., target: /a, exec: {}}"],
)
def test_a_rule_that_cannot_be_followed_is_refused(tmp_path: Path, rule: str) -> None:
    text = f"services: {{a: {{image: a, develop: {{watch: [{rule}]}}}}}}"
    with pytest.raises(SandboxError):
        rules_of(one(tmp_path, text), ("a",))


def test_changes_come_in_batches(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "there").mkdir(parents=True)
    (root / "there/old").write_text("x")
    watch = FileWatch([str(root), str(tmp_path / "later")])
    try:
        (root / "there/new").write_text("x")
        (root / "there/old").unlink()
        (root / "made/deep").mkdir(parents=True)
        (root / "made/deep/file").write_text("x")
        (tmp_path / "aside").write_text("x")
        changed = watch.wait()
        for name in ("there/new", "there/old", "made", "made/deep", "made/deep/file"):
            assert str(root / name) in changed
        assert str(tmp_path / "aside") not in changed
        # a directory that was made is watched, and so is a root that was not there
        (root / "made/deep/again").write_text("x")
        (tmp_path / "later").mkdir()
        (tmp_path / "later/file").write_text("x")
        changed = watch.wait()
        assert str(root / "made/deep/again") in changed
        assert str(tmp_path / "later") in changed
        (root / "there/new").rename(root / "there/renamed")
        assert {str(root / "there/new"), str(root / "there/renamed")} <= watch.wait()
    finally:
        watch.close()
