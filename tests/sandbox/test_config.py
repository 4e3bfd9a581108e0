"""The settings file: what it may say, and that a misspelt key never does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.config import Config, load_config
from sandbox.errors import UsageError
from sandbox.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


def _load(directory: Path, text: str | None) -> Config:
    if text is not None:
        (directory / "config.toml").write_text(text)
    return load_config(Paths(str(directory), str(directory), str(directory)))


def test_no_file(tmp_path: Path) -> None:
    assert _load(tmp_path, None) == Config()
    assert _load(tmp_path, "") == Config()


def test_everything(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        '[registries]\ninsecure = ["a:1"]\nconcurrency = 2\nredirects = ["s.lan"]\n[registries.mirrors]\n"docker.io" = ["http://m"]\n'
        '[registries.ca]\n"b" = "/c"\n[storage]\ndriver = "copy"\n',
    )
    assert config.registries == ({"docker.io": ("http://m",)}, ("a:1",), {"b": "/c"}, 2, ("s.lan",))
    assert config.storage_driver == "copy"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("registry = 1", "registry"),
        ("[registries]\nmirror = 1", "registries.mirror"),
        ("[registries]\ninsecure = 'x'", "registries.insecure"),
        ("[registries]\nredirects = 'x'", "registries.redirects"),
        ("[registries]\nconcurrency = 0", "registries.concurrency"),
        ("[registries]\nconcurrency = true", "registries.concurrency"),
        ("[registries.mirrors]\nx = ['ftp://x']", 'registries.mirrors."x"'),
        ("[registries.mirrors]\nx = 'http://x'", 'registries.mirrors."x"'),
        ("[registries.ca]\nx = 1", 'registries.ca."x"'),
        ("[storage]\ndriver = 1", "storage.driver"),
        ("storage = 1", "storage"),
        ("nonsense", "config.toml"),
    ],
)
def test_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, text)
    assert named in caught.value.message
    assert "config.toml" in caught.value.message
