"""pasta over a namespace, and what is said where it is not there, or does not start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from net.errors import NetError
from net.pasta import find_pasta, pasta_arguments, ready_steps, spawn_pasta
from storage.waits import carry_out

if TYPE_CHECKING:
    from pathlib import Path


def test_it_leads_nowhere_that_was_not_asked_for() -> None:
    words = pasta_arguments("/usr/bin/pasta")
    assert "--no-map-gw" in words
    for ports in ("-t", "-u", "-T", "-U"):
        assert words[words.index(ports) + 1] == "none"


def test_where_it_is_missing_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.programs._SYSTEM_DIRECTORIES", ())
    with pytest.raises(NetError, match="pasta is not installed") as caught:
        find_pasta()
    assert " passt; or run with --network slirp4netns" in caught.value.mend


@pytest.mark.requires("tap")
@pytest.mark.parametrize(("script", "words"), [("echo no route >&2", "no route"), (":", "it ended without a word")])
def test_what_it_says_when_it_does_not_start_is_told(tmp_path: Path, script: str, words: str) -> None:
    program = tmp_path / "pasta"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = spawn_pasta(str(program), netns)
    finally:
        os.close(netns)
    with pytest.raises(NetError, match="pasta did not start") as caught:
        carry_out(ready_steps(process))
    assert caught.value.cause == words
