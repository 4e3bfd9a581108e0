"""What is told of exceptions nobody expected."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from sandbox.builder.stages.stage_messages import encode_failure
from sandbox.errors import StartError
from sandbox.faults import explain_fault
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.syscalls import openat2 as openat2_of_runtime
from storage.syscalls import openat2 as openat2_of_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _mistake() -> None:
    int("key")


def _caught(act: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        act()
    return caught.value


def test_a_mistake_of_ours_is_told_with_its_place_and_no_class() -> None:
    error = _caught(_mistake)
    for text in (explain_fault(error), decode_error(encode_error(error)).cause, encode_failure(error)[1]):
        assert "tests/sandbox/test_faults.py, line" in text
        assert "ValueError" not in text


def test_what_was_interrupted() -> None:
    assert explain_fault(KeyboardInterrupt()) == "interrupted"


def test_no_call_of_the_kernel_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = os.fspath(tmp_path / "file/x")
    for act in (lambda: openat2_of_runtime(-100, path, os.O_RDONLY, 0),
                lambda: openat2_of_storage(-100, os.fsencode(path), os.O_RDONLY, 0)):  # fmt: skip
        error = _caught(act)
        assert isinstance(error, NotADirectoryError)
        assert error.strerror == os.strerror(errno.ENOTDIR)
        assert error.__notes__ == ["openat2(2)"]


def test_an_error_keeps_its_kind_across_a_process() -> None:
    class OwnError(StartError):
        """One that the reports do not know."""

    assert decode_error(encode_error(OwnError("cannot start"))).kind == "not_started"
