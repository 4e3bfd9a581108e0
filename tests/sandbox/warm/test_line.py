"""What came of a call, of what the prepared process and the worker told."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.errors import HostError, UsageError
from sandbox.warm.failures import OperationCancelledError, PreparedProcessError, WorkerDiedError
from sandbox.warm.line import Course, Request, encode_request
from sandbox.warm.prepared import BEGUN, ENDED, FAILED, FATE
from sandbox.warm.registry import INTERRUPTED_STATUS, OPERATIONS

if TYPE_CHECKING:
    from sandbox.errors import SandboxError

_RESULT = {"type": "result", "value": {"tuple": [1]}, "descriptors": 0}


def _course(reports: list[bytes], *messages: dict[str, Any]) -> Course:
    course = Course(Request("x"))
    for message in messages:
        assert list(course.take(message, lambda _count: [])) == []
    for report in reports:
        course.fate.take(report)
    return course


@pytest.mark.parametrize(
    ("reports", "kind", "cause"),
    [
        ([BEGUN, FATE.pack(FAILED, errno.EAGAIN)], HostError, "Resource temporarily unavailable"),
        ([BEGUN, FATE.pack(ENDED, -11)], WorkerDiedError, "SIGSEGV"),
        ([BEGUN, FATE.pack(ENDED, -64)], WorkerDiedError, "SIGRTMAX"),
        ([BEGUN, FATE.pack(ENDED, -33)], WorkerDiedError, "33"),
        ([BEGUN, FATE.pack(ENDED, 1)], WorkerDiedError, "status 1"),
        ([BEGUN, FATE.pack(ENDED, INTERRUPTED_STATUS)], OperationCancelledError, ""),
        ([BEGUN], PreparedProcessError, "words"),
        ([], PreparedProcessError, "words"),
    ],
)
def test_an_end_without_an_answer_says_why(reports: list[bytes], kind: type[SandboxError], cause: str) -> None:
    with pytest.raises(kind) as error:
        _course(reports).outcome(lambda: "last words")
    assert cause in error.value.cause


def test_only_what_was_not_begun_is_repeated() -> None:
    assert _course([]).may_be_repeated
    assert not _course([BEGUN]).may_be_repeated
    assert not _course([], _RESULT).may_be_repeated
    cancelled = _course([])
    cancelled.is_cancelled = True
    assert not cancelled.may_be_repeated
    with pytest.raises(OperationCancelledError):
        cancelled.outcome(str)


def test_an_answer_counts_whatever_became_of_the_worker() -> None:
    course = _course([BEGUN, FATE.pack(ENDED, -9)], _RESULT)
    course.is_cancelled = True
    assert course.outcome(str) == (1,)


def test_an_operation_that_is_not_in_the_table_is_not_sent() -> None:
    with pytest.raises(UsageError, match="no operation os:system"):
        encode_request(Request("os:system"), OPERATIONS)
