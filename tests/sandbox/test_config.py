"""The settings file: what it may say, and that a misspelt key never does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.config import _KNOWN, Config, load_config
from sandbox.errors import UsageError
from sandbox.paths import SETTINGS_VARIABLES, Paths, find_paths

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
        '[registries.ca]\n"b" = "/c"\n[storage]\ndriver = "copy"\n'
        '[networks]\ndefault-address-pools = [{base = "10.10.0.0/16", size = 24}]\n',
    )
    assert config.registries == ({"docker.io": ("http://m",)}, ("a:1",), {"b": "/c"}, 2, ("s.lan",))
    assert config.address_pools == (("10.10.0.0/16", 24),)
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
        ("networks.default-address-pools = 1", "networks.default-address-pools"),
        ("networks.default-address-pools = ['10.0.0.0/8']", "networks.default-address-pools"),
        ("networks.default-address-pools = [{base = '10.0.0.0/8'}]", "networks.default-address-pools"),
        ("networks.default-address-pools = [{base = '10.0.0.0/8', size = 4}]", "networks.default-address-pools"),
        ("networks.default-address-pools = [{base = '10.0.0.1/8', size = 24}]", "networks.default-address-pools"),
        ("networks.default-address-pools = [{base = 'x', size = true}]", "networks.default-address-pools"),
        ("storage = 1", "storage"),
        ("nonsense", "config.toml"),
    ],
)
def test_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, text)
    assert named in caught.value.message
    assert "config.toml" in caught.value.message


@pytest.mark.parametrize(
    ("text", "line", "near"),
    [
        ("[registries]\nconcurency = 3", 2, "concurrency"),
        ("# registries.mirror\n\n[registries]\ninsecure = []\n  mirror = {}", 5, "mirrors"),
        ("[storage]\ndriver = 'fuse'\n[registry]\ninsecure = []", 3, "registries"),
        ("[storage]\n[registries.mirror]\n'docker.io' = []", 2, "mirrors"),
        ("storage.drivr = 'fuse'", 1, "driver"),
        ("[registries]\nfoo = 1\n[storage]\nfoo = 2\n", 2, ""),
        ("xyzzy = 1", 1, ""),
    ],
)
def test_an_unknown_key_is_named_with_its_line(tmp_path: Path, text: str, line: int, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, text)
    assert caught.value.message.endswith(f"config.toml:{line}")
    assert (f"did you mean {near}? " in caught.value.cause) == bool(near)
    assert ("did you mean" in caught.value.cause) == bool(near)


def _with_variables(directory: Path, **variables: str) -> Config:
    env = {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory), **variables}
    return load_config(find_paths(env))


def test_variables_say_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox/config.toml").write_text(
        '[registries]\ninsecure = ["a:1"]\nconcurrency = 2\n[storage]\ndriver = "copy"\n'
    )
    config = _with_variables(
        tmp_path, SANDBOX_STORAGE_DRIVER="fuse", SANDBOX_REGISTRIES_CONCURRENCY="7",
        SANDBOX_REGISTRIES_REDIRECTS="s.lan, t.lan", SANDBOX_REGISTRIES_CA="b=/c",
        SANDBOX_REGISTRIES_MIRRORS="docker.io=http://m,ghcr.io=https://g,docker.io=http://n", SANDBOX_OTHER="x",
    )  # fmt: skip
    mirrors = {"docker.io": ("http://m", "http://n"), "ghcr.io": ("https://g",)}
    assert config.registries == (mirrors, ("a:1",), {"b": "/c"}, 7, ("s.lan", "t.lan"))
    assert config.storage_driver == "fuse"
    pools = "base=10.10.0.0/16,size=24; base=10.20.0.0/16, size=25"
    given = _with_variables(tmp_path, SANDBOX_NETWORKS_DEFAULT_ADDRESS_POOLS=pools).address_pools
    assert given == (("10.10.0.0/16", 24), ("10.20.0.0/16", 25))
    assert _with_variables(tmp_path, SANDBOX_STORAGE_DRIVER="").storage_driver == "copy"
    assert _with_variables(tmp_path, SANDBOX_REGISTRIES_INSECURE="x,y").registries.insecure == ("x", "y")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONCURRENCY", "0"), ("CONCURRENCY", "many"), ("MIRRORS", "docker.io=ftp://x"), ("MIRRORS", "nonsense")],
)
def test_a_bad_variable_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"in the variable SANDBOX_REGISTRIES_{name}"):
        _with_variables(tmp_path, **{f"SANDBOX_REGISTRIES_{name}": value})


def test_every_key_has_a_variable() -> None:
    assert {
        f"SANDBOX_{section}_{key}".upper().replace("-", "_") for section in _KNOWN for key in _KNOWN[section]
    } == set(SETTINGS_VARIABLES)
