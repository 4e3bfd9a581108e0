"""What is to be changed for a stack: of values alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.deploy.plan import PlannedRefusalError, Present, PresentObject, PresentService, plan_of, with_ids
from sandbox.deploy.stack_spec import StackSpec, check_name, check_names, stack_spec_of
from sandbox.errors import SandboxError
from tests.sandbox.stack.projects import load, write

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sandbox.deploy.plan import Plan

_FILE = """
services:
  web: {image: "web:1", networks: [n, theirs], secrets: [s], depends_on: [db], environment: {A: 1}}
  db: {image: db, networks: [n]}
networks: {n: {internal: true}, theirs: {external: true}}
secrets: {s: {environment: KEY}, x: {external: true}}
configs: {c: {content: "text"}}
"""
_NAMESPACE = (("com.docker.stack.namespace", "st"),)


def _stack(directory: Path, text: str = _FILE) -> StackSpec:
    write(directory, compose=text)
    return stack_spec_of(load(directory, env={"KEY": "key"}, name="st", is_stack=True, keeps_unused=True))


def _present(stack: StackSpec, **more: Any) -> Present:
    """All of the stack, as it was made."""
    there = Present(
        networks=frozenset({"st_n"}),
        known_networks=frozenset({"st_n", "theirs"}),
        secrets={"st_s": PresentObject("ids", _NAMESPACE), "x": PresentObject("idx", ())},
        configs={"st_c": PresentObject("idc", _NAMESPACE)},
    )
    services = {spec.name: PresentService(f"id-{spec.name}", 7, with_ids(spec, there)) for spec in stack.services}
    return there._replace(services=services)._replace(**more)


def _told(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.noun, change.action, change.name) for change in plan.changes]


def test_a_new_stack(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    there = Present(known_networks=frozenset({"theirs"}), secrets={"x": PresentObject("idx", ())})
    plan = plan_of(stack, there)
    assert _told(plan) == [
        ("network", "create", "st_n"),
        ("secret", "create", "st_s"),
        ("config", "create", "st_c"),
        ("service", "create", "st_db"),
        ("service", "create", "st_web"),
    ]
    assert plan.refusals == ()
    assert [(each.name, each.data) for each in stack.objects] == [("st_s", b"key"), ("x", None), ("st_c", b"text")]
    (network,) = stack.networks
    assert (network.internal, tuple(network.labels)) == (True, _NAMESPACE)
    assert "key" not in repr(stack)


def test_one_that_is_there(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    plan = plan_of(stack, _present(stack))
    assert {change.action for change in plan.changes} == {"keep"}
    assert not plan.changes_anything


def test_what_has_changed(tmp_path: Path) -> None:
    before = _stack(tmp_path)
    text = _FILE.replace("web:1", "web:2").replace("{A: 1}", "{A: 2}").replace(
        "networks: [n]}", "networks: [n], deploy: {replicas: 3, update_config: {delay: 1s}}}")  # fmt: skip
    there = _present(before)
    present = there._replace(services={
        name: each._replace(spec=each.spec._replace(force_update=4)) for name, each in there.services.items()
    })  # fmt: skip
    plan = plan_of(_stack(tmp_path, text), present)
    changed = {change.name: change for change in plan.changes if change.action != "keep"}
    assert set(changed) == {"st_web", "st_db"}
    assert changed["st_web"].reasons == ("image: web:1 -> web:2", "environment: +A=2 -A=1")
    assert changed["st_web"].replaces
    assert changed["st_db"].reasons == ("replicas: 1 -> 3", "update_config: none -> delay_ns=1000000000")
    assert not changed["st_db"].replaces


def test_what_no_file_has_any_more(tmp_path: Path) -> None:
    there = _present(_stack(tmp_path))
    less = _stack(tmp_path, "services: {db: {image: db, networks: [n]}}\nnetworks: {n: {internal: true}}\n")
    assert _told(plan_of(less, there)) == [("network", "keep", "st_n"), ("service", "keep", "st_db")]
    assert _told(plan_of(less, there, prunes=True))[0] == ("service", "remove", "st_web")


def test_what_cannot_be(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    changed = {"st_s": PresentObject("ids", _NAMESPACE, same_content=False)}
    plan = plan_of(stack, _present(stack, known_networks=frozenset(), secrets=changed))
    assert [refusal.message for refusal in plan.refusals] == [
        'network "theirs" is declared as external, but could not be found. You need to create a swarm-scoped network '
        "before the stack is deployed",
        "failed to update secret st_s: only updates to Labels are allowed",
        "secret not found: x",
    ]
    error = PlannedRefusalError(plan.refusals)
    assert error.mend == "sandbox network create theirs"
    assert "secret not found: x" in error.cause


def test_data_that_is_not_there(tmp_path: Path) -> None:
    text = "services: {a: {image: i, secrets: [s]}}\nsecrets: {s: {%s}}\n"
    for source, expected in (
        ("environment: NONE", "compose.yaml:2:11: secrets.s.environment: the variable NONE is not set"),
        ("file: ./none", f"compose.yaml:2:11: secrets.s.file: cannot read {tmp_path}/none: No such file or directory"),
    ):
        with pytest.raises(SandboxError) as caught:
            _stack(tmp_path, text % source)
        assert caught.value.message == expected
    for name in ("", " ", "''"):
        with pytest.raises(SandboxError, match="invalid stack name"):
            check_name(name)


def test_names_that_nothing_can_have_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    check_names(_stack(tmp_path))
    for text, expected in (
        ("services: {a.b: {image: i}}", "failed to create service st_a.b: invalid name: 'st_a.b': only"),
        (
            "services: {a: {image: i}}\nsecrets: {s: {environment: KEY, name: s t}}",
            "failed to create secret s t: invalid",
        ),
    ):
        with pytest.raises(SandboxError) as caught:
            check_names(_stack(tmp_path, text))
        assert caught.value.message.startswith(expected)
