"""Platforms: containerd's tables, and the choice out of an index."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import UsageError
from sandbox.image.platforms import Platform, choose_platform, host_platform, parse_platform
from tests.sandbox.image.vectors import cases

FILE = "platforms.json"


def _filled(text: str) -> str:
    host = host_platform()
    return text.replace("$defaultOS", "linux").replace("$defaultArch", host.architecture)


def _platform(row: dict[str, Any]) -> Platform:
    return Platform(
        _filled(row["OS"]),
        _filled(row["Architecture"]),
        row.get("Variant", ""),
        row.get("OSVersion", ""),
        tuple(row.get("OSFeatures", ())),
    )


@pytest.mark.parametrize("case", cases(FILE, "parse"), ids=lambda case: case["input"])
def test_parse(case: dict[str, Any]) -> None:
    if case.get("skip"):
        # wildcards: containerd skips these rows too, since a platform with `*` is none an image can have
        with pytest.raises(UsageError):
            parse_platform(case["input"])
        return
    platform = parse_platform(case["input"])
    assert platform == _platform(case["expected"])
    formatted = case["formatted"]
    if isinstance(formatted, dict):
        formatted = "/".join(filter(None, map(_filled, formatted["args"])))
    if not case["useV2Format"]:
        assert str(platform) == formatted
    for other in case.get("matches", ()):
        assert _platform(other).normalised()[:3] == platform.normalised()[:3]


@pytest.mark.parametrize("case", cases(FILE, "invalid"), ids=lambda case: case["input"])
def test_invalid(case: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        parse_platform(case["input"])


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", "linux/arm64 linux/amd64", "linux/amd64"),
        ("linux/amd64", "linux/386 linux/arm64", "linux/386"),
        ("linux/amd64", "linux/386 linux/amd64", "linux/amd64"),
        ("linux/amd64", "linux/amd64/v3", None),
        ("linux/amd64/v3", "linux/amd64 linux/amd64/v2", "linux/amd64/v2"),
        ("linux/arm64", "linux/arm/v7 linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6", "linux/arm/v6"),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/s390x", "linux/amd64", None),
    ],
)
def test_choice(wanted: str, offered: str, chosen: str | None) -> None:
    texts = offered.split()
    position = choose_platform(parse_platform(wanted), [parse_platform(text) for text in texts])
    assert (None if position is None else texts[position]) == chosen
