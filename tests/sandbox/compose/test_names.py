"""Names of what a project is made of."""

from __future__ import annotations

from sandbox.compose.names import final_name, one_off_name, short_name, temporary_name


def test_the_name_of_a_successor_leads_back_to_its_own() -> None:
    name = temporary_name("0123456789abcdef" * 4, "demo-web-1")
    assert name == "0123456789ab_demo-web-1"
    assert final_name(name) == "demo-web-1"
    for own in ("demo-web-1", "my_container", "0123456789ag_x", "0123456789ab_"):
        assert final_name(own) == own


def test_short_and_one_off_names() -> None:
    assert short_name("demo", "demo-web-1") == "web-1"
    assert short_name("demo", "demo_web_1") == "web_1"
    assert short_name("demo", "mine") == "mine"
    made = one_off_name("demo", "web")
    assert made.startswith("demo-web-run-")
    assert len(made) == len("demo-web-run-") + 12
