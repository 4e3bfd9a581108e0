"""The proxies of Docker's config.json, as containers and builds are told of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.docker_proxies import docker_config_path, find_proxies

if TYPE_CHECKING:
    from pathlib import Path

_ALL = {
    "httpProxy": "http://u:p@h:1", "httpsProxy": "http://s:2", "ftpProxy": "http://f:3", "noProxy": "localhost,.lan",
    "allProxy": "socks5://a:4",
}  # fmt: skip
_FOUND = {
    "HTTP_PROXY": "http://u:p@h:1", "http_proxy": "http://u:p@h:1", "HTTPS_PROXY": "http://s:2",
    "https_proxy": "http://s:2", "FTP_PROXY": "http://f:3", "ftp_proxy": "http://f:3", "NO_PROXY": "localhost,.lan",
    "no_proxy": "localhost,.lan", "ALL_PROXY": "socks5://a:4", "all_proxy": "socks5://a:4",
}  # fmt: skip


def _find(directory: Path, content: str | None) -> tuple[dict[str, str], list[str]]:
    warnings: list[str] = []
    if content is not None:
        (directory / "config.json").write_text(content)
    return find_proxies({"DOCKER_CONFIG": str(directory)}, warnings.append), warnings


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ({"default": _ALL}, _FOUND),
        ({"default": {"HTTPProxy": "http://h:1"}}, {"HTTP_PROXY": "http://h:1", "http_proxy": "http://h:1"}),
        ({"default": {"httpProxy": "", "noProxy": None, "other": "x", "": "y", "ftpProxy": 3}}, {}),
        ({"default": {"httpProxy": "a\0b"}}, {}),
        ({"tcp://other:2376": _ALL}, {}),
        ({"default": None}, {}),
        (None, {}),
    ],
)
def test_each_is_there_in_both_spellings(tmp_path: Path, proxies: object, expected: dict[str, str]) -> None:
    assert _find(tmp_path, json.dumps({"auths": {}, "proxies": proxies})) == (expected, [])


@pytest.mark.parametrize("content", ["{", "[]", '{"proxies": 3}', '{"proxies": {"default": [1]}}', "[" * 100_000])
def test_a_file_of_another_form_is_warned_of(tmp_path: Path, content: str) -> None:
    found, (warning,) = _find(tmp_path, content)
    assert found == {}
    assert f"{tmp_path}/config.json: it is not JSON of Docker's form" in warning


def test_no_file_and_an_empty_one_have_none(tmp_path: Path) -> None:
    assert _find(tmp_path, None) == ({}, [])
    assert _find(tmp_path, "") == ({}, [])


def test_where_the_file_is() -> None:
    assert docker_config_path({"HOME": "/home/me"}) == "/home/me/.docker/config.json"
    assert docker_config_path({"HOME": "/home/me", "DOCKER_CONFIG": "/d"}) == "/d/config.json"
