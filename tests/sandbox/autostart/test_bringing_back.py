"""Who is started at boot, and in which order."""

from __future__ import annotations

import pytest

from sandbox.autostart.bringing_back import comes_back, in_order
from sandbox.values import RestartPolicy
from tests.sandbox.container.conftest import a_container


@pytest.mark.parametrize(
    ("policy", "changes", "comes"),
    [
        ("always", {}, True),
        ("always", {"stopped_by_user": True}, True),
        ("unless-stopped", {}, True),
        ("unless-stopped", {"exit_code": 0}, True),
        ("unless-stopped", {"stopped_by_user": True}, False),
        ("on-failure", {}, False),
        ("no", {}, False),
        ("always", {"started_ns": 0, "status": "created"}, False),
        ("always", {"status": "removing"}, False),
    ],
)
def test_who_comes_back(policy: str, changes: dict[str, object], comes: bool) -> None:
    container = a_container("web")
    config = container.config._replace(restart=RestartPolicy(policy))  # type: ignore[arg-type]
    state = container.state._replace(status="exited", started_ns=1, exit_code=137)._replace(**changes)  # type: ignore[arg-type]
    assert comes_back(container._replace(config=config, state=state)) == comes


def test_who_shares_a_namespace_comes_after_its_owner() -> None:
    first, second, third, fourth = (
        a_container(name)._replace(created_ns=position, id=f"{position}" * 64)
        for position, name in enumerate(("first", "second", "third", "fourth"))
    )
    first = first._replace(config=first.config._replace(network="container:third"))
    third = third._replace(config=third.config._replace(pid_mode=f"container:{fourth.id[:12]}"))
    assert [each.name for each in in_order([fourth, third, second, first])] == ["second", "fourth", "third", "first"]


def test_a_circle_is_started_all_the_same() -> None:
    one, other = a_container("one"), a_container("other")
    one = one._replace(config=one.config._replace(network="container:other"))
    other = other._replace(config=other.config._replace(network="container:one"))
    assert {each.name for each in in_order([one, other])} == {"one", "other"}
